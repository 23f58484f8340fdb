"""Pictures of test samples with truth and predictions, which show the meaning of a difference.

Only this part of a report needs the data set. If the data set cannot be read, the report gives the reason instead.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import assert_never

import cv2
import numpy as np
from pydantic import ValidationError

from usaggr.analysis.collect import CollectedRun, Collection
from usaggr.config.study import DataConfig
from usaggr.data.read.load_dataset import load_dataset
from usaggr.data.samples import Dataset, Sample
from usaggr.document.elements import Picture, escape_markdown
from usaggr.errors import DataError, RunError, UsaggrError, get_first_line
from usaggr.progress import NoProgress, Progress
from usaggr.report.tables import Tables
from usaggr.report.tasks.example_captions import write_caption, write_description, write_title
from usaggr.report.tasks.example_choice import ChosenSample, TaskComparison, choose_samples, find_comparison
from usaggr.report.tasks.example_pictures import DrawnPrediction, draw_picture
from usaggr.report.tasks.overlays import Marks
from usaggr.report.tasks.sample_scores import SampleScoreReader, make_sample_score
from usaggr.report.tasks.saved_predictions import PredictionReader, SavedPrediction
from usaggr.results.predictions import decode_mask
from usaggr.tasks import Task, TaskType

MAX_NEW_FILES = 4_000
"""Largest number of files of a data set that are read again for pictures; it takes about ten seconds."""


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
class _PicturePlan:
    """The samples of a task that will be drawn."""

    comparison: TaskComparison
    samples: tuple[ChosenSample, ...]

    def list_runs(self, sample: ChosenSample) -> tuple[CollectedRun, ...]:
        """Return the run of each predictor that is drawn for a sample, in order."""
        return tuple(predictor.runs[sample.seed] for predictor in self.comparison.list_predictors(sample.seed))


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
        return Examples(escape_markdown(_describe_error(error)))
    scores = SampleScoreReader(collection)
    plans: dict[str, _PicturePlan] = {}
    examples: dict[str, TaskExamples] = {}
    progress.start("choosing samples to draw", len(collection.tasks))
    for task_id in collection.tasks:
        planned = _plan_task(collection, tables, task_id, scores)
        if isinstance(planned, _PicturePlan):
            plans[task_id] = planned
        else:
            examples[task_id] = TaskExamples(reason=planned)
        progress.advance()
    progress.start("drawing samples", len(plans))
    predictions = PredictionReader(_list_samples_by_run(plans.values()))
    for task_id, name in zip(plans, make_file_names(plans), strict=True):
        samples = {sample.sample_id: sample for sample in dataset.by_task.get(task_id, ())}
        examples[task_id] = _draw_task(plans[task_id], samples, predictions, data, folder / name)
        progress.advance()
    progress.finish()
    return Examples(None, {task_id: examples[task_id] for task_id in collection.tasks})


def make_file_names(task_ids: Iterable[str]) -> Iterator[str]:
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


class _LimitedProgress:
    """Progress that refuses long work, because pictures do not justify reading a complete data set again."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def start(self, description: str, total: int) -> None:
        if total > MAX_NEW_FILES:
            raise DataError(
                f"{total:,} files of the data set would have to be read again; run `usaggr data check` with the "
                "study's data once, then build the report again"
            )
        self._progress.start(description, total)

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
    dataset = load_dataset(data, _LimitedProgress(progress), keep_facts=False)
    if dataset.content_hash != collection.data.content_hash:
        raise DataError(f"the data at {dataset.root} have changed since the runs were trained")
    return dataset


def _plan_task(collection: Collection, tables: Tables, task_id: str, scores: SampleScoreReader) -> "_PicturePlan | str":
    """Return the pictures to draw for a task, or the reason why there are none.

    Args:
        collection: Runs of the study.
        tables: Tables of the report.
        task_id: The task.
        scores: Scores of single samples.
    """
    comparison = find_comparison(collection, tables.comparison.verdict_table, task_id)
    if comparison is None:
        return "no finished run of this task has predictions"
    try:
        samples = choose_samples(comparison, scores)
    except RunError as error:
        return escape_markdown(_describe_error(error))
    return _PicturePlan(comparison, samples) if samples else "no test sample has a score"


