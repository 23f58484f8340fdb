"""Score a folder of predictions against the labels of a data set."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from usaggr.challenge.challenge_scores import TaskScores, score_in_both_modes
from usaggr.challenge.findings import NOT_SCORED, Finding
from usaggr.challenge.layout import get_mask_path
from usaggr.challenge.selection import Selection
from usaggr.challenge.submission import Submission, check_prediction, read_submission
from usaggr.config.study import DataConfig
from usaggr.data.read.images import read_mask
from usaggr.data.read.index import IndexRow, read_index
from usaggr.data.read.readers_version import SUFFIXES
from usaggr.data.read.thread_pool import count_readers, map_in_threads, split_into_pieces
from usaggr.data.samples import Dataset, Sample
from usaggr.errors import DataError
from usaggr.metrics.scores import score_sample
from usaggr.progress import Progress
from usaggr.results.predictions import Truth
from usaggr.tasks import Task, has_mask_label

_PIECE = 16
"""Number of samples that a thread scores at a time; the progress line is updated after each such piece."""


@dataclass(frozen=True)
class TaskEvaluation:
    """Counts and scores of one task."""

    task: Task
    samples: int
    """Number of requested samples: those with a usable, a missing and an unusable prediction."""
    components: int
    """Number of components among the scored samples."""
    scored: TaskScores | None
    """Scores in both modes; None if no sample has a usable prediction."""
    missing: int
    unusable: int


@dataclass(frozen=True)
class Evaluation:
    """Scores of a folder of predictions, with all errors in them."""

    folder: Path
    dataset: Dataset
    fold: str | None
    tasks: tuple[TaskEvaluation, ...]
    """Sorted by task id."""
    findings: tuple[Finding, ...]

    @property
    def complete(self) -> bool:
        """True if each requested sample has a score."""
        return not any(finding.kind in NOT_SCORED for finding in self.findings)


@dataclass(frozen=True)
class _RequestedSample:
    """A sample to be scored, with the paths in its row of the index."""

    task: Task
    sample: Sample
    component: int
    image_path: str
    mask_path: PurePosixPath | None
    """Path of the predicted mask within the submission; None if the task is not a segmentation."""


def evaluate(
    folder: Path, dataset: Dataset, selection: Selection, data: DataConfig, nsd_tolerance: float, progress: Progress
) -> Evaluation:
    """Score predictions against the labels, and list every error in the predictions.

    Errors are in `findings`. Samples without a usable prediction do not count in the scores, as in the challenge.

    Args:
        folder: Predictions in the challenge's layout.
        dataset: Data set with the labels.
        selection: Samples to score.
        data: Configuration that says how masks are read, and by how many threads.
        nsd_tolerance: Tolerance of NSD, as a fraction of the image's diagonal.
        progress: Receives the number of scored samples.

    Raises:
        DataError: The folder or one of its JSON files cannot be read, or the index or a label changed since it was
            validated.
    """
    submission = read_submission(folder, data.max_pixels)
    # A sample knows the file and line of its row, and only the row has the path as users wrote it.
    index_rows = {(row.csv_file, row.line): row for row in read_index(dataset.root, follow_links=data.follow_links)[0]}
    requested = [
        _find_in_index(dataset.tasks[sample.task_id], sample, component, index_rows)
        for sample, component in zip(selection.samples, selection.components, strict=True)
    ]
    findings = list(submission.findings) + _find_extra_predictions(submission, dataset, index_rows)
    scored: dict[str, list[tuple[_RequestedSample, dict[str, Any]]]] = defaultdict(list)

    def score_piece(
        piece: Sequence[_RequestedSample],
    ) -> list[tuple[_RequestedSample, dict[str, Any] | None, list[Finding]]]:
        return [(item, *_score_prediction(item, submission, data, nsd_tolerance)) for item in piece]

    progress.start("scoring predictions", len(requested))
    try:
        for results in map_in_threads(score_piece, split_into_pieces(requested, _PIECE), count_readers(data.workers)):
            for item, record, errors in results:
                findings += errors
                if record is not None:
                    scored[item.task.id].append((item, record))
            progress.advance(len(results))
    finally:
        progress.finish()
    findings.sort(key=lambda finding: (finding.task_id, finding.image_path, finding.kind, finding.message))
    by_task: dict[str, list[_RequestedSample]] = defaultdict(list)
    for item in requested:
        by_task[item.task.id].append(item)
    tasks = tuple(_summarize_task(items, scored[task_id], findings) for task_id, items in sorted(by_task.items()))
    return Evaluation(folder, dataset, selection.fold, tasks, tuple(findings))


def _find_in_index(
    task: Task, sample: Sample, component: int, index_rows: Mapping[tuple[str, int], IndexRow]
) -> _RequestedSample:
    """Return a sample with its row of the index.

    Args:
        task: Task of the sample.
        sample: The sample.
        component: Component of the sample.
        index_rows: Rows by name of the index file and line.

    Raises:
        DataError: The row is no longer at its line, because the index changed after it was validated.
    """
    row = index_rows.get((sample.csv_file, sample.row))
    if row is None or not _matches_sample(row, sample):
        raise DataError(
            f"{sample.csv_file}, line {sample.row}: no longer has the image {sample.sample_id} of {sample.task_id}, so "
            "the index has changed since it was checked; run the same command again"
        )
    mask_path = get_mask_path(row) if has_mask_label(task.type) else None
    return _RequestedSample(task, sample, component, row.get_text("image_path"), mask_path)


def _matches_sample(row: IndexRow, sample: Sample) -> bool:
    image_path = row.get_text("image_path")
    # A repeated image of a task has the sample ids `image`, `image#2`, `image#3`, ...
    has_image = sample.sample_id == image_path or sample.sample_id.startswith(f"{image_path}#")
    return has_image and row.get_text("task_id") == sample.task_id


def _score_prediction(
    item: _RequestedSample, submission: Submission, data: DataConfig, nsd_tolerance: float
) -> tuple[dict[str, Any] | None, list[Finding]]:
    """Return the scores of one prediction (None if it is not usable) and the errors in it."""
    checked = check_prediction(item.task, item.sample, item.image_path, submission, item.mask_path)
    if checked.usable is None:
        return None, checked.findings
    prediction, truth = checked.usable.prediction, _read_truth(item.sample, data)
    record: dict[str, Any] = dict(score_sample(item.task, prediction, truth, nsd_tolerance))
    if prediction.probs is not None:
        record |= {
            "label": item.sample.label,
            "probs": prediction.probs,
            "predicted_class": checked.usable.predicted_class,
        }
    return record, checked.findings


def _read_truth(sample: Sample, data: DataConfig) -> Truth:
    return Truth(
        sample.task_id,
        sample.sample_id,
        sample.height,
        sample.width,
        label=sample.label,
        box=None if sample.box is None else np.asarray(sample.box, dtype=float),
        points=None if sample.points is None else np.asarray(sample.points, dtype=float),
        mask=None if sample.mask_path is None else read_mask(sample.mask_path, data.foreground_255, data.max_pixels),
    )


def _summarize_task(
    requested: Sequence[_RequestedSample],
    scored: list[tuple[_RequestedSample, dict[str, Any]]],
    findings: Sequence[Finding],
) -> TaskEvaluation:
    task = requested[0].task
    # Threads return results in any order. A fixed order keeps floating-point sums the same from call to call.
    scored.sort(key=lambda pair: pair[0].sample.sample_id)
    components = np.array([item.component for item, _ in scored], dtype=np.int64)
    kinds = [finding.kind for finding in findings if finding.task_id == task.id]
    return TaskEvaluation(
        task=task,
        samples=len(requested),
        components=len(set(components.tolist())),
        scored=score_in_both_modes(task, [record for _, record in scored], components) if scored else None,
        missing=kinds.count("missing"),
        unusable=kinds.count("unusable"),
    )


def _find_extra_predictions(
    submission: Submission, dataset: Dataset, index_rows: Mapping[tuple[str, int], IndexRow]
) -> list[Finding]:
    """Return the predictions of tasks and images that are not in the index.

    Predictions of samples that are in the index but were not requested are no error.
    """
    # All rows of the index count, also those that validation rejected: their predictions are not extra.
    images = {(row.get_text("task_id"), row.get_text("image_path")) for row in index_rows.values()}
    with_masks = {task.id for task in dataset.tasks.values() if has_mask_label(task.type)}
    findings = []
    for key in submission.records.keys() - images:
        reason = "no such image of the task in the index" if key[0] in dataset.tasks else "no such task in the index"
        findings.append(Finding("extra", *key, submission.records[key][0], reason))
    mask_paths = {get_mask_path(row) for row in index_rows.values() if row.get_text("task_id") in with_masks}
    for path in sorted(submission.folder.rglob("*")):
        relative = PurePosixPath(path.relative_to(submission.folder))
        if path.suffix.lower() in SUFFIXES and path.is_file() and relative not in mask_paths:
            findings.append(Finding("extra", "", "", str(relative), "the index has no mask with this path"))
    return findings
