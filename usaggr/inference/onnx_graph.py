"""ONNX export of a model as one graph, from pixels to one output per task, which includes the normalization of pixels.

The forward of a network depends on its data: on the tasks of a batch and on the experts of each token. A graph cannot
depend on data. Here every head and every expert is computed, and weights select the result; the numbers are the same.
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
from usaggr.models.experts import ExpertMlp, choose_experts, mix_all_experts
from usaggr.models.m2dino import M2Dino
from usaggr.models.network import MultiTaskNetwork
from usaggr.models.per_task import PerTask
from usaggr.tasks import Task, has_class_label

IMAGES, TASK = "images", "task"
"""Names of the graph's inputs."""
OPSET = 18
"""Version of the ONNX operators: the first that the exporter of torch writes without a conversion."""


class InferenceGraph(nn.Module):
    """Network from images (N, C, H, W) float32 in [0, 255] to one output per task, in the order of ids.

    Outputs by task type: logits (N, K, H, W) for segmentation, probabilities (N, K) for classification, boxes (N, 4)
    for detection, points (N, P, 2) for regression; boxes and points are fractions of the image's sides. A conditioned
    network also takes the index of each image's task. Only the output of this task is then valid for the image.

    Args:
        network: Network to export.
        tasks: Its tasks, by id.
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
        """True if the network needs to know the task of each image."""
        return is_conditioned(self.network)

    def forward(self, images: Tensor, task_indices: Tensor | None = None) -> tuple[Tensor, ...]:
        """Return the outputs of all tasks.

        Args:
            images: (N, C, H, W) float32 in [0, 255].
            task_indices: (N,) int64, the index of each image's task; None for a network without conditioning.
        """
        maps = self._encode((images / 255 - self.mean) / self.std, task_indices)
        decoded: Tensor | None = None
        outputs = []
        for task in self.tasks:
            head = self.network.get_head(task.id)
            if head.reads == "decoder":
                # The decoder runs once, for all tasks that read it.
                decoded = self.network.decoder(maps[-4:]) if decoded is None else decoded
                output = head(decoded)
            else:
                output = head(maps[-1])
            outputs.append(output.softmax(dim=1) if has_class_label(task.type) else output)
        return tuple(outputs)

    def _encode(self, images: Tensor, task_indices: Tensor | None) -> list[Tensor]:
        """Return the encoder's maps of normalized images, from shallow to deep."""
        if task_indices is None or not isinstance(self.network, M2Dino):
            return list(self.network.encoder(images))
        return self.network.encode_tasks(images, tuple(task.id for task in self.tasks), task_indices).maps


def is_conditioned(network: nn.Module) -> bool:
    """Return True if a network's layers before the heads depend on the task."""
    return any(isinstance(module, PerTask) for module in network.modules())


class _AllExperts(nn.Module):
    """Mixture of experts that computes every expert for every token; experts that are not chosen have weight 0."""

    def __init__(self, sparse: ExpertMlp) -> None:
        super().__init__()
        self.experts = sparse.experts
        self.router = sparse.router
        self.top_k = sparse.top_k

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the weighted sum of the experts' outputs, (N, T, C) for tokens (N, T, C)."""
        if self.router is None:
            return torch.stack([expert(tokens) for expert in self.experts]).mean(dim=0)
        probabilities = self.router(tokens)
        if self.top_k < len(self.experts):
            weights, chosen = choose_experts(probabilities, self.top_k)
            probabilities = torch.zeros_like(probabilities).scatter(-1, chosen, weights)
        return mix_all_experts(self.experts, tokens, probabilities)


