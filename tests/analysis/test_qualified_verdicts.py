"""Tests of the limit of no loss: failures that are too rare for the test subjects to show."""

from pathlib import Path

import numpy as np
import pytest
from scipy import special

from tests.report.figure_factories import compared
from tests.report.sweeps import CATALOGUE, FakeSweep, level
from usaggr.analysis.cell_rows import CellVerdict
from usaggr.analysis.collect import collect
from usaggr.analysis.compare_study import compare_study
from usaggr.analysis.qualified_verdicts import find_rate_not_excluded, qualify_family
from usaggr.metrics.classification import compute_classification_scores
from usaggr.metrics.jackknife import compute_auc_pseudovalues
from usaggr.metrics.names import METRICS
from usaggr.statistics.two_way_anova import Estimate, estimate
from usaggr.statistics.verdicts import ALPHA_NI


def qualify(cells: list[CellVerdict], se: float = 0.002, value: float = 0.0) -> list[int | None]:
    """Return the limits of a family whose cells have estimates with known standard errors."""
    numbers = [np.array(number) for number in (value, 0.0, se**2, 1e6, 1e6, se**2, 0.0)]
    estimates = {i: Estimate(*numbers) for i in range(len(cells))}
    margins = [cell.margin for cell in cells]
    p_ni = [float(estimates[i].compute_one_sided_p(-margin)) for i, margin in enumerate(margins)]
    subjects = [cell.failure_subjects for cell in cells]
    return qualify_family(cells, estimates, margins, p_ni, [cell.verdict for cell in cells], subjects)


def no_loss(task: str = "breast_lesion", subjects: int = 400, **changes: object) -> CellVerdict:
    return compared(task, "unified", 0.0, verdict="no_loss", n_subjects=subjects, **changes)


def test_a_no_loss_is_unqualified_from_enough_subjects_on() -> None:
    """The reference's mean is .7 and the margin .02, so 6.1 x .7 / .02 = 213.5 subjects are needed."""
    assert [qualify([no_loss(subjects=n)]) for n in (12, 60, 213, 214)] == [[2], [9], [34], [None]]
    assert qualify([no_loss(subjects=60, margin=0.1)]) == [None]


def test_a_loss_that_the_estimate_leaves_open_adds_to_that_of_failures() -> None:
    assert qualify([no_loss(subjects=214)], value=-0.014) == [35]
    assert qualify([no_loss(subjects=800)], value=-0.014) == [None]


def test_a_family_of_many_tasks_needs_more_subjects() -> None:
    assert qualify([no_loss(subjects=220)] * 40) == [36] * 40
    assert qualify([no_loss(subjects=600)] * 40) == [None] * 40


@pytest.mark.parametrize("verdict", ["gain", "loss", "undecided", ""])
def test_other_verdicts_have_no_limit(verdict: str) -> None:
    assert qualify([compared("breast_lesion", "unified", 0.0, verdict=verdict), no_loss()]) == [None, None]


def test_distances_and_scores_of_complete_test_sets_are_always_qualified() -> None:
    assert qualify([no_loss("fetal_femur", 4000, margin=5.0, reference_mean=50.0)]) == [655]
    assert qualify([no_loss("breast_2cls", 30), no_loss("breast_2cls", 4000)]) == [4, 655]


def test_failures_are_counted_among_the_subjects_of_the_rarer_class(tmp_path: Path) -> None:
    tasks = ("breast_2cls", "breast_lesion")
    sweep = FakeSweep(tmp_path / "study", tasks=tasks, groupings=("task_specific", "unified"), subjects=44,
                      spread=0.02).finish(lambda task, *_: level(CATALOGUE[task], 0.7))  # fmt: skip
    verdicts = {row.metric: row for row in compare_study(collect([sweep.directory])).verdicts}
    assert verdicts["dsc"].failure_subjects == verdicts["accuracy"].failure_subjects == 44
    assert {verdicts[name].failure_subjects for name in ("auc", "balanced_accuracy", "f1_macro", "mcc")} == {22}


