"""Model of a finished run: from images to results in their own pixels, computed as in the run's test scoring."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from usaggr.config.model import MhMtlConfig, ModelConfig
from usaggr.data.batches.batches import normalize_images
from usaggr.data.samples import Sample
from usaggr.errors import ConfigError, RunError, UsaggrError, explain_unknown_name
from usaggr.inference.preprocess import Image, PreparedImage, get_reading_rules, prepare
from usaggr.inference.result_types import Result, make_result
from usaggr.models.build_network import build_network
from usaggr.models.network import MultiTaskNetwork
from usaggr.results.predictions import Prediction
from usaggr.results.trained_model import StoredRun, read_stored_run
from usaggr.tasks import Task
from usaggr.training.decode_outputs import decode_outputs

BATCH_SIZE = 32
"""Default number of images per batch, as in the run's own scoring."""
DEVICES = ("auto", "cpu", "cuda")


class Model:
    """Trained network with its tasks, which `usaggr.load` returns.

    Args:
        stored: Content of the run's folder.
        device: cpu, cuda, or auto (a GPU if there is one).
    """

    def __init__(self, stored: StoredRun, device: str = "auto") -> None:
        self.stored = stored
        self.device = get_device(device)
        self.network = load_network(stored).to(self.device)

    @property
    def tasks(self) -> dict[str, Task]:
        """Tasks of the model by id."""
        return self.stored.tasks

    def predict(self, image: Image, task: str | None = None) -> Result:
        """Predict one task for one image.

        Args:
            image: Path, or uint8 pixels: (H, W) gray, or (H, W, C) gray, gray and alpha, RGB, or RGBA.
            task: Id of the task; may be left out if the model has one task.

        Returns:
            A SegmentationResult, ClassificationResult, BoxResult or LandmarksResult, in pixels of the image.

        Raises:
            ConfigError: The task does not exist.
            DataError: The image cannot be read.
        """
        return self.predict_many([image], task)[0]

    def predict_many(
        self, images: Sequence[Image], task: str | None = None, batch_size: int = BATCH_SIZE
    ) -> list[Result]:
        """Predict one task for several images, which may differ in size.

        Args:
            images: Paths or pixels, as for `predict`.
            task: Id of the task; may be left out if the model has one task.
            batch_size: Number of images that are predicted at once, at least 1.

        Returns:
            Results in the order of the images.

        Raises:
            ConfigError: The task does not exist, or the batch size is below 1.
            DataError: An image cannot be read.
        """
        if batch_size < 1:
            raise ConfigError(f"batch_size: must be at least 1; got {batch_size}")
        selected = self.task(task)
        results: list[Result] = []
        for start in range(0, len(images), batch_size):
            prepared = [self.prepare(image, selected.id) for image in images[start : start + batch_size]]
            results += [make_result(selected, prediction) for prediction in self.predictions(prepared, selected.id)]
        return results

    def task(self, task_id: str | None) -> Task:
        """Return a task by its id; None: the only task.

        Raises:
            ConfigError: The task does not exist, or the model has several.
        """
        if task_id is None and len(self.tasks) == 1:
            return next(iter(self.tasks.values()))
        if task_id is None:
            raise ConfigError(f"task: the model has several tasks; give one of {', '.join(self.tasks)}")
        if task_id not in self.tasks:
            raise ConfigError(explain_unknown_name("task", task_id, self.tasks))
        return self.tasks[task_id]

    def prepare(self, image: Image, task_id: str) -> PreparedImage:
        """Return an image at the size of the network, read like the images of training; see `preprocess.prepare`."""
        stored = self.stored
        return prepare(image, stored.size, stored.channels, stored.max_pixels, get_reading_rules(stored, task_id))

    def predictions(self, prepared: Sequence[PreparedImage], task_id: str) -> list[Prediction]:
        """Return predictions of one task for at least one prepared image, in pixels of the original images."""
        task = self.tasks[task_id]
        outputs = self.outputs(np.stack([image.pixels for image in prepared]), task_id)
        return decode_outputs(task, outputs, [_make_sample(task_id, image) for image in prepared])

    def outputs(self, pixels: NDArray[np.uint8], task_id: str) -> Tensor:
        """Return a task's outputs (see `MultiTaskNetwork`) for images (N, h, w, C) uint8 at the network's size."""
        with torch.inference_mode():
            images = torch.from_numpy(pixels).to(self.device).permute(0, 3, 1, 2).float().div_(255)
            batch_indices = {task_id: torch.arange(len(images), device=self.device)}
            outputs: Tensor = self.network(normalize_images(images), batch_indices)[task_id]
            return outputs


def load(run: str | os.PathLike[str], device: str = "auto") -> Model:
    """Return the model of a finished run, from its folder in a study's `runs/`; see `usaggr.load`.

    Raises:
        RunError: The run is not finished, or its weights are missing or do not fit.
        ConfigError: The device does not exist.
    """
    return Model(read_stored_run(Path(run)), device)


def get_device(name: str, option: str = "device") -> torch.device:
    """Return the device of a name; auto is a GPU if there is one.

    Raises:
        ConfigError: The name is unknown, or there is no GPU.
    """
    if name not in DEVICES:
        raise ConfigError(explain_unknown_name(option, name, DEVICES))
    has_gpu = torch.cuda.is_available()
    if name == "cuda" and not has_gpu:
        raise ConfigError(f"{option}: cuda, but torch finds no GPU on this machine; use cpu or auto")
    return torch.device("cuda" if has_gpu and name != "cpu" else "cpu")


def load_network(stored: StoredRun) -> MultiTaskNetwork:
    """Return the network with the run's scored weights, on the CPU, in evaluation mode. Nothing is downloaded.

    Raises:
        RunError: The weights do not belong to the network of the run.
    """
    try:
        network = build_network(_without_pretrained_weights(stored.model), list(stored.tasks.values()), stored.seed)
        network.load_state_dict(load_file(stored.weights))
    except UsaggrError as error:
        raise RunError(f"{stored.path}: its network cannot be built ({error})") from error
    except Exception as error:  # torch and safetensors raise errors of their own, over several lines
        reason = " ".join(str(error).split())
        raise RunError(f"{stored.weights}: does not fit the run's network ({reason[:300]})") from error
    return network.eval()


def _without_pretrained_weights(model: ModelConfig) -> ModelConfig:
    """Return the configuration without pretrained weights, because those of the run replace them all."""
    changes: dict[str, object] = {"weights": None}
    if isinstance(model, MhMtlConfig) and model.norm == "frozen":
        # Frozen statistics need pretrained weights. In evaluation mode, batch norms read the stored statistics, which
        # gives the same numbers.
        changes["norm"] = "batch"
    return model.model_copy(update=changes)


def _make_sample(task_id: str, image: PreparedImage) -> Sample:
    """Return a sample with the size of an image, which is all that `decode_outputs` reads."""
    return Sample(task_id, "", Path(), "", "", "", image.height, image.width, "", 0)
