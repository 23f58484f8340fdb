from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from tests.report.sweeps import FakeSweep, level
from tests.statistics.oracle_holm import closed_holm
from usaggr.analysis.collect import collect
from usaggr.report.across_tasks.tables import (
    FRIEDMAN_COLUMNS,
    IMPROVEMENT_COLUMNS,
    PAIR_COLUMNS,
    AcrossTasks,
    make_across,
)
from usaggr.report.tables import make_tables
from usaggr.results.spec import RunSpec
from usaggr.statistics.rank_tests import probability_of_improvement
from usaggr.tasks import CATALOGUE

TASKS = (
    "breast_lesion", "breast_2cls", "fetal_femur", "cervix", "lung", "lung_2cls", "thyroid_nodule_det",
    "liver_lesion_2cls",
)  # fmt: skip


def skill_of(task: str, block: tuple[str, ...], seed: int) -> float:
    """Sharing helps all tasks a little, but for lung; seeds differ by task and block."""
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
    return make_tables(collect([sweep.directory])).of(make_across)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> AcrossTasks:
    """All tasks and seeds, all runs done."""
    return sweep_of(tmp_path_factory.mktemp("across"))


def blocks(task: str) -> dict[str, tuple[str, ...]]:
    group = tuple(other for other in TASKS if CATALOGUE[other].clinical_group == CATALOGUE[task].clinical_group)
    return {"task_specific": (task,), "clinical": group, "unified": TASKS}


def means(seeds: tuple[int, ...] = (0, 1, 2)) -> np.ndarray:
    return np.array([[np.mean([skill_of(t, b, s) for s in seeds]) for b in blocks(t).values()] for t in sorted(TASKS)])


def test_ranks_are_of_the_mean_skill_over_seeds(whole: AcrossTasks) -> None:
    found = whole.friedman
    assert list(found.columns) == [*FRIEDMAN_COLUMNS, "rank:task_specific", "rank:clinical", "rank:unified"]
    row, oracle = found.iloc[0], stats.friedmanchisquare(*np.round(means(), 12).T)
    assert (row["tasks"], row["groupings"], row["df"], row["reason"]) == (8, 3, 2, "")
    assert (row["statistic"], row["p"]) == pytest.approx((oracle.statistic, oracle.pvalue))
    ranks = stats.rankdata(-np.round(means(), 12), axis=1).mean(axis=0)
    assert list(row[["rank:task_specific", "rank:clinical", "rank:unified"]]) == pytest.approx(list(ranks))


def test_pairs_are_tested_on_skill_and_adjusted_within_a_scale(whole: AcrossTasks) -> None:
    found = whole.pairwise
    assert tuple(found.columns) == PAIR_COLUMNS
    assert list(zip(found["first"], found["second"], strict=True)) == [
        ("task_specific", "clinical"), ("task_specific", "unified"), ("clinical", "unified")
    ]  # fmt: skip
    gains = np.round(means()[:, 2] - means()[:, 0], 12)
    row = found.iloc[1]
    assert row["p"] == pytest.approx(stats.wilcoxon(gains, method="exact").pvalue)
    assert (row["better"], row["worse"], row["ties"]) == ((gains > 0).sum(), (gains < 0).sum(), 0)
    assert row["median"] == pytest.approx(np.median(gains))
    tested = found["p"].notna()
    assert list(found.loc[tested, "p_adjusted"]) == pytest.approx(closed_holm(found.loc[tested, "p"].tolist()))


def test_a_task_that_is_alone_in_its_group_is_a_tie_and_no_improvement(whole: AcrossTasks) -> None:
    alone = [task for task in TASKS if len(blocks(task)["clinical"]) == 1]
    assert whole.pairwise.iloc[0]["ties"] == len(alone) > 0
    row = whole.improvement.set_index("grouping").loc["clinical"]
    assert row["tasks"] == len(TASKS) - len(alone)


def test_probability_of_improvement_is_of_runs_with_the_same_seeds(whole: AcrossTasks) -> None:
    found = whole.improvement
    assert tuple(found.columns) == IMPROVEMENT_COLUMNS
    assert "task_specific" not in set(found["grouping"])
    row = found.set_index("grouping").loc["unified"]
    own = [[skill_of(t, TASKS, s) for s in range(3)] for t in sorted(TASKS)]
    reference = [[skill_of(t, (t,), s) for s in range(3)] for t in sorted(TASKS)]
    oracle = probability_of_improvement(own, reference, 0.95)
    assert (row["probability"], row["low"], row["high"]) == pytest.approx((oracle.value, oracle.low, oracle.high))
    assert (row["tasks"], row["seeds"]) == (8, 3)


def test_a_lost_run_takes_its_seed_out_of_what_it_concerns(tmp_path: Path) -> None:
    found = sweep_of(tmp_path, lacking="unified")
    gains = found.improvement.set_index("grouping")["seeds"]
    assert gains.to_dict() == {"clinical": 3, "unified": 2}
    oracle = stats.friedmanchisquare(*np.round(means((0, 1)), 12).T)
    assert found.friedman.iloc[0]["p"] == pytest.approx(oracle.pvalue)


def test_losses_are_counted_among_verdicts_only(whole: AcrossTasks) -> None:
    # Without predictions nothing is judged.
    assert (whole.improvement["judged"] == 0).all()
    assert whole.improvement["negative_transfer"].isna().all()


def test_few_tasks_give_a_reason_in_place_of_a_test(tmp_path: Path) -> None:
    found = sweep_of(tmp_path, tasks=TASKS[:3], seeds=(0,))
    assert found.friedman.iloc[0]["reason"] == "3 tasks, at least 6 are needed"
    assert found.pairwise["p"].isna().all()
    assert found.pairwise["reason"].str.len().gt(0).all()
    assert found.improvement["low"].isna().all()


def test_a_sweep_without_a_finished_run_has_empty_rows(tmp_path: Path) -> None:
    sweep = FakeSweep(tmp_path / "study", tasks=TASKS)
    sweep.finish(lambda task, block, scale, seed: {}, skip=lambda run: True)
    found = make_tables(collect([sweep.directory])).of(make_across)
    assert found.friedman.iloc[0]["reason"] == "0 tasks, at least 6 are needed"
    assert (found.pairwise["tasks"] == 0).all()
    assert found.improvement["probability"].isna().all()
