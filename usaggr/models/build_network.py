"""Builds the network of a block of tasks as configured, with its initial weights.

Encoder and decoder are drawn from the seed, what a task has of its own from seed and task id: none depends on which
other tasks there are. Random number generators are left as they were.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from usaggr.config.model import M2DinoConfig, MhMtlConfig, ModelConfig
from usaggr.data.seeds import derived_seed
from usaggr.models.decoder import STRIDE, Decoder
from usaggr.models.dpt import LightDpt
from usaggr.models.encoders import build_encoder
from usaggr.models.heads import Head, HeadMaps, build_head
from usaggr.models.m2dino import M2Dino
from usaggr.models.network import MultiTaskNetwork
from usaggr.models.per_task import PerTask, TaskContext
from usaggr.models.vit import build_vit, condition_blocks
from usaggr.tasks import Task


def build_network(model: ModelConfig, tasks: Sequence[Task], seed: int) -> MultiTaskNetwork:
    """The network of a block of tasks.

    Raises:
        ConfigError: no such encoder or weights, or they do not fit.
    """
    match model:
        case MhMtlConfig():
            return _mh_mtl(model, tasks, seed)
        case M2DinoConfig():
            return _m2dino(model, tasks, seed)


def _mh_mtl(model: MhMtlConfig, tasks: Sequence[Task], seed: int) -> MultiTaskNetwork:
    with _drawn_from("encoder", seed):
        encoder, channels = build_encoder(model)
    with _drawn_from("decoder", seed):
        decoder = Decoder(channels, model.decoder_channels)
    maps = HeadMaps(model.decoder_channels, STRIDE, "encoder", channels[-1])
    network = MultiTaskNetwork(encoder, decoder, _heads(model, tasks, maps, seed))
    if model.freeze == "encoder":
        network.freeze(encoder)
    return network


def _m2dino(model: M2DinoConfig, tasks: Sequence[Task], seed: int) -> M2Dino:
    with _drawn_from("encoder", seed):
        encoder = build_vit(model)
    context, ids = TaskContext(), [task.id for task in tasks]
    condition_blocks(encoder, model, ids, context, seed)
    embeddings = None
    if model.conditioning == "experts" and model.experts.router == "task":
        width = model.experts.task_channels
        embeddings = PerTask(ids, context, lambda task_id: _normal(width, "task_embedding", seed, task_id))
    with _drawn_from("decoder", seed):
        decoder = LightDpt(encoder.channels, model.decoder_channels, encoder.patch)
    maps = HeadMaps(model.decoder_channels, decoder.stride, "decoder", model.decoder_channels)
    return M2Dino(model, encoder, decoder, _heads(model, tasks, maps, seed), context, embeddings)


def _heads(model: ModelConfig, tasks: Sequence[Task], maps: HeadMaps, seed: int) -> dict[str, Head]:
    heads = {}
    for task in tasks:
        with _drawn_from("head", seed, task.id):
            heads[task.id] = build_head(task, model, maps)
    return heads


def _normal(width: int, *key: str | int) -> torch.Tensor:
    return torch.randn(width, generator=torch.Generator().manual_seed(derived_seed(*key)))


@contextmanager
def _drawn_from(*key: str | int) -> Iterator[None]:
    """Draw from a key's seed within the context, and leave the CPU's generator as it was; others are not touched."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derived_seed(*key))
        yield
