"""Predicts an index's images with chosen models, model by model, into a folder in the challenge's layout."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar, get_args

from usaggr.data.read.paths import FileFinder, Misplaced
from usaggr.data.read.thread_pool import pieces, reader_count
from usaggr.data.samples import Fault
from usaggr.data.show.overview import write_faults
from usaggr.errors import ConfigError, DataError, one_of
from usaggr.inference.model_selection import Choice
from usaggr.inference.prediction_folder import PredictionFolder, opened
from usaggr.inference.preprocess import Prepared, prepare
from usaggr.inference.requests import Asked, read_request
from usaggr.progress import Progress
from usaggr.results.trained_model import StoredRun, read_stored_run
from usaggr.stopping import RunInterrupted

if TYPE_CHECKING:
    from usaggr.inference.loaded_model import Model

OnBadImage = Literal["skip", "error"]
SKIPPED = "skipped.csv"
"""In the folder of predictions: what was left out, and why."""
_Read = list[tuple[Asked, Prepared | Fault]]
Piece = TypeVar("Piece")
Found = TypeVar("Found")


@dataclass(frozen=True)
class Rows:
    """Which rows of an index are to be predicted."""

    root: Path
    """Folder that holds csv_files/."""
    tasks: tuple[str, ...] = ()
    """Of these tasks; empty: of all that there are models of."""
    split: Path | None = None
    """split.csv of a study; None: all rows."""
    fold: str | None = None
    """Of the split; None: test."""


@dataclass(frozen=True)
class Way:
    """How predictions are made."""

    batch_size: int
    device: str
    """auto, cpu or cuda."""
    on_bad_image: OnBadImage
    """A missing or broken image is left out, or ends it."""


@dataclass(frozen=True)
class Predicted:
    """What came of it."""

    asked: int
    """Predictions that were to be made."""
    kept: int
    """Of those: the ones that were there before."""
    unread: int
    """Of those: the ones whose image cannot be read."""
    skipped: tuple[Fault, ...]
    """Rows that could not be predicted."""
    left_out: dict[str, int]
    """Task without a model: its rows."""


def as_policy(text: str) -> OnBadImage:
    """What to do with a bad image, by name.

    Raises:
        ConfigError: no such policy.
    """
    for policy in get_args(OnBadImage):
        if policy == text:
            return policy  # type: ignore[no-any-return]
    raise ConfigError(one_of("--on-bad-image", text, get_args(OnBadImage)))


def predict(choice: Choice, rows: Rows, out: Path, way: Way, progress: Progress) -> Predicted:
    """Predict all rows of an index, or a fold's, that the chosen models have the tasks of; what is there is kept.

    Args:
        choice: which model serves which task; of other tasks' rows nothing is predicted.
        rows: of which data.
        out: folder of the predictions.
        way: how.
        progress: told of images.

    Raises:
        ConfigError: the folder holds other models' predictions; no such fold, device or batch.
        DataError: the index cannot be read or is not of these tasks; or, with on_bad_image=error, an image cannot.
        RunError: a model cannot be loaded, or a file cannot be written.
        RunInterrupted: Ctrl-C; what is predicted by then is kept.
    """
    from usaggr.inference.loaded_model import device_of

    if way.batch_size < 1:
        raise ConfigError(f"--batch-size: from 1 on, not {way.batch_size}")
    device_of(way.device)
    root = rows.root.expanduser().absolute()
    runs = {path: read_stored_run(path) for path in choice.runs}
    known = {t: runs[model.run].tasks[t] for t, model in choice.models.items()}
    for task_id in rows.tasks:
        if task_id not in known:
            raise ConfigError(one_of("--tasks", task_id, known))
    tasks = {t: task for t, task in known.items() if not rows.tasks or t in rows.tasks}
    request = read_request(root, tasks, rows.split, rows.fold)
    skipped = list(request.faults)
    if skipped and way.on_bad_image == "error":
        raise DataError(str(skipped[0]))
    with opened(out, {t: _identity(runs[m.run]) for t, m in choice.models.items()}, root, known) as folder:
        todo = [one for one in request.asked if not folder.has(one)]
        progress.start("images predicted", len(todo))
        try:
            for path, of in choice.runs.items():
                own = [one for one in todo if one.task in of]
                if own:
                    skipped += _predict_run(runs[path], own, FileFinder(str(root.resolve())), folder, way, progress)
        except KeyboardInterrupt as stop:
            raise RunInterrupted("stopped; the same command goes on") from stop
        finally:
            progress.finish()
        (out / SKIPPED).unlink(missing_ok=True)
        if skipped:
            write_faults(skipped, out / SKIPPED)
    left_out = {t: n for t, n in request.left_out.items() if t not in known}
    unread = len(skipped) - len(request.faults)
    return Predicted(len(request.asked), len(request.asked) - len(todo), unread, tuple(skipped), left_out)


def _predict_run(
    stored: StoredRun, todo: Sequence[Asked], finder: FileFinder, folder: PredictionFolder, way: Way, progress: Progress
) -> list[Fault]:
    """Predict what is one run's, task by task; gives the faults of images that were skipped."""
    from usaggr.inference.loaded_model import Model

    model = Model(stored, way.device)
    faults: list[Fault] = []
    work = [
        piece
        for task_id in stored.tasks
        for piece in pieces([one for one in todo if one.task == task_id], way.batch_size)
    ]

    def read(piece: Sequence[Asked]) -> _Read:
        return [(one, _read(one, finder, stored)) for one in piece]

    for found in _ahead(read, work, reader_count(None)):
        for _, image in found:
            if isinstance(image, Fault):
                if way.on_bad_image == "error":
                    raise DataError(str(image))
                faults.append(image)
        _predict_batch(model, [(one, image) for one, image in found if isinstance(image, Prepared)], folder)
        progress.advance(len(found))
    return faults


def _predict_batch(model: "Model", batch: Sequence[tuple[Asked, Prepared]], folder: PredictionFolder) -> None:
    if not batch:
        return
    predictions = model.predictions([image for _, image in batch], batch[0][0].task)
    folder.add(
        [
            (one, prediction, image.height, image.width)
            for (one, image), prediction in zip(batch, predictions, strict=True)
        ]
    )


def _read(one: Asked, finder: FileFinder, stored: StoredRun) -> Prepared | Fault:
    """An image at the network's size, or what is wrong with it."""
    found = finder.find(one.image_path)
    if isinstance(found, Misplaced):
        return one.row.fault("image_path", found.kind, found.message, one.image_path)
    try:
        return prepare(found.path, stored.size, stored.channels, stored.max_pixels)
    except DataError as error:
        message = str(error).removeprefix(f"{found.path}: ")
        return one.row.fault("image_path", "unreadable_file", message, one.image_path)


def _identity(stored: StoredRun) -> dict[str, str]:
    """What tells a model from all others."""
    return {"run_id": stored.run_id, "fingerprint": stored.fingerprint, "weights": stored.weights_hash}


def _ahead(function: Callable[[Piece], Found], work: Sequence[Piece], readers: int) -> Iterator[Found]:
    """A function's results on each piece, in order; a few pieces are worked on ahead, so that no more are held."""
    with ThreadPoolExecutor(readers, thread_name_prefix="usaggr-reader") as pool:
        waiting: deque[Future[Found]] = deque()
        try:
            for piece in work:
                waiting.append(pool.submit(function, piece))
                if len(waiting) > readers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
