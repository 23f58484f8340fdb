"""One graph of a model for ONNX: from pixels to an output a task, with the normalisation of pixels in it.

What depends on the data in the network's own forward (which tasks a batch holds, which experts a token is sent to) is
computed here for all, and weighed: the same numbers, in a graph that is always the same.
"""

import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from usaggr.data.batches.batches import MEAN, STD
from usaggr.errors import ConfigError, RunError
from usaggr.inference.loaded_model import Model
from usaggr.models.experts import ExpertMlp, choose, weigh_all
from usaggr.models.m2dino import M2Dino
from usaggr.models.network import MultiTaskNetwork
from usaggr.models.per_task import PerTask
from usaggr.tasks import Task, has_class_label

IMAGES, TASK = "images", "task"
"""Names of the graph's inputs."""
OPSET = 18


class InferenceGraph(nn.Module):
    """Images (N, C, H, W) float32 in [0, 255], and of what task each is (its place), to outputs.

    An output a task, in the order of ids: logits (N, K, H, W) of a segmentation, probabilities (N, K) of a
    classification, a box (N, 4) or points (N, P, 2) in [0, 1] of the image's sides. Of a conditioned network, what
    counts for an image is the output of the task whose place is given for it.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: MultiTaskNetwork, tasks: Sequence[Task]) -> None:
        super().__init__()
        self.network = network
        self.tasks = tuple(tasks)
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None])
        self.register_buffer("std", torch.tensor(STD)[:, None, None])

    @property
    def conditioned(self) -> bool:
        """Whether the network needs to know the task."""
        return is_conditioned(self.network)

    def forward(self, images: Tensor, task: Tensor | None = None) -> tuple[Tensor, ...]:
        """Outputs of all tasks. `task`: (N,) int64, the place of each image's task; None for a network without."""
        normalised = (images / 255 - self.mean) / self.std
        maps = self._maps(normalised, task)
        heads = {one.id: self.network.head(one.id) for one in self.tasks}
        decoded: Tensor | None = None
        outputs = []
        for one in self.tasks:
            head = heads[one.id]
            if head.reads == "decoder":
                decoded = self.network.decoder(maps[-4:]) if decoded is None else decoded
                output = head(decoded)
            else:
                output = head(maps[-1])
            outputs.append(output.softmax(dim=1) if has_class_label(one.type) else output)
        return tuple(outputs)

    def _maps(self, images: Tensor, task: Tensor | None) -> list[Tensor]:
        network = self.network
        if task is None or not isinstance(network, M2Dino):
            return list(network.encoder(images))
        context = network._context
        context.tasks, context.places = tuple(one.id for one in self.tasks), task
        if network.embeddings is not None:
            context.embedding = network.embeddings()
        try:
            return list(network.encoder(images))
        finally:
            context.end()


def is_conditioned(network: nn.Module) -> bool:
    """Whether a network's outputs depend on the task beyond its head."""
    return any(isinstance(module, PerTask) for module in network.modules())


class _AllExperts(nn.Module):
    """A mixture of experts that computes every expert for every token; those not chosen weigh nothing."""

    def __init__(self, sparse: ExpertMlp) -> None:
        super().__init__()
        self.experts = sparse.experts
        self.router = sparse.router
        self.top_k = sparse.top_k

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (N, T, C) to (N, T, C)."""
        if self.router is None:
            return torch.stack([expert(tokens) for expert in self.experts]).mean(dim=0)
        probabilities = self.router(tokens)
        if self.top_k < len(self.experts):
            weights, chosen = choose(probabilities, self.top_k)
            probabilities = torch.zeros_like(probabilities).scatter(-1, chosen, weights)
        return weigh_all(self.experts, tokens, probabilities)


def without_dispatch(network: MultiTaskNetwork) -> None:
    """Make each mixture of experts compute all of them, in place."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, ExpertMlp):
                setattr(module, name, _AllExperts(child))


def write_onnx(
    network: MultiTaskNetwork, tasks: Sequence[Task], size: tuple[int, int], channels: int, path: Path
) -> None:
    """Write a network, which is changed for it, as one ONNX file with an open number of images.

    Args:
        network: on the CPU, ready to predict.
        tasks: all of its tasks, by id.
        size: height and width of its input, pixels.
        channels: 1 or 3: of its input.
        path: of the file.

    Raises:
        ConfigError: a package is missing.
        RunError: the exporter cannot write the network.
    """
    require_onnx()
    without_dispatch(network)
    graph = InferenceGraph(network, tasks).eval()
    images = torch.rand(2, channels, *size) * 255
    inputs: tuple[Tensor, ...] = (images,)
    batch = torch.export.Dim("batch")
    shapes: dict[str, dict[int, Any]] = {IMAGES: {0: batch}}
    if graph.conditioned:
        inputs = (images, torch.zeros(2, dtype=torch.int64))
        shapes[TASK] = {0: batch}
    with torch.no_grad(), warnings.catch_warnings():
        # torch warns of its own ways with trees, and that both inputs have one open side, as they are meant to.
        warnings.filterwarnings("ignore", message=".*LeafSpec.*")
        warnings.filterwarnings("ignore", message=".*The axis name: batch will not be used.*")
        try:
            program: Any = torch.onnx.export(
                graph,
                inputs,
                dynamo=True,
                opset_version=OPSET,
                input_names=list(shapes),
                output_names=[task.id for task in tasks],
                dynamic_shapes=shapes,
                verbose=False,
            )
        except Exception as error:  # of the exporter: it may be any of many
            reason = " ".join(str(error).split())
            raise RunError(
                f"the network cannot be written as ONNX by torch {torch.__version__} ({reason[:300]})"
            ) from error
    program.save(str(path), external_data=False)


def largest_difference(model: Model, path: Path, count: int) -> float:
    """By how much a file's outputs differ from the model's own, over all tasks, for images of noise.

    Relative to the largest of a task's own outputs, where that is above 1.

    Args:
        model: as it was loaded.
        path: the file.
        count: images.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    height, width = model.stored.size
    pixels = np.random.default_rng(0).integers(0, 256, (count, height, width, model.stored.channels), dtype=np.uint8)
    feed: dict[str, Any] = {IMAGES: pixels.transpose(0, 3, 1, 2).astype(np.float32)}
    largest = 0.0
    for place, task in enumerate(model.tasks.values()):
        if any(given.name == TASK for given in session.get_inputs()):
            feed[TASK] = np.full(count, place, np.int64)
        (found,) = session.run([task.id], feed)
        own = model.outputs(pixels, task.id).cpu()
        own = own.softmax(dim=1) if has_class_label(task.type) else own
        scale = max(1.0, float(own.abs().max()))
        largest = max(largest, float(np.abs(np.asarray(found) - own.numpy()).max()) / scale)
    return largest


def require_onnx() -> None:
    """See that what writes and computes ONNX files is there.

    Raises:
        ConfigError: a package is missing.
    """
    for package in ("onnx", "onnxscript", "onnxruntime"):
        if find_spec(package) is None:
            raise ConfigError(f"export needs the package {package}: pip install usaggr[onnx]")
