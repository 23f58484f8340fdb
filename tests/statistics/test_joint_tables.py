"""Tables over several tasks keep each task's mean and variance, and the covariance between tasks."""

import numpy as np
import pytest

from usaggr.statistics.joint_tables import WeightedTable, make_joint_table
from usaggr.statistics.two_way_anova import compute_mean_squares, estimate

RNG = np.random.default_rng(0)


def test_the_joint_table_of_one_task_is_its_own_table() -> None:
    values = RNG.normal(size=(3, 7))
    assert make_joint_table([WeightedTable(values, np.arange(7), 1.0)]) == pytest.approx(values)


def test_the_mean_is_the_weighted_mean_seed_by_seed() -> None:
    first, second = RNG.normal(size=(3, 7)), RNG.normal(size=(3, 4))
    table = make_joint_table([WeightedTable(first, np.arange(7), 0.25), WeightedTable(second, np.arange(5, 9), 0.75)])
    assert table.shape == (3, 9)
    assert table.mean(axis=1) == pytest.approx(0.25 * first.mean(axis=1) + 0.75 * second.mean(axis=1))


def test_variances_of_separate_tasks_add() -> None:
    first, second = RNG.normal(size=(1, 30)), RNG.normal(size=(1, 12))
    table = make_joint_table([WeightedTable(first, np.arange(30), 0.5), WeightedTable(second, np.arange(30, 42), 0.5)])
    alone = 0.25 * (first.var(ddof=1) / 30 + second.var(ddof=1) / 12)
    assert float(estimate(table).se) ** 2 == pytest.approx(alone)


def test_the_same_subjects_in_two_tasks_do_not_count_as_more() -> None:
    values = RNG.normal(size=(1, 20))
    twice = make_joint_table([WeightedTable(values, np.arange(20), 0.5), WeightedTable(values, np.arange(20), 0.5)])
    separate = make_joint_table(
        [WeightedTable(values, np.arange(20), 0.5), WeightedTable(values, np.arange(20, 40), 0.5)]
    )
    assert float(estimate(twice).se) == pytest.approx(values.std(ddof=1) / np.sqrt(20))
    assert float(estimate(separate).se) == pytest.approx(float(estimate(twice).se) / np.sqrt(2))


def test_the_effect_of_a_seed_on_all_tasks_stays_correlated() -> None:
    seed = np.array([[-1.0], [0.0], [1.0]])
    task_tables = [WeightedTable(np.repeat(seed, 5, axis=1), np.arange(5 * t, 5 * t + 5), 1 / 4) for t in range(4)]
    assert float(compute_mean_squares(make_joint_table(task_tables)).seeds) / 20 == pytest.approx(1.0)


@pytest.mark.parametrize(
    "task_tables",
    [[], [WeightedTable(np.ones((2, 3)), np.arange(3), 1.0), WeightedTable(np.ones((3, 3)), np.arange(3), 1.0)]],
)
def test_tables_need_the_same_seeds(task_tables: list[WeightedTable]) -> None:
    with pytest.raises(ValueError, match="the same seeds in all tables"):
        make_joint_table(task_tables)
