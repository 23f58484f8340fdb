"""Pictures of test samples with truth and predictions, which show the meaning of a difference.

Only this part of a report needs the data set. If the data set cannot be read, the report gives the reason instead.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
from pyarrow import compute, parquet
from pydantic import ValidationError

from usaggr.analysis.collect import CollectedRun, Collection
from usaggr.config.study import DataConfig
from usaggr.data.read.load_dataset import load_dataset
from usaggr.data.samples import Dataset, Sample
from usaggr.document.elements import Picture, literal
from usaggr.errors import DataError, RunError, UsaggrError
from usaggr.progress import NoProgress, Progress
from usaggr.report.tables import Tables
from usaggr.report.tasks.example_captions import write_caption, write_description, write_title
from usaggr.report.tasks.example_choice import (
    Choice,
    Contest,
    SampleScores,
    choose_extremes,
    find_contest,
    sample_score,
)
from usaggr.report.tasks.example_pictures import Shown, draw_picture
from usaggr.report.tasks.overlays import Marks
from usaggr.results import contract
from usaggr.results.predictions import decode_mask

MAX_NEW_FILES = 4_000
"""Largest number of files of a data set that are read again for pictures; takes about ten seconds."""

_SCORES = ("dsc", "iou", "mre")
"""Metrics of single samples that predictions.parquet has as columns."""


@dataclass(frozen=True)
class SavedPrediction:
    """A row of predictions.parquet: the prediction of one run for one sample."""

    task_id: str
    """Task that the prediction is for."""
    sample_id: str
    """Sample of the task."""
    label: int | None
    """True class; None for other task types."""
    probs: Sequence[float] | None
    """(C,) probability of each class; None for other task types."""
    box: Sequence[float] | None
    """(4,) predicted box; None for other task types."""
    points: Sequence[float] | None
    """(2 P,) coordinates of predicted landmarks; None for other task types."""
    mask: bytes | None
    """PNG of the predicted mask; None for other task types."""
    scores: Mapping[str, float | None]
    """Score of the sample by metric; None for the metrics of other task types."""


_COLUMNS = ("task_id", "sample_id", "label", "probs", "box", "points", "mask")
"""Columns of predictions.parquet with the name of their field."""


@dataclass(frozen=True)
class TaskExamples:
    """Pictures of one task."""

    pictures: tuple[Picture, ...] = ()
    """Pictures of the chosen samples, at most two."""
    captions: tuple[str, ...] = ()
    """Captions as inline Markdown, one per picture."""
    reason: str | None = None
    """Reason why there is no picture, as inline Markdown."""


@dataclass(frozen=True)
class Examples:
    """Pictures of all tasks."""

    reason: str | None
    """Reason why no task has pictures, as inline Markdown; None if the data could be read."""
    tasks: dict[str, TaskExamples] = field(default_factory=dict)
    """Pictures by task id."""


@dataclass(frozen=True)
class _Plan:
    """The pictures of a task that are not drawn yet."""

    contest: Contest
    choices: tuple[Choice, ...]

    def runs(self, choice: Choice) -> tuple[CollectedRun, ...]:
        """Return the runs of the groupings that are shown, in order."""
        return tuple(side.runs[choice.seed] for side in self.contest.shown(choice.seed))


def write_examples(collection: Collection, tables: Tables, folder: Path, progress: Progress | None = None) -> Examples:
    """Draw at most two test samples of each task into a folder, as pictures that are at most 900 pixels wide.

    These are the samples on which sharing helped and harmed most, at the largest scale of the base variant. If only one
    grouping has runs, they are its best and its worst sample.

    Args:
        collection: Runs of the study.
        tables: Tables of the report.
        folder: Folder for the pictures; their paths in the result are relative to its parent.
        progress: Receives the number of tasks that are finished.

    Raises:
        OSError: A picture cannot be written.
    """
    progress = progress or NoProgress()
    try:
        data = _read_data_config(collection)
        dataset = _load_data(collection, data, progress)
    except (UsaggrError, ValidationError, OSError) as error:
        return Examples(literal(_first_line(error)))
    scores = SampleScores(collection)
    plans: dict[str, _Plan] = {}
    examples: dict[str, TaskExamples] = {}
    progress.start("choosing samples to draw", len(collection.tasks))
    for task_id in collection.tasks:
        planned = _plan_task(collection, tables, task_id, scores)
        if isinstance(planned, _Plan):
            plans[task_id] = planned
        else:
            examples[task_id] = TaskExamples(reason=planned)
        progress.advance()
    progress.start("drawing samples", len(plans))
    predictions = _Predictions(plans)
    for task_id, name in zip(plans, file_names(plans), strict=True):
        samples = {sample.sample_id: sample for sample in dataset.by_task.get(task_id, ())}
        examples[task_id] = _draw(plans[task_id], samples, predictions, data, folder, name)
        progress.advance()
    progress.finish()
    return Examples(None, {task_id: examples[task_id] for task_id in collection.tasks})


def file_names(task_ids: Sequence[str] | Mapping[str, object]) -> Iterator[str]:
    """Yield file names of tasks that are safe and distinct on any file system, also if it ignores case."""
    used: set[str] = set()
    for task_id in task_ids:
        name = re.sub(r"[^A-Za-z0-9_-]+", "_", task_id)[:80]  # file systems allow 255 bytes, with number and suffix
        number = 1
        unique = name
        while unique.lower() in used:
            number += 1
            unique = f"{name}-{number}"
        used.add(unique.lower())
        yield unique


class _Limited:
    """Progress that refuses long work, because pictures do not justify reading a complete data set again."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def start(self, what: str, total: int) -> None:
        if total > MAX_NEW_FILES:
            raise DataError(
                f"{total:,} files of the data set would have to be read again; run `usaggr data check` with the "
                "study's data once, then build the report again"
            )
        self._progress.start(what, total)

    def advance(self, n: int = 1) -> None:
        self._progress.advance(n)

    def finish(self) -> None:
        self._progress.finish()


