"""Sums of cells' skill are those done by hand, whatever the weights; pairs of components stay together."""

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
def test_a_tables_mean_is_the_sum_of_the_mean_sums(weights: dict[Cell, float]) -> None:
    found = sums().of_skill(weights)
    assert found is not None
    expected = sum(weight * sums().mean_skill({cell: 1.0}, (0, 1, 2)) for cell, weight in weights.items())
    assert found.table.mean() == pytest.approx(expected, abs=1e-9)
    assert found.whole


@given(st.sampled_from(CELLS), st.floats(-2, 2))
def test_twice_the_weight_is_twice_the_table(cell: Cell, weight: float) -> None:
    one = sums().of_skill({cell: weight})
    assert one is not None
    twice = sums().of_skill({cell: 2 * weight})
    assert twice is not None
    np.testing.assert_allclose(twice.table, 2 * one.table, atol=1e-9)


def test_a_difference_within_a_task_is_paired_by_component() -> None:
    cells = [(TASKS[0], "unified", 1.0, variant) for variant in ("dense", "base")]
    dense, base = (sums().of_skill({cell: 1.0}) for cell in cells)
    both = sums().of_skill({cells[0]: 1.0, cells[1]: -1.0})
    assert dense is not None
    assert base is not None
    assert both is not None
    np.testing.assert_allclose(both.table, dense.table - base.table, atol=1e-9)
    assert both.table.shape == (3, 30)


def test_the_mean_over_tasks_has_the_mean_variance_of_separate_tasks() -> None:
    """Tasks of other subjects are independent: the subjects' part is the sum of theirs, over the squared number."""
    parts = [sums().of_skill({(task, "unified", 1.0, "base"): 1.0}) for task in TASKS]
    whole = sums().of_skill({(task, "unified", 1.0, "base"): 1 / len(TASKS) for task in TASKS})
    assert whole is not None
    by_subject = [part.table.mean(axis=0).var(ddof=1) / part.table.shape[1] for part in parts if part is not None]
    joint = whole.table.mean(axis=0).var(ddof=1) / whole.table.shape[1]
    assert joint == pytest.approx(sum(by_subject) / len(TASKS) ** 2)
    assert np.isfinite(estimate(whole.table).se)


def test_only_seeds_that_all_cells_have_are_used() -> None:
    cells = {(TASKS[0], "unified", 1.0, variant): 1.0 for variant in ("base", "dense")}
    found = sums(missing=True).of_skill(cells)
    assert found is not None
    assert found.seeds == (0, 2)
    assert len(found.runs) == 4
    assert sums().of_skill({(TASKS[0], "unified", 0.5, "base"): 1.0}) is None


def test_without_predictions_scores_tell_of_seeds_alone() -> None:
    cells = {(task, "unified", 1.0, "base"): 1 / 4 for task in TASKS}
    found = sums(spread=None).of_skill(cells)
    assert found is not None
    assert not found.whole
    assert found.table.shape == (3, 1)
    assert found.table[:, 0] == pytest.approx([sums(spread=None).mean_skill(cells, (seed,)) for seed in (0, 1, 2)])


@given(st.dictionaries(st.sampled_from([cell for cell in CELLS if cell[1] == "unified"]), st.floats(-2, 2), min_size=1))
def test_a_sum_of_differences_in_skill_is_the_sum_of_both_sides(weights: dict[Cell, float]) -> None:
    found = sums().of_differences([weights], "skill")
    references = {(task, "task_specific", scale, variant): -w for (task, _, scale, variant), w in weights.items()}
    both = sums().of_skill({**weights, **references})
    assert found is not None
    assert both is not None
    np.testing.assert_allclose(found[0].table, both.table, atol=1e-9)
    assert (found[0].seeds, found[0].whole) == (both.seeds, both.whole)
    assert sorted(found[0].runs) == sorted(both.runs)


def test_sums_of_differences_that_belong_together_share_their_components() -> None:
    cells: list[Cell] = [(task, "unified", 1.0, "base") for task in TASKS[:2]]
    found = sums().of_differences([{cells[0]: 1.0}, {cells[1]: 1.0}], "relative")
    alone = sums().of_differences([{cells[0]: 1.0}], "relative")
    assert found is not None
    assert alone is not None
    assert found[0].table.shape == found[1].table.shape == (3, 60)
    assert alone[0].table.shape == (3, 30)
    assert found[0].table.mean() == pytest.approx(alone[0].table.mean())
    assert sums().of_differences([{(TASKS[0], "unified", 0.5, "base"): 1.0}], "skill") is None