@pytest.mark.parametrize("metric", [metric.name for metric in METRICS["classification"] if not metric.is_per_sample])
def test_a_failure_in_the_rarer_class_costs_more_than_its_share_of_all_subjects(metric: str) -> None:
    """So failures of all subjects are the wrong number for scores of a complete test set."""
    labels = np.repeat([1, 0], [30, 90])
    logits = 2.4 * labels - 1.2 + np.random.default_rng(0).standard_normal(120)

    def score(values: np.ndarray) -> float:
        positive = special.expit(values)
        return compute_classification_scores(labels, np.column_stack([1 - positive, positive]))[0][metric]

    failures = [np.where(np.arange(120) == subject, -9.0, logits) for subject in range(30)]
    cost = score(logits) - float(np.mean([score(values) for values in failures]))
    assert cost > score(logits) / 120
    if metric == "auc":
        assert cost == pytest.approx(score(logits) / 30)


def draw_false_no_loss(studies: int, positives: int, negatives: int, rate: float) -> list[int | None]:
    """Return the limits of the studies with a no loss on AUC, if a grouping ranks this share of the positives last."""
    rng, labels = np.random.default_rng(1), np.repeat([1, 0], [positives, negatives])
    limits: list[int | None] = []
    for _ in range(studies):
        fails = (rng.random(labels.size) < rate) & (labels == 1)
        common, specific, noise = (rng.standard_normal((*shape, labels.size)) for shape in ((1, 1), (2, 1), (2, 3)))
        scores = 1.8 * labels + np.sqrt(0.8) * common + np.sqrt(0.1) * (specific + noise)
        scores[0] = np.where(fails, -9.0, scores[0])
        values = np.array([[auc_pseudovalues(labels, special.expit(run)) for run in runs] for runs in scores])
        ours = estimate(values[0] - values[1])
        p_ni = float(ours.compute_one_sided_p(-0.02))
        if p_ni < ALPHA_NI:
            cell = no_loss("breast_2cls", positives, reference_mean=float(values[1].mean()))
            limits += qualify_family([cell], {0: ours}, [0.02], [p_ni], ["no_loss"], [positives])
    return limits


def test_a_no_loss_on_auc_that_unseen_failures_make_false_is_qualified() -> None:
    """3 % of the positives cost .027, more than the margin of .02, and two of five test sets show none of them."""
    limits = draw_false_no_loss(120, 30, 60, 0.03)
    assert len(limits) > 0.05 * 120
    assert set(limits) == {4}  # 30 positives / 6.1


@pytest.mark.slow
def test_the_number_of_subjects_that_suffices_for_means_does_not_suffice_for_auc() -> None:
    """With 280 positives, 6.2 failures are expected that cost the margin; a false no loss exceeds its level of .025."""
    limits = draw_false_no_loss(1000, 280, 280, 0.0223)
    assert len(limits) > 0.03 * 1000
    assert set(limits) == {45}


def auc_pseudovalues(labels: np.ndarray, positive: np.ndarray) -> np.ndarray:
    values = compute_auc_pseudovalues(labels, np.column_stack([1 - positive, positive]), np.arange(labels.size))
    assert values is not None
    return values


def test_evidence_of_other_verdicts_has_the_rate_that_its_subjects_do_not_exclude() -> None:
    assert find_rate_not_excluded(no_loss(subjects=60, rarer_than=None)) is None  # decided with its family
    assert find_rate_not_excluded(no_loss(subjects=60, rarer_than=9)) == 9
    assert find_rate_not_excluded(compared("breast_lesion", "unified", 0.1, verdict="gain", n_subjects=60)) == 9
    assert find_rate_not_excluded(compared("breast_lesion", "unified", 0.1, verdict="gain", n_subjects=300)) is None
