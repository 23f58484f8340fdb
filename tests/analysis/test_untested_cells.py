"""Tests of the reasons for untested cells: each subject counts once, and secondary metrics have the same notes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from tests.report.figure_factories import compared
from tests.report.sweeps import CATALOGUE, FakeSweep, level
from usaggr.analysis.cell_pseudovalues import Cell, CellPseudovalues
from usaggr.analysis.collect import collect
from usaggr.analysis.compare_study import compare_study
from usaggr.analysis.difference_intervals import Difference
from usaggr.analysis.untested_cells import explain_scarcity
from usaggr.metrics.jackknife import mean_pseudovalues
from usaggr.statistics.two_way_anova import estimate

Array = NDArray[np.float64]
REFERENCE: Cell = ("breast_lesion", "task_specific", 1.0, "base")


class Means(CellPseudovalues):
    """Mean scores of subjects, by grouping."""

    def __init__(self, by_grouping: dict[str, Array]) -> None:
        self._by_grouping = by_grouping

    def count_independent(self, task: str, subjects: int) -> int:
        return next(iter(self._by_grouping.values())).shape[1]

    def get_subject_means(self, cell: Cell, metric: str, seeds: Sequence[int]) -> Array:
        return self._by_grouping[cell[1]]


def explain(scores: Array, references: Array, owners: NDArray[np.int64], task: str = "breast_lesion") -> str:
    """Return the reason for no test from the scores (K seeds, N samples) of both sides."""
    pseudovalues = [np.array([mean_pseudovalues(row, owners) for row in values]) for values in (scores, references)]
    sizes = np.bincount(owners)
    means = [np.array([np.bincount(owners, row) / sizes for row in values]) for values in (scores, references)]
    table = pseudovalues[0] - pseudovalues[1]
    difference = Difference(table, estimate(table), np.nan, False)
    cell = compared(task, "unified", 0.0, n_subjects=sizes.size)
    pseudo = Means({"unified": means[0], "task_specific": means[1]})
    return explain_scarcity(cell, difference, pseudo, (task, *REFERENCE[1:]), (0, 1, 2))


def draw_videos(rng: np.random.Generator, subjects: int) -> tuple[Array, Array, NDArray[np.int64]]:
    """Draw scores of videos, most of which are short and some long, with the subjects of their frames."""
    sizes = np.where(np.arange(subjects) % 10 == 0, 40, 2)
    owners = np.repeat(np.arange(subjects), sizes)
    scores = 0.8 + 0.05 * rng.standard_normal((2, 1, subjects)) + 0.02 * rng.standard_normal((2, 3, subjects))
    return scores[0][:, owners], scores[1][:, owners], owners


def test_long_videos_are_no_failures() -> None:
    rng = np.random.default_rng(0)
    reasons = [explain(*draw_videos(rng, 60)) for _ in range(20)]
    assert reasons == [""] * 20


def test_a_failing_subject_counts_once_however_many_frames_it_has() -> None:
    rng = np.random.default_rng(1)
    for subject in (0, 1):  # with 40 frames, with 2
        scores, references, owners = draw_videos(rng, 60)
        noise = 0.1 * (scores - references)  # small differences, so that a failure is most of the variance
        failing = np.where(owners == subject, 0.0, references + noise)
        assert explain(failing, references, owners) == "too few: the difference depends on fewer than 10 subjects"


def test_subjects_with_equal_scores_do_not_differ_however_many_frames_they_have() -> None:
    scores, _, owners = draw_videos(np.random.default_rng(2), 60)
    changed = np.where(owners % 20 == 5, scores + 0.1, scores)
    assert explain(changed, scores, owners) == "too few: fewer than 10 subjects differ between the groupings"


@pytest.mark.parametrize(("subjects", "reason"), [(9, "too few: 9 independent test subjects"), (10, "")])
def test_ten_subjects_are_needed_whatever_their_scores(subjects: int, reason: str) -> None:
    scores = 0.7 + 0.1 * np.random.default_rng(4).standard_normal((2, 3, subjects))
    assert explain(scores[0], scores[1], np.arange(subjects)) == reason


def test_subjects_that_share_images_count_as_one(tmp_path: Path) -> None:
    """Twelve subjects in eight components: one limit for the number of components, which the note names."""
    sweep = FakeSweep(
        tmp_path / "study", tasks=("breast_lesion", "fetal_head"), groupings=("task_specific", "unified"),
        subjects=12, spread=0.02,
    ).finish(lambda task, *_: level(CATALOGUE[task], 0.7))  # fmt: skip
    split = pd.read_csv(sweep.directory / "split.csv")
    for number, (_, samples) in enumerate(split[split["fold"] == "test"].groupby("task_id")):
        positions = np.unique(samples["component"], return_inverse=True)[1]
        split.loc[samples.index, "component"] = 10_000 + 100 * number + np.minimum(positions, 7)
    split.to_csv(sweep.directory / "split.csv", index=False)
    verdicts = [row for row in compare_study(collect([sweep.directory])).verdicts if row.main]
    assert {(row.verdict, row.scarce) for row in verdicts} == {("", True)}
    assert {row.n_subjects for row in verdicts} == {12}
    assert all(row.note.startswith("too few: 8 independent test subjects") for row in verdicts)


def test_distances_are_compared_by_their_logarithm() -> None:
    rng, owners = np.random.default_rng(3), np.arange(40)
    as_scores, as_distances = [], []
    for _ in range(20):
        common = 1.2 * rng.standard_normal((1, 40))
        errors = [10 * np.exp(common + 0.4 * rng.standard_normal((3, 40))) for _ in range(2)]
        as_scores.append(explain(errors[0], errors[1], owners))
        as_distances.append(explain(errors[0], errors[1], owners, "fetal_femur"))
    assert sum(reason != "" for reason in as_scores) > 5
    assert as_distances.count("") >= 18


def test_secondary_metrics_have_the_notes_of_untrusted_intervals(tmp_path: Path) -> None:
    def scorer(task: str, block: tuple[str, ...], scale: float | int, seed: int) -> dict[str, float]:
        return level(CATALOGUE[task], 0.7)

    sweep = FakeSweep(
        tmp_path / "study", tasks=("breast_2cls", "breast_lesion"), groupings=("task_specific", "unified"),
        subjects=12, spread=0.02,
    ).finish(scorer)  # fmt: skip
    comparison = compare_study(collect([sweep.directory]))
    verdicts = [row for row in comparison.verdicts if row.task == "breast_2cls"]
    assert {row.metric for row in verdicts} >= {"auc", "accuracy", "f1_macro", "mcc"}
    assert all(row.note.startswith("too few: 6 subjects in the rarer class") and row.scarce for row in verdicts)
    (line,) = [line for line in comparison.summary if line.grouping == "unified"]
    assert (line.tasks, line.too_few) == (2, sum(row.scarce for row in comparison.verdicts if row.main))


@pytest.mark.parametrize("metric", ["dsc", "hd95"])
def test_runs_without_means_of_subjects_use_their_pseudovalues(metric: str, tmp_path: Path) -> None:
    sweep = FakeSweep(tmp_path / "study", tasks=("breast_lesion",), groupings=("task_specific",), spread=0.02, frames=1)
    collection = collect([sweep.finish(lambda task, *_: level(CATALOGUE[task], 0.7)).directory])
    values = CellPseudovalues(collection)
    means = values.get_subject_means(REFERENCE, metric, (0, 1))
    assert means is not None
    assert means == pytest.approx(values.get_table(REFERENCE, metric, (0, 1)))
