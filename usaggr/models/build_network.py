"""Construction of the configured network for a block of tasks, with its initial weights.

Encoder and decoder are drawn from the seed; heads, embeddings and adapters of a task from the seed and the task's id.
No initial weight depends on which other tasks share the network. Global random number generators are not advanced.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from usaggr.config.model import M2DinoConfig, MhMtlConfig, ModelConfig
from usaggr.data.seeds import derive_seed
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
    """Build the network of a block of tasks.

    Args:
        model: Configuration of the network.
        tasks: Tasks of the block.
        seed: Seed of the run.

    Raises:
        ConfigError: The encoder or its weights do not exist, or the weights do not fit.
    """
    match model:
        case MhMtlConfig():
            return _build_mh_mtl(model, tasks, seed)
        case M2DinoConfig():
            return _build_m2dino(model, tasks, seed)


def _build_mh_mtl(model: MhMtlConfig, tasks: Sequence[Task], seed: int) -> MultiTaskNetwork:
    """Build a network with a convolutional encoder.

    Args:
        model: Configuration of the network.
        tasks: Tasks of the block.
        seed: Seed of the run.
    """
    with _seed_generator("encoder", seed):
        encoder, channels = build_encoder(model)
    with _seed_generator("decoder", seed):
        decoder = Decoder(channels, model.decoder_channels)
    maps = HeadMaps(model.decoder_channels, STRIDE, "encoder", channels[-1])
    network = MultiTaskNetwork(encoder, decoder, _build_heads(model, tasks, maps, seed))
    if model.freeze == "encoder":
        network.freeze(encoder)
    return network


def _build_m2dino(model: M2DinoConfig, tasks: Sequence[Task], seed: int) -> M2Dino:
    """Build a network with a transformer that is conditioned on the task.

    Args:
        model: Configuration of the network.
        tasks: Tasks of the block.
        seed: Seed of the run.
    """
    with _seed_generator("encoder", seed):
        encoder = build_vit(model)
    context, task_ids = TaskContext(), [task.id for task in tasks]
    condition_blocks(encoder, model, task_ids, context, seed)
    embeddings = None
    if model.conditioning == "experts" and model.experts.router == "task":
        width = model.experts.task_channels
        embeddings = PerTask(task_ids, context, lambda task_id: _draw_normal(width, "task_embedding", seed, task_id))
    with _seed_generator("decoder", seed):
        decoder = LightDpt(encoder.channels, model.decoder_channels, encoder.patch)
    maps = HeadMaps(model.decoder_channels, decoder.stride, "decoder", model.decoder_channels)
    return M2Dino(model, encoder, decoder, _build_heads(model, tasks, maps, seed), context, embeddings)


def _build_heads(model: ModelConfig, tasks: Sequence[Task], maps: HeadMaps, seed: int) -> dict[str, Head]:
    """Build the head of each task, by task id.

    Args:
        model: Configuration of the network.
        tasks: Tasks of the block.
        maps: Maps that the network offers its heads.
        seed: Seed of the run.
    """
    heads = {}
    for task in tasks:
        with _seed_generator("head", seed, task.id):
            heads[task.id] = build_head(task, model, maps)
    return heads


def _draw_normal(width: int, *key: str | int) -> torch.Tensor:
    """Return a standard normal vector (width,), drawn from a key's own seed."""
    return torch.randn(width, generator=torch.Generator().manual_seed(derive_seed(*key)))


@contextmanager
def _seed_generator(*key: str | int) -> Iterator[None]:
    """Seed the CPU's generator with a key within the context, and restore its state afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive_seed(*key))
        yield
