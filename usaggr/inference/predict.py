"""Prediction of the images of an index or a folder with selected models, in the layout of the challenge."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar, get_args

from usaggr.data.read.image_reading import ImageReading
from usaggr.data.read.paths import FileFinder, UnusablePath
from usaggr.data.read.thread_pool import count_readers, split_into_pieces
from usaggr.data.samples import Fault
from usaggr.data.show.overview import write_faults
from usaggr.errors import ConfigError, DataError, explain_unknown_name
from usaggr.inference.image_requests import FolderSelection, list_requests
from usaggr.inference.model_selection import ModelSelection
from usaggr.inference.prediction_folder import SKIPPED, PredictionFolder, open_prediction_folder
from usaggr.inference.prediction_pictures import name_overlays, write_overlays
from usaggr.inference.prediction_requests import PredictionRequest, RequestedPredictions, read_requests
from usaggr.inference.prediction_targets import check_targets
from usaggr.inference.preprocess import PreparedImage, get_reading, get_reading_rules, prepare
from usaggr.io.home import expand_home
from usaggr.progress import Progress
from usaggr.results.trained_model import StoredRun, read_stored_run
from usaggr.stopping import RunInterrupted
from usaggr.tasks import Task

if TYPE_CHECKING:
    from usaggr.inference.loaded_model import Model

OnBadImage = Literal["skip", "error"]
"""Reaction to a missing or broken image: leave it out, or end the command with an error."""
InputT = TypeVar("InputT")
OutputT = TypeVar("OutputT")


@dataclass(frozen=True)
class IndexSelection:
    """Rows of an index to predict."""

    root: Path
    """Folder that contains csv_files/."""
    tasks: tuple[str, ...] = ()
    """Ids of the tasks to predict; empty: all tasks of the models."""
    split: Path | None = None
    """split.csv of a study; None: all rows."""
    fold: str | None = None
    """Subset of the split; None: test."""
    follow_links: bool = False
    """True to read images and index files that are linked from outside the root."""


@dataclass(frozen=True)
class PredictionOptions:
    """Options of the prediction that do not change its numbers."""

    batch_size: int
    """Number of images that are predicted at once."""
    device: str
    """cpu, cuda, or auto (a GPU if there is one)."""
    on_bad_image: OnBadImage
    overlays: bool = False
    """True: draw each prediction into its image, in the folder `overlays/`."""


@dataclass(frozen=True)
class PredictionSummary:
    """Result of `predict`: numbers of predictions, and rows without one."""

    requested: int
    """Number of requested predictions."""
    existing: int
    """Number of these that existed before."""
    unreadable: int
    """Number of these whose image cannot be read."""
    skipped: tuple[Fault, ...]
    """Faults of rows that could not be predicted."""
    left_out: dict[str, int]
    """Task without a model: number of its rows."""
    unread: tuple[str, ...] = ()
    """Lines about files of a folder that are no images."""
    overlays: int = 0
    """Number of pictures with predictions drawn in."""


def parse_on_bad_image(text: str) -> OnBadImage:
    """Return the value of --on-bad-image.

    Raises:
        ConfigError: The value is not allowed.
    """
    for policy in get_args(OnBadImage):
        if policy == text:
            return policy  # type: ignore[no-any-return]
    raise ConfigError(explain_unknown_name("--on-bad-image", text, get_args(OnBadImage)))


def check_options(options: PredictionOptions) -> None:
    """Check the batch size and the device before anything is read.

    Raises:
        ConfigError: One of them is invalid; the message names the option of the command line.
    """
    from usaggr.inference.loaded_model import get_device

    if options.batch_size < 1:
        raise ConfigError(f"--batch-size: must be at least 1; got {options.batch_size}")
    get_device(options.device, "--device")


def predict(
    selection: ModelSelection,
    images: IndexSelection | FolderSelection,
    out: Path,
    options: PredictionOptions,
    progress: Progress,
) -> PredictionSummary:
    """Predict rows of an index, or images of a folder, for the tasks of the models; existing predictions are kept.

    Args:
        selection: Model of each task.
        images: Rows of an index, of which those of tasks without a model are left out; or a folder of images.
        out: Folder of the predictions.
        options: Batch size, device, and reaction to bad images.
        progress: Receives the number of predicted images.

    Raises:
        ConfigError: The folder contains predictions of other models; the subset, device or batch size is invalid.
        DataError: The index cannot be read or does not belong to these tasks; or an image cannot be read and
            `on_bad_image` is error.
        RunError: A model cannot be loaded, or a file cannot be written.
        RunInterrupted: Ctrl-C was pressed; finished predictions are kept.
    """
    check_options(options)
    root = expand_home(images.root, "--images" if isinstance(images, FolderSelection) else "--data").absolute()
    runs = {path: read_stored_run(path) for path in selection.runs}
    model_tasks = {task_id: runs[model.run].tasks[task_id] for task_id, model in selection.models.items()}
    tasks = _choose_tasks(model_tasks, images.tasks)
    requested = _list_requested(images, root, tasks)
    check_targets(requested.requests, out, name_overlays(requested.requests).values() if options.overlays else ())
    if requested.faults and options.on_bad_image == "error":
        raise DataError(str(requested.faults[0]))
    skipped = list(requested.faults)
    identities = {task_id: _get_identity(runs[model.run]) for task_id, model in selection.models.items()}
    with open_prediction_folder(out, identities, root, model_tasks) as folder:
        remaining = [request for request in requested.requests if not folder.has(request)]
        finder = FileFinder(str(root.resolve()), images.follow_links)
        progress.start("images predicted", len(remaining))
        try:
            for path, run_tasks in selection.runs.items():
                if run_requests := [request for request in remaining if request.task in run_tasks]:
                    skipped += _predict_run(runs[path], run_requests, finder, folder, options, progress)
        except KeyboardInterrupt as stop:
            raise RunInterrupted("stopped; run the same command to continue") from stop
        finally:
            progress.finish()
        (out / SKIPPED).unlink(missing_ok=True)  # of an earlier call; its images may be readable now
        if skipped:
            write_faults(skipped, out / SKIPPED)
        readings = {task_id: _get_reading(runs[model.run], task_id) for task_id, model in selection.models.items()}
        drawn, max_pixels = requested.requests if options.overlays else (), max(r.max_pixels for r in runs.values())
        overlays = write_overlays(folder, drawn, tasks, finder, readings, max_pixels, progress)
    total, failed = len(requested.requests), len(skipped) - len(requested.faults)
    left_out = {task_id: number for task_id, number in requested.left_out.items() if task_id not in model_tasks}
    n_existing = total - len(remaining)
    return PredictionSummary(total, n_existing, failed, tuple(skipped), left_out, requested.unread, overlays)


def _get_reading(stored: StoredRun, task_id: str) -> ImageReading:
    return get_reading(get_reading_rules(stored, task_id))


def _list_requested(
    images: IndexSelection | FolderSelection, root: Path, tasks: Mapping[str, Task]
) -> RequestedPredictions:
    """Return the predictions to make for rows of an index or images of a folder.

    Args:
        images: Requested rows or images.
        root: Folder of the data, as an absolute path.
        tasks: Tasks to predict, by id.
    """
    if isinstance(images, FolderSelection):
        return list_requests(root, tasks.values())
    return read_requests(root, tasks, images.split, images.fold, images.follow_links)


def _choose_tasks(model_tasks: Mapping[str, Task], task_ids: Sequence[str]) -> dict[str, Task]:
    """Return the requested tasks; all tasks of the models if none is requested.

    Raises:
        ConfigError: The models do not have a requested task.
    """
    for task_id in task_ids:
        if task_id not in model_tasks:
            raise ConfigError(explain_unknown_name("--tasks", task_id, model_tasks))
    return {task_id: task for task_id, task in model_tasks.items() if not task_ids or task_id in task_ids}


def _predict_run(
    stored: StoredRun,
    requests: Sequence[PredictionRequest],
    finder: FileFinder,
    folder: PredictionFolder,
    options: PredictionOptions,
    progress: Progress,
) -> list[Fault]:
    """Predict the requests of one run, task by task; return the faults of images that were skipped.

    Args:
        stored: Content of the run's folder.
        requests: Predictions to make with this run.
        finder: Finds images in the data.
        folder: Folder of the predictions.
        options: Batch size, device, and reaction to bad images.
        progress: Receives the number of predicted images.

    Raises:
        DataError: An image cannot be read and `on_bad_image` is error.
    """
    from usaggr.inference.loaded_model import Model

    model = Model(stored, options.device)
    faults: list[Fault] = []
    batches = [
        batch
        for task_id in stored.tasks
        for batch in split_into_pieces([request for request in requests if request.task == task_id], options.batch_size)
    ]

    def read_batch(batch: Sequence[PredictionRequest]) -> list[tuple[PredictionRequest, PreparedImage | Fault]]:
        return [(request, _read_image(request, finder, stored)) for request in batch]

    for images in _map_ahead(read_batch, batches, count_readers(None)):
        for _, image in images:
            if isinstance(image, Fault):
                if options.on_bad_image == "error":
                    raise DataError(str(image))
                faults.append(image)
        readable = [(request, image) for request, image in images if isinstance(image, PreparedImage)]
        _predict_batch(model, readable, folder)
        progress.advance(len(images))
    return faults


def _predict_batch(
    model: "Model", batch: Sequence[tuple[PredictionRequest, PreparedImage]], folder: PredictionFolder
) -> None:
    """Predict images of one task and add the predictions to the folder.

    Args:
        model: Model to predict with.
        batch: Requests of one task with their images; may be empty.
        folder: Folder of the predictions.
    """
    if not batch:
        return
    predictions = model.predictions([image for _, image in batch], batch[0][0].task)
    folder.add(
        [
            (request, prediction, image.height, image.width)
            for (request, image), prediction in zip(batch, predictions, strict=True)
        ]
    )


def _read_image(request: PredictionRequest, finder: FileFinder, stored: StoredRun) -> PreparedImage | Fault:
    """Return the image of a request at the size of the network, or its fault.

    Args:
        request: Prediction to make.
        finder: Finds images in the data.
        stored: Run whose network receives the image.
    """
    file = finder.find(request.image_path)
    if isinstance(file, UnusablePath):
        return request.row.make_fault("image_path", file.kind, file.message, request.image_path)
    try:
        rules = get_reading_rules(stored, request.task)
        return prepare(file.path, stored.size, stored.channels, stored.max_pixels, rules)
    except DataError as error:
        message = str(error).removeprefix(f"{file.path}: ")
        return request.row.make_fault("image_path", "unreadable_file", message, request.image_path)


def _get_identity(stored: StoredRun) -> dict[str, str]:
    """Return the ids and hashes that distinguish a model from all others; their keys are stored in the folder."""
    return {"run_id": stored.run_id, "fingerprint": stored.fingerprint, "weights": stored.weights_hash}


def _map_ahead(function: Callable[[InputT], OutputT], inputs: Sequence[InputT], readers: int) -> Iterator[OutputT]:
    """Yield a function's outputs in order, computed by threads a few inputs ahead of the consumer.

    The number of outputs that wait is limited, because all images of an index may not fit in memory.

    Args:
        function: Function to call.
        inputs: Inputs, one per call.
        readers: Number of threads, and of outputs that may wait.
    """
    with ThreadPoolExecutor(readers, thread_name_prefix="usaggr-reader") as pool:
        waiting: deque[Future[OutputT]] = deque()
        try:
            for function_input in inputs:
                waiting.append(pool.submit(function, function_input))
                if len(waiting) > readers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