def _list_samples_by_run(plans: Iterable[_PicturePlan]) -> dict[str, set[str]]:
    """Return the ids of the samples that are drawn, by fingerprint of the run that predicts them."""
    samples: dict[str, set[str]] = defaultdict(set)
    for plan in plans:
        for sample in plan.samples:
            for run in plan.list_runs(sample):
                samples[run.row.fingerprint].add(sample.sample_id)
    return samples


def _draw_task(
    plan: _PicturePlan, samples: Mapping[str, Sample], predictions: PredictionReader, data: DataConfig, start: Path
) -> TaskExamples:
    """Draw the pictures of a task and write them; if one fails, return the reason without pictures.

    Args:
        plan: The samples to draw.
        samples: Samples of the task by id.
        predictions: Reader of saved predictions.
        data: Settings for reading images.
        start: Folder for the pictures, with the start of their names.

    Raises:
        OSError: A picture cannot be written.
    """
    comparison, pictures, captions = plan.comparison, [], []
    task, folder = comparison.task, start.parent
    for chosen in plan.samples:
        try:
            drawn = [
                _decode_prediction(task, predictor.label, predictions.read(run, task.id, chosen.sample_id))
                for predictor, run in zip(comparison.list_predictors(chosen.seed), plan.list_runs(chosen), strict=True)
            ]
            content = draw_picture(task, samples[chosen.sample_id], drawn, data)
        # Damaged predictions raise any of these while they are decoded or drawn; the other tasks keep their pictures.
        except (UsaggrError, ValueError, TypeError, LookupError, cv2.error) as error:
            return TaskExamples(reason=escape_markdown(f"{chosen.sample_id} cannot be drawn: {get_first_line(error)}"))
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{start.name}-{chosen.kind}.jpg"
        file.write_bytes(content)
        description = write_description(
            comparison, chosen, [(prediction.label, prediction.note) for prediction in drawn]
        )
        pictures.append(Picture(f"{folder.name}/{file.name}", write_title(comparison, chosen), description))
        captions.append(write_caption(comparison, chosen))
    return TaskExamples(tuple(pictures), tuple(captions))


def _decode_prediction(task: Task, label: str, saved: SavedPrediction) -> DrawnPrediction:
    """Return a saved prediction in the form that can be drawn.

    Args:
        task: Task of the prediction.
        label: Label of the predictor.
        saved: The saved prediction.

    Raises:
        ValueError: The mask is damaged, or a prediction of classes has no label.
    """
    score = make_sample_score(task.type)
    probabilities = None if saved.probs is None else np.array(saved.probs, dtype=float)
    if probabilities is None:
        value = saved.scores[score.name]
    elif saved.label is None:
        raise ValueError("the prediction has no label")
    else:
        value = float(probabilities[saved.label])
    marks = _read_marks(task.type, saved)
    return DrawnPrediction(label, score.format(value, score.short_label), marks, probabilities)


def _read_marks(task_type: TaskType, saved: SavedPrediction) -> Marks:
    """Return what a prediction draws onto the image; nothing for a class, whose probabilities are drawn beside it.

    Raises:
        ValueError: The mask is damaged.
    """
    match task_type:
        case "segmentation":
            return Marks(mask=None if saved.mask is None else decode_mask(saved.mask))
        case "detection":
            return Marks(box=None if saved.box is None else np.array(saved.box, dtype=float))
        case "regression":
            return Marks(points=None if saved.points is None else np.array(saved.points, dtype=float).reshape(-1, 2))
        case "classification":
            return Marks()
        case _:
            assert_never(task_type)


def _describe_error(error: Exception) -> str:
    """Return a line that says why the data cannot be drawn, with the key for an invalid setting."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"study.yaml's data.{'.'.join(map(str, first['loc']))} is not valid in this version: {first['msg']}"
    return get_first_line(error)