def _read_data_config(collection: Collection) -> DataConfig:
    """Return the study's data settings; synthetic images are read from their files, so that they are not made again.

    Raises:
        DataError: The data no longer exist.
        ValidationError: The settings are not valid in this version.
    """
    if not Path(collection.data.root).is_dir():
        raise DataError(f"the data are no longer at {collection.data.root}")
    data = DataConfig.model_validate(collection.study.settings.get("data"))
    return data.model_copy(update={"name": "fmuia", "root": collection.data.root})


def _load_data(collection: Collection, data: DataConfig, progress: Progress) -> Dataset:
    """Read the data set of the study.

    Args:
        collection: Runs of the study.
        data: Settings of the data set.
        progress: Receives the number of files that are read.

    Raises:
        UsaggrError: The data have changed since, or reading them takes too long.
    """
    dataset = load_dataset(data, _Limited(progress))
    if dataset.content_hash != collection.data.content_hash:
        raise DataError(f"the data at {dataset.root} have changed since the runs were trained")
    return dataset


def _plan_task(collection: Collection, tables: Tables, task_id: str, scores: SampleScores) -> "_Plan | str":
    """Return the pictures to draw for a task, or the reason why there are none.

    Args:
        collection: Runs of the study.
        tables: Tables of the report.
        task_id: The task.
        scores: Scores of single samples.
    """
    contest = find_contest(collection, tables.comparison.verdict_table, task_id)
    if contest is None:
        return "no finished run of this task has predictions"
    try:
        choices = choose_extremes(contest, scores)
    except RunError as error:
        return literal(_first_line(error))
    return _Plan(contest, choices) if choices else "no test sample has a score"


class _Predictions:
    """Saved predictions that are drawn; each file is read once, for all tasks of its run."""

    def __init__(self, plans: Mapping[str, _Plan]) -> None:
        self._samples: dict[str, set[str]] = defaultdict(set)
        self._read: dict[str, dict[tuple[str, str], SavedPrediction]] = {}
        for plan in plans.values():
            for choice in plan.choices:
                for run in plan.runs(choice):
                    self._samples[run.row.fingerprint].add(choice.sample_id)

    def read(self, run: CollectedRun, task_id: str, sample_id: str) -> SavedPrediction:
        """Return the prediction of a sample.

        Args:
            run: Run that made the prediction.
            task_id: Id of the task.
            sample_id: Id of the sample.

        Raises:
            RunError: The prediction is missing, or the file cannot be read.
        """
        name = run.row.fingerprint
        assert run.path is not None
        path = run.path / contract.PREDICTIONS
        if name not in self._read:
            saved = read_rows(path, self._samples[name])
            self._read[name] = {(row.task_id, row.sample_id): row for row in saved}
        if (task_id, sample_id) not in self._read[name]:
            raise RunError(f"{path}: no prediction of {sample_id} for {task_id}")
        return self._read[name][task_id, sample_id]


