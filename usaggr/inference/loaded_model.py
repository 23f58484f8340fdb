"""A run's model, outside the sweep: from images to results in their own pixels, as the run's test scoring has them."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from usaggr.config.model import MhMtlConfig, ModelConfig
from usaggr.data.batches.batches import normalise
from usaggr.data.samples import Sample
from usaggr.errors import ConfigError, RunError, UsaggrError, one_of
from usaggr.inference.preprocess import Image, Prepared, prepare
from usaggr.inference.results import Result, result_of
from usaggr.models.build_network import build_network
from usaggr.models.network import MultiTaskNetwork
from usaggr.results.predictions import Prediction
from usaggr.results.trained_model import StoredRun, read_stored_run
from usaggr.tasks import Task
from usaggr.training.decode_outputs import decode_outputs

BATCH_SIZE = 32
"""Images at once, unless told otherwise: as in the run's own scoring."""
DEVICES = ("auto", "cpu", "cuda")


class Model:
    """A trained network with its tasks; `usaggr.load` makes it."""

    def __init__(self, stored: StoredRun, device: str = "auto") -> None:
        self.stored = stored
        """What the run's folder says of it."""
        self.device = device_of(device)
        self.network = load_network(stored).to(self.device)

    @property
    def tasks(self) -> dict[str, Task]:
        """By id."""
        return self.stored.tasks

    def predict(self, image: Image, task: str | None = None) -> Result:
        """What the model says of an image.

        Args:
            image: a path; or uint8 pixels, (H, W) grey, or (H, W, C): grey, grey and alpha, RGB, RGBA.
            task: its id; may be left out where the model has one task.

        Returns:
            A SegmentationResult, ClassificationResult, BoxResult or LandmarksResult, in pixels of the image.

        Raises:
            ConfigError: no such task.
            DataError: the image cannot be read.
        """
        return self.predict_many([image], task)[0]

    def predict_many(
        self, images: Sequence[Image], task: str | None = None, batch_size: int = BATCH_SIZE
    ) -> list[Result]:
        """What the model says of images, in their order; see `predict`. They may be of different sizes.

        Raises:
            ConfigError: no such task, or a batch of none.
            DataError: an image cannot be read.
        """
        if batch_size < 1:
            raise ConfigError(f"batch_size: from 1 on, not {batch_size}")
        of = self.task(task)
        results: list[Result] = []
        for start in range(0, len(images), batch_size):
            prepared = [self.prepare(image) for image in images[start : start + batch_size]]
            results += [result_of(of, prediction) for prediction in self.predictions(prepared, of.id)]
        return results

    def task(self, task_id: str | None) -> Task:
        """A task by its id; None: the only one.

        Raises:
            ConfigError: no such task, or several.
        """
        if task_id is None and len(self.tasks) == 1:
            return next(iter(self.tasks.values()))
        if task_id is None:
            raise ConfigError(f"task: the model has several; give one of {', '.join(self.tasks)}")
        if task_id not in self.tasks:
            raise ConfigError(one_of("task", task_id, self.tasks))
        return self.tasks[task_id]

    def prepare(self, image: Image) -> Prepared:
        """An image at the network's size; see `preparing.prepare`."""
        return prepare(image, self.stored.size, self.stored.channels, self.stored.max_pixels)

    def predictions(self, prepared: Sequence[Prepared], task_id: str) -> list[Prediction]:
        """Predictions of one task for images that are prepared, at least one, in pixels of the images as given."""
        task = self.tasks[task_id]
        outputs = self.outputs(np.stack([image.pixels for image in prepared]), task_id)
        return decode_outputs(task, outputs, [_sample(task_id, image) for image in prepared])

    def outputs(self, pixels: NDArray[np.uint8], task_id: str) -> Tensor:
        """What a task's head gives (see `MultiTaskNetwork`) for images (N, h, w, C) uint8 at the network's size."""
        with torch.inference_mode():
            images = torch.from_numpy(pixels).to(self.device).permute(0, 3, 1, 2).float().div_(255)
            rows = {task_id: torch.arange(len(images), device=self.device)}
            outputs: Tensor = self.network(normalise(images), rows)[task_id]
            return outputs


def load(run: str | os.PathLike[str], device: str = "auto") -> Model:
    """The model of a finished run, from its folder in a study's `runs/`.

    Raises:
        RunError: no finished run, or its weights are not there or do not fit.
        ConfigError: no such device.
    """
    return Model(read_stored_run(Path(run)), device)


def device_of(name: str) -> torch.device:
    """The device that a name means: auto is a GPU, where there is one.

    Raises:
        ConfigError: no such device, or no GPU.
    """
    if name not in DEVICES:
        raise ConfigError(one_of("device", name, DEVICES))
    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        raise ConfigError("device: cuda, and torch finds no GPU here; take cpu or auto")
    return torch.device("cuda" if there and name != "cpu" else "cpu")


def load_network(stored: StoredRun) -> MultiTaskNetwork:
    """The network with the run's scored weights, on the CPU, ready to predict. Nothing is downloaded.

    Raises:
        RunError: the weights are not those of this network.
    """
    try:
        network = build_network(_without_pretrained(stored.model), list(stored.tasks.values()), stored.seed)
        network.load_state_dict(load_file(stored.weights))
    except UsaggrError as error:
        raise RunError(f"{stored.path}: its network cannot be built ({error})") from error
    except Exception as error:  # torch and safetensors have errors of their own, of several lines
        reason = " ".join(str(error).split())
        raise RunError(f"{stored.weights}: does not fit the run's network ({reason[:300]})") from error
    return network.eval()


def _without_pretrained(model: ModelConfig) -> ModelConfig:
    """The same network without a file or download of pretrained weights, which the run's own take the place of."""
    changes: dict[str, object] = {"weights": None}
    if isinstance(model, MhMtlConfig) and model.norm == "frozen":
        # Statistics that are frozen are those of the stored weights, which evaluation mode reads: the same numbers.
        changes["norm"] = "batch"
    return model.model_copy(update=changes)


def _sample(task_id: str, image: Prepared) -> Sample:
    """What `decode_outputs` needs to know of an image: its size."""
    return Sample(task_id, "", Path(), "", "", "", image.height, image.width, "", 0)