def compute_all_experts(network: MultiTaskNetwork) -> None:
    """Replace each mixture of experts, in place, by one that computes all experts for every token."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, ExpertMlp):
                setattr(module, name, _AllExperts(child))


def write_onnx(
    network: MultiTaskNetwork, tasks: Sequence[Task], size: tuple[int, int], channels: int, path: Path
) -> None:
    """Write a network as one ONNX file with a dynamic number of images; its experts are replaced in place.

    Args:
        network: Network on the CPU in evaluation mode.
        tasks: All of its tasks, by id.
        size: Height and width of its input in pixels.
        channels: Channels of its input, 1 or 3.
        path: File to write.

    Raises:
        ConfigError: A package is not installed.
        RunError: The exporter cannot write the network.
    """
    require_onnx()
    compute_all_experts(network)
    graph = InferenceGraph(network, tasks).eval()
    # Two images: torch would fix the number of images in the graph for an example with one.
    images = torch.rand(2, channels, *size) * 255
    inputs: tuple[Tensor, ...] = (images,)
    batch = torch.export.Dim("batch")
    # Keyed by the parameters of `forward`, which differ from the names of the graph's inputs.
    shapes: dict[str, dict[int, Any]] = {"images": {0: batch}}
    input_names = [IMAGES]
    if graph.conditioned:
        inputs = (images, torch.zeros(2, dtype=torch.int64))
        shapes["task_indices"] = {0: batch}
        input_names.append(TASK)
    with torch.no_grad(), warnings.catch_warnings():
        # torch warns about its own use of trees, and that both inputs share one dynamic dimension, which is intended.
        warnings.filterwarnings("ignore", message=".*LeafSpec.*")
        warnings.filterwarnings("ignore", message=".*The axis name: batch will not be used.*")
        try:
            program: Any = torch.onnx.export(
                graph,
                inputs,
                dynamo=True,
                opset_version=OPSET,
                input_names=input_names,
                output_names=[task.id for task in tasks],
                dynamic_shapes=shapes,
                verbose=False,
            )
        except Exception as error:  # the exporter raises errors of many types
            reason = " ".join(str(error).split())
            raise RunError(
                f"the network cannot be written as ONNX by torch {torch.__version__} ({reason[:300]})"
            ) from error
    _remove_node_metadata(program.model)
    program.save(str(path), external_data=False)


def _remove_node_metadata(model: Any) -> None:
    """Remove what torch notes about each node: its stack trace contains paths of the machine that exports.

    Args:
        model: Graph as an `onnx_ir.Model`; it computes the same without the notes.
    """
    for graph in (model.graph, *model.functions.values()):
        for node in graph.all_nodes():
            node.metadata_props.clear()


def compute_largest_difference(model: Model, path: Path, count: int) -> float:
    """Return the largest difference between outputs of an ONNX file and of the model, over all tasks, on noise.

    A task's difference is divided by its largest output, if that is above 1.

    Args:
        model: Model that was exported.
        path: ONNX file.
        count: Number of images of noise.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    height, width = model.stored.size
    pixels = np.random.default_rng(0).integers(0, 256, (count, height, width, model.stored.channels), dtype=np.uint8)
    feed: dict[str, Any] = {IMAGES: pixels.transpose(0, 3, 1, 2).astype(np.float32)}
    largest = 0.0
    for index, task in enumerate(model.tasks.values()):
        if any(graph_input.name == TASK for graph_input in session.get_inputs()):
            feed[TASK] = np.full(count, index, np.int64)
        (exported,) = session.run([task.id], feed)
        expected = model.outputs(pixels, task.id).cpu()
        expected = expected.softmax(dim=1) if has_class_label(task.type) else expected
        scale = max(1.0, float(expected.abs().max()))
        largest = max(largest, float(np.abs(np.asarray(exported) - expected.numpy()).max()) / scale)
    return largest


def require_onnx() -> None:
    """Check that the packages that write and run ONNX files are installed.

    Raises:
        ConfigError: A package is not installed.
    """
    for package in ("onnx", "onnxscript", "onnxruntime"):
        if find_spec(package) is None:
            raise ConfigError(f"export needs the package {package}: pip install usaggr[onnx]")
