"""Tests of weighted sums against hand computation for any weights, and of the pairing of components."""

from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.report.variant_sweeps import TASKS, finish
from usaggr.analysis.cell_pseudovalues import Cell, CellPseudovalues
from usaggr.analysis.collect import collect
from usaggr.analysis.observations import observe
from usaggr.analysis.weighted_sums import WeightedSums
from usaggr.statistics.two_way_anova import estimate

CELLS: tuple[Cell, ...] = tuple(
    (task, grouping, 1.0, variant)
    for task in TASKS
    for grouping in ("task_specific", "unified")
    for variant in ("base", "dense")
)


@cache
def sums(missing: bool = False, spread: float | None = 0.05) -> WeightedSums:
    sweep = finish(
        Path(mkdtemp()), {("dense", "unified"): -0.1}, spread=spread, seeds=(0, 1, 2),
        skip=lambda run: missing and run.variant == "dense" and run.seed == 1,
    )  # fmt: skip
    collection = collect([sweep.directory])
    return WeightedSums(observe(collection), CellPseudovalues(collection), "task_specific")


@given(st.dictionaries(st.sampled_from(CELLS), st.floats(-2, 2), min_size=1))
def test_the_mean_of_a_table_is_the_weighted_sum_of_mean_skill(weights: dict[Cell, float]) -> None:
    total = sums().sum_skill(weights)
    assert total is not None
    expected = sum(weight * sums().average_skill({cell: 1.0}, (0, 1, 2)) for cell, weight in weights.items())
    assert total.table.mean() == pytest.approx(expected, abs=1e-9)
    assert total.has_predictions


@given(st.sampled_from(CELLS), st.floats(-2, 2))
def test_a_table_is_proportional_to_its_weight(cell: Cell, weight: float) -> None:
    single = sums().sum_skill({cell: weight})
    assert single is not None
    double = sums().sum_skill({cell: 2 * weight})
    assert double is not None
    np.testing.assert_allclose(double.table, 2 * single.table, atol=1e-9)


def test_a_difference_within_a_task_is_paired_by_component() -> None:
    cells = [(TASKS[0], "unified", 1.0, variant) for variant in ("dense", "base")]
    dense, base = (sums().sum_skill({cell: 1.0}) for cell in cells)
    difference = sums().sum_skill({cells[0]: 1.0, cells[1]: -1.0})
    assert dense is not None
    assert base is not None
    assert difference is not None
    np.testing.assert_allclose(difference.table, dense.table - base.table, atol=1e-9)
    assert difference.table.shape == (3, 30)


def test_the_variance_of_the_mean_over_tasks_follows_from_those_of_separate_tasks() -> None:
    """Tasks without common subjects are independent: variances are added and divided by the squared number of tasks."""
    separate = [sums().sum_skill({(task, "unified", 1.0, "base"): 1.0}) for task in TASKS]
    mean = sums().sum_skill({(task, "unified", 1.0, "base"): 1 / len(TASKS) for task in TASKS})
    assert mean is not None
    by_subject = [s.table.mean(axis=0).var(ddof=1) / s.table.shape[1] for s in separate if s is not None]
    joint = mean.table.mean(axis=0).var(ddof=1) / mean.table.shape[1]
    assert joint == pytest.approx(sum(by_subject) / len(TASKS) ** 2)
    assert np.isfinite(estimate(mean.table).se)


def test_only_seeds_that_all_cells_have_are_used() -> None:
    cells = {(TASKS[0], "unified", 1.0, variant): 1.0 for variant in ("base", "dense")}
    total = sums(missing=True).sum_skill(cells)
    assert total is not None
    assert total.seeds == (0, 2)
    assert sums().sum_skill({(TASKS[0], "unified", 0.5, "base"): 1.0}) is None


def test_without_predictions_the_table_holds_the_scores_by_seed() -> None:
    cells = {(task, "unified", 1.0, "base"): 1 / 4 for task in TASKS}
    total = sums(spread=None).sum_skill(cells)
    assert total is not None
    assert not total.has_predictions
    assert total.table.shape == (3, 1)
    assert total.table[:, 0] == pytest.approx([sums(spread=None).average_skill(cells, (seed,)) for seed in (0, 1, 2)])


@given(st.dictionaries(st.sampled_from([cell for cell in CELLS if cell[1] == "unified"]), st.floats(-2, 2), min_size=1))
def test_a_sum_of_differences_in_skill_is_the_sum_of_both_sides(weights: dict[Cell, float]) -> None:
    total = sums().sum_differences([weights], "skill")
    references = {(task, "task_specific", scale, variant): -w for (task, _, scale, variant), w in weights.items()}
    sides = sums().sum_skill({**weights, **references})
    assert total is not None
    assert sides is not None
    np.testing.assert_allclose(total[0].table, sides.table, atol=1e-9)
    assert (total[0].seeds, total[0].has_predictions) == (sides.seeds, sides.has_predictions)


def test_sums_of_differences_that_are_computed_together_share_their_components() -> None:
    cells: list[Cell] = [(task, "unified", 1.0, "base") for task in TASKS[:2]]
    total = sums().sum_differences([{cells[0]: 1.0}, {cells[1]: 1.0}], "relative")
    alone = sums().sum_differences([{cells[0]: 1.0}], "relative")
    assert total is not None
    assert alone is not None
    assert total[0].table.shape == total[1].table.shape == (3, 60)
    assert alone[0].table.shape == (3, 30)
    assert total[0].table.mean() == pytest.approx(alone[0].table.mean())
    assert sums().sum_differences([{(TASKS[0], "unified", 0.5, "base"): 1.0}], "skill") is None