def read_rows(path: Path, sample_ids: set[str]) -> list[SavedPrediction]:
    """Return the predictions of some samples in a file of predictions, for all tasks.

    Raises:
        RunError: The file cannot be read.
    """
    is_requested = compute.field("sample_id").isin(sorted(sample_ids))
    try:
        # Without checksums, damaged bytes may be read as valid numbers.
        table = parquet.read_table(
            path, columns=[*_COLUMNS, *_SCORES], filters=is_requested, page_checksum_verification=True
        )
        records = table.to_pylist()
    except (OSError, ValueError, pa.ArrowException) as error:  # damaged text raises ValueError, as it is not UTF-8
        raise RunError(f"{path}: cannot be read ({_first_line(error)})") from error
    return [
        SavedPrediction(**{name: row[name] for name in _COLUMNS}, scores={name: row[name] for name in _SCORES})
        for row in records
    ]


def _draw(
    plan: _Plan, samples: Mapping[str, Sample], predictions: _Predictions, data: DataConfig, folder: Path, name: str
) -> TaskExamples:
    """Draw the pictures of a task and write them; if one fails, return the reason without pictures.

    Args:
        plan: The samples to draw.
        samples: Samples of the task by id.
        predictions: Saved predictions.
        data: Settings for reading images.
        folder: Folder for the pictures.
        name: Start of the file names.

    Raises:
        OSError: A picture cannot be written.
    """
    contest, pictures, captions = plan.contest, [], []
    for choice in plan.choices:
        try:
            shown = [
                _prepare(contest, side.label, predictions.read(run, contest.task.id, choice.sample_id))
                for side, run in zip(contest.shown(choice.seed), plan.runs(choice), strict=True)
            ]
            content = draw_picture(contest.task, samples[choice.sample_id], shown, data)
        # Damaged predictions raise any of these while they are decoded or drawn; the other tasks keep their pictures.
        except (UsaggrError, ValueError, TypeError, LookupError, cv2.error) as error:
            return TaskExamples(reason=literal(f"{choice.sample_id} cannot be drawn: {_first_line(error)}"))
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{name}-{choice.kind}.jpg"
        file.write_bytes(content)
        description = write_description(contest, choice, [(side.label, side.note) for side in shown])
        pictures.append(Picture(f"{folder.name}/{file.name}", write_title(contest, choice), description))
        captions.append(write_caption(contest, choice))
    return TaskExamples(tuple(pictures), tuple(captions))


def _prepare(contest: Contest, label: str, row: SavedPrediction) -> Shown:
    """Return a saved prediction in the form that can be drawn.

    Args:
        contest: Sides of the task.
        label: Label of the side.
        row: The saved prediction.

    Raises:
        ValueError: The mask is damaged, or a prediction of classes has no label.
    """
    score = sample_score(contest.task.type)
    probabilities = None if row.probs is None else np.array(row.probs, dtype=float)
    if probabilities is None:
        value = row.scores[score.name]
    elif row.label is None:
        raise ValueError("the prediction has no label")
    else:
        value = float(probabilities[row.label])
    marks = Marks(
        mask=None if row.mask is None else decode_mask(row.mask),
        box=None if row.box is None else np.array(row.box, dtype=float),
        points=None if row.points is None else np.array(row.points, dtype=float).reshape(-1, 2),
    )
    return Shown(label, score.format(value, score.short), marks, probabilities)


def _first_line(error: Exception) -> str:
    """Return the first line of an error's message."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"study.yaml's data.{'.'.join(map(str, first['loc']))} is not valid in this version: {first['msg']}"
    line = str(error).strip().partition("\n")[0]
    return line.rstrip(" :.") or type(error).__name__
