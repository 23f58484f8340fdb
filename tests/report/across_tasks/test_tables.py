from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from tests.report.sweeps import FakeSweep, level
from tests.statistics.oracle_holm import closed_holm
from usaggr.analysis.collect import collect
from usaggr.report.across_tasks.tables import AcrossTasks, ImprovementRow, make_across
from usaggr.report.tables import make_tables
from usaggr.results.spec import RunSpec
from usaggr.statistics.rank_tests import estimate_probability_of_improvement
from usaggr.tasks import CATALOGUE

TASKS = (
    "breast_lesion", "breast_2cls", "fetal_femur", "cervix", "lung", "lung_2cls", "thyroid_nodule_det",
    "liver_lesion_2cls",
)  # fmt: skip


def skill_of(task: str, block: tuple[str, ...], seed: int) -> float:
    """Return a skill that sharing raises a little, except for lung; seeds differ by task and block."""
    noise = np.random.default_rng([TASKS.index(task), len(block), seed]).normal(0, 0.06)
    shared = 0.0 if len(block) == 1 else -0.1 if task == "lung" else 0.02 + 0.01 * len(block)
    return float(0.5 + shared + noise)


def sweep_of(
    folder: Path, tasks: tuple[str, ...] = TASKS, lacking: str = "", seeds: tuple[int, ...] = (0, 1, 2)
) -> AcrossTasks:
    def skip(run: RunSpec) -> bool:
        return run.block == lacking and run.seed == 2

    sweep = FakeSweep(folder / "study", tasks=tasks, seeds=seeds)
    sweep.finish(lambda task, block, scale, seed: level(CATALOGUE[task], skill_of(task, block, seed)), skip)
    return make_tables(collect([sweep.directory])).compute(make_across)


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> AcrossTasks:
    """All tasks and seeds, all runs done."""
    return sweep_of(tmp_path_factory.mktemp("across"))


def improvement_of(across: AcrossTasks, grouping: str) -> ImprovementRow:
    (row,) = [row for row in across.improvement if row.grouping == grouping]
    return row


def blocks(task: str) -> dict[str, tuple[str, ...]]:
    group = tuple(other for other in TASKS if CATALOGUE[other].clinical_group == CATALOGUE[task].clinical_group)
    return {"task_specific": (task,), "clinical": group, "unified": TASKS}


def means(seeds: tuple[int, ...] = (0, 1, 2)) -> np.ndarray:
    return np.array([[np.mean([skill_of(t, b, s) for s in seeds]) for b in blocks(t).values()] for t in sorted(TASKS)])


def test_ranks_use_the_mean_skill_over_seeds(swept: AcrossTasks) -> None:
    (row,) = swept.friedman
    oracle = stats.friedmanchisquare(*np.round(means(), 12).T)
    assert (row.tasks, row.groupings, row.df, row.reason) == (8, 3, 2, "")
    assert (row.statistic, row.p) == pytest.approx((oracle.statistic, oracle.pvalue))
    ranks = stats.rankdata(-np.round(means(), 12), axis=1).mean(axis=0)
    assert list(row.ranks) == ["task_specific", "clinical", "unified"]
    assert list(row.ranks.values()) == pytest.approx(list(ranks))


def test_pairs_are_tested_on_skill_and_adjusted_within_a_scale(swept: AcrossTasks) -> None:
    pairs = swept.pairwise
    assert [(row.first, row.second) for row in pairs] == [
        ("task_specific", "clinical"), ("task_specific", "unified"), ("clinical", "unified")
    ]  # fmt: skip
    gains = np.round(means()[:, 2] - means()[:, 0], 12)
    row = pairs[1]
    assert row.p == pytest.approx(stats.wilcoxon(gains, method="exact").pvalue)
    assert (row.better, row.worse, row.ties) == ((gains > 0).sum(), (gains < 0).sum(), 0)
    assert row.median == pytest.approx(np.median(gains))
    tested = [row for row in pairs if not np.isnan(row.p)]
    assert [row.p_adjusted for row in tested] == pytest.approx(closed_holm([row.p for row in tested]))


def test_a_task_that_is_alone_in_its_group_is_a_tie_and_no_improvement(swept: AcrossTasks) -> None:
    alone = [task for task in TASKS if len(blocks(task)["clinical"]) == 1]
    assert swept.pairwise[0].ties == len(alone) > 0
    assert improvement_of(swept, "clinical").tasks == len(TASKS) - len(alone)


def test_probability_of_improvement_compares_runs_with_the_same_seeds(swept: AcrossTasks) -> None:
    assert "task_specific" not in {row.grouping for row in swept.improvement}
    row = improvement_of(swept, "unified")
    scores = [[skill_of(t, TASKS, s) for s in range(3)] for t in sorted(TASKS)]
    reference = [[skill_of(t, (t,), s) for s in range(3)] for t in sorted(TASKS)]
    oracle = estimate_probability_of_improvement(scores, reference, 0.95)
    assert (row.probability, row.low, row.high) == pytest.approx((oracle.value, oracle.low, oracle.high))
    assert (row.tasks, row.seeds) == (8, 3)


def test_a_missing_run_removes_its_seed_from_its_comparisons(tmp_path: Path) -> None:
    across = sweep_of(tmp_path, lacking="unified")
    assert {row.grouping: row.seeds for row in across.improvement} == {"clinical": 3, "unified": 2}
    oracle = stats.friedmanchisquare(*np.round(means((0, 1)), 12).T)
    assert across.friedman[0].p == pytest.approx(oracle.pvalue)


def test_losses_are_counted_among_verdicts_only(swept: AcrossTasks) -> None:
    # Without predictions there are no verdicts.
    assert {row.judged for row in swept.improvement} == {0}
    assert all(np.isnan(row.negative_transfer) for row in swept.improvement)


def test_few_tasks_give_a_reason_instead_of_a_test(tmp_path: Path) -> None:
    across = sweep_of(tmp_path, tasks=TASKS[:3], seeds=(0,))
    assert across.friedman[0].reason == "3 tasks, at least 6 are needed"
    assert all(np.isnan(row.p) and row.reason for row in across.pairwise)
    assert all(np.isnan(row.low) for row in across.improvement)


def test_a_sweep_without_a_finished_run_has_empty_rows(tmp_path: Path) -> None:
    sweep = FakeSweep(tmp_path / "study", tasks=TASKS)
    sweep.finish(lambda task, block, scale, seed: {}, skip=lambda run: True)
    across = make_tables(collect([sweep.directory])).compute(make_across)
    assert across.friedman[0].reason == "0 tasks, at least 6 are needed"
    assert {row.tasks for row in across.pairwise} == {0}
    assert all(np.isnan(row.probability) for row in across.improvement)
