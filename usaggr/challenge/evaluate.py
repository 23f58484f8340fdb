"""Score a folder of predictions against the labels of a data set."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from usaggr.challenge.challenge_scores import Scored, score
from usaggr.challenge.findings import NOT_SCORED, Finding
from usaggr.challenge.layout import mask_place
from usaggr.challenge.selection import Selection
from usaggr.challenge.submission import Answer, Judged, Submission, judge, read_submission
from usaggr.config.study import DataConfig
from usaggr.data.read.images import read_mask
from usaggr.data.read.index import IndexRow, read_index
from usaggr.data.read.readers_version import SUFFIXES
from usaggr.data.read.thread_pool import pieces, reader_count, results_of
from usaggr.data.samples import Dataset, Sample
from usaggr.metrics.scores import score_sample
from usaggr.progress import Progress
from usaggr.results.predictions import Truth
from usaggr.tasks import Task, has_mask_label

_PIECE = 16
"""Samples that are scored, and then counted, at a time."""


@dataclass(frozen=True)
class TaskEvaluation:
    """What became of a task's samples."""

    task: Task
    samples: int
    """That were to be predicted."""
    components: int
    """Of those that were scored."""
    scored: Scored | None
    """None where no sample has an answer."""
    missing: int
    unusable: int


@dataclass(frozen=True)
class Evaluation:
    """Scores of a folder of predictions."""

    folder: Path
    dataset: Dataset
    fold: str | None
    tasks: tuple[TaskEvaluation, ...]
    """By id."""
    findings: tuple[Finding, ...]

    @property
    def complete(self) -> bool:
        """Whether each sample has an answer that could be scored."""
        return not any(finding.kind in NOT_SCORED for finding in self.findings)


@dataclass(frozen=True)
class _Asked:
    """A sample with what the index writes of it."""

    task: Task
    sample: Sample
    component: int
    image_path: str
    place: PurePosixPath | None


def evaluate(
    folder: Path, dataset: Dataset, selection: Selection, data: DataConfig, nsd_tolerance: float, progress: Progress
) -> Evaluation:
    """Score predictions; what is wrong with them is in `findings`, and what has no answer is left out of the scores.

    Args:
        folder: in the layout of a submission.
        dataset: the labels.
        selection: the samples that are asked for.
        data: how masks are read, and by how many threads.
        nsd_tolerance: a fraction of the image's diagonal.
        progress: told of samples.

    Raises:
        DataError: the folder or one of its JSON files cannot be read, or a label changed since it was validated.
    """
    submission = read_submission(folder, data.max_pixels)
    rows = {(row.csv_file, row.line): row for row in read_index(dataset.root)[0]}
    asked = [
        _asked(dataset.tasks[sample.task_id], sample, component, rows)
        for sample, component in zip(selection.samples, selection.components, strict=True)
    ]
    findings = list(submission.findings) + _extra(submission, dataset, rows)
    scored: dict[str, list[tuple[_Asked, dict[str, Any]]]] = defaultdict(list)

    def work(piece: Sequence[_Asked]) -> list[tuple[_Asked, dict[str, Any] | None, list[Finding]]]:
        return [(item, *_row(item, submission, data, nsd_tolerance)) for item in piece]

    progress.start("scoring predictions", len(asked))
    try:
        for found in results_of(work, pieces(asked, _PIECE), reader_count(data.workers)):
            for item, row, wrong in found:
                findings += wrong
                if row is not None:
                    scored[item.task.id].append((item, row))
            progress.advance(len(found))
    finally:
        progress.finish()
    findings.sort(key=lambda finding: (finding.task_id, finding.image_path, finding.kind, finding.message))
    by_task: dict[str, list[_Asked]] = defaultdict(list)
    for item in asked:
        by_task[item.task.id].append(item)
    tasks = tuple(_of_task(items, scored[task_id], findings) for task_id, items in sorted(by_task.items()))
    return Evaluation(folder, dataset, selection.fold, tasks, tuple(findings))


def _asked(task: Task, sample: Sample, component: int, rows: Mapping[tuple[str, int], IndexRow]) -> _Asked:
    row = rows[sample.csv_file, sample.row]
    place = mask_place(row) if has_mask_label(task.type) else None
    return _Asked(task, sample, component, row.text("image_path"), place)


def _row(
    item: _Asked, submission: Submission, data: DataConfig, nsd_tolerance: float
) -> tuple[dict[str, Any] | None, list[Finding]]:
    """A sample's scores, and what is wrong with its prediction."""
    judged: Judged = judge(item.task, item.sample, item.image_path, submission, item.place)
    if judged.answer is None:
        return None, judged.findings
    answer: Answer = judged.answer
    found: dict[str, Any] = dict(score_sample(item.task, answer.prediction, _truth(item.sample, data), nsd_tolerance))
    if answer.prediction.probs is not None:
        found |= {
            "label": item.sample.label,
            "probs": answer.prediction.probs,
            "predicted_class": answer.predicted_class,
        }
    return found, judged.findings


def _truth(sample: Sample, data: DataConfig) -> Truth:
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


def _of_task(
    asked: Sequence[_Asked], found: list[tuple[_Asked, dict[str, Any]]], findings: Sequence[Finding]
) -> TaskEvaluation:
    task = asked[0].task
    found.sort(key=lambda pair: pair[0].sample.sample_id)  # results come as they are ready: sums must not depend on it
    components = np.array([item.component for item, _ in found], dtype=np.int64)
    kinds = [finding.kind for finding in findings if finding.task_id == task.id]
    return TaskEvaluation(
        task=task,
        samples=len(asked),
        components=len(set(components.tolist())),
        scored=score(task, [row for _, row in found], components) if found else None,
        missing=kinds.count("missing"),
        unusable=kinds.count("unusable"),
    )


def _extra(submission: Submission, dataset: Dataset, rows: Mapping[tuple[str, int], IndexRow]) -> list[Finding]:
    """Predictions of what is not in the index; those of samples that are not asked for are left alone."""
    known = {(row.text("task_id"), row.text("image_path")) for row in rows.values()}
    with_masks = {task.id for task in dataset.tasks.values() if has_mask_label(task.type)}
    findings = []
    for key in submission.records.keys() - known:
        what = "no such image of the task in the index" if key[0] in dataset.tasks else "no such task in the index"
        findings.append(Finding("extra", *key, submission.records[key][0], what))
    places = {mask_place(row) for row in rows.values() if row.text("task_id") in with_masks}
    for path in sorted(submission.folder.rglob("*")):
        place = PurePosixPath(path.relative_to(submission.folder))
        if path.suffix.lower() in SUFFIXES and path.is_file() and place not in places:
            findings.append(Finding("extra", "", "", str(place), "no mask of the index lies there"))
    return findings
