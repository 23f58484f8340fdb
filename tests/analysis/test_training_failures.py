"""Tests of cells with collapsed seeds: their notes, and the verdicts that remain."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tests.report.sweeps import CATALOGUE, FakeSweep, level
from usaggr.analysis.collect import collect
from usaggr.analysis.training_failures import CollapsedSeeds, compute_p_of_loss
from usaggr.report.tables import make_tables

TASKS = ("breast_lesion", "fetal_head")
PAIR = ("task_specific", "unified")
COLLAPSED = -0.1
"""Skill of a run below the trivial predictor."""


def cells_of(
    folder: Path, skills: dict[tuple[int, int], float], seeds: int, alone: float = 0.5, shared: float = 0.5
) -> pd.DataFrame:
    """Return the cells of a study whose runs have the skill of their grouping, with exceptions.

    Args:
        folder: Folder of the study.
        skills: Skill on breast_lesion by number of tasks of the run and seed.
        seeds: Number of seeds.
        alone: Skill of the other task-specific runs.
        shared: Skill of the other unified runs.
    """
    jitter = np.random.default_rng(0).normal(0, 0.003, (3, seeds))

    def scorer(task: str, block: tuple[str, ...], scale: float | int, seed: int) -> dict[str, float]:
        skill = (alone if len(block) == 1 else shared) + jitter[len(block), seed]
        if task == "breast_lesion":
            skill = skills.get((len(block), seed), skill)
        return level(CATALOGUE[task], float(skill))

    sweep = FakeSweep(
        folder, tasks=TASKS, groupings=PAIR, subjects=40, frames=1, spread=0.02, seeds=tuple(range(seeds))
    ).finish(scorer)
    table = make_tables(collect([sweep.directory])).comparison.verdict_table
    return table[table["main"]].set_index("task")


@pytest.mark.parametrize(
    ("collapsed", "note"),
    [
        ({(2, 1): COLLAPSED}, "1 of 3 seeds collapsed"),
        ({(1, 1): COLLAPSED}, "1 of 3 seeds of the reference collapsed"),
        ({(2, 1): COLLAPSED, (1, 2): COLLAPSED}, "1 of 3 seeds collapsed; 1 of 3 seeds of the reference collapsed"),
        # It exceeds the trivial predictor by chance, but the other seeds have 20 times its skill.
        ({(2, 1): 0.03}, "1 of 3 seeds collapsed"),
    ],
)
@pytest.mark.parametrize("shared", [0.5, 0.9])
def test_a_collapsed_seed_is_noted_and_leaves_neither_a_gain_nor_no_loss(
    tmp_path: Path, collapsed: dict[tuple[int, int], float], note: str, shared: float
) -> None:
    cells = cells_of(tmp_path / "study", collapsed, 3, shared=shared)
    cell = cells.loc["breast_lesion"]
    assert (cell["verdict"], cell["note"].removesuffix("; weak")) == ("", note)
    assert cell[["p_ni", "p_ni_adjusted"]].isna().all()
    other = cells.loc["fetal_head"]
    expected = ("gain", "") if shared > 0.5 else ("no_loss", "apart from failures rarer than 1 in 6")
    assert (other["verdict"], other["note"]) == expected


def test_without_a_collapsed_seed_low_skill_is_no_collapse(tmp_path: Path) -> None:
    """Skills of .02 and .11 differ by a factor of more than four, but by less than .2."""
    cell = cells_of(tmp_path / "study", {(2, 1): 0.02}, 3, alone=0.1, shared=0.1).loc["breast_lesion"]
    assert "seeds" not in cell["note"]
    assert cell["verdict"] != ""


def test_seeds_that_all_collapsed_are_compared_with_the_other_grouping(tmp_path: Path) -> None:
    """Two of three seeds exceed the trivial predictor by chance."""
    skills = {(2, 0): 0.03, (2, 1): -0.02, (2, 2): 0.01}
    cell = cells_of(tmp_path / "study", skills, 3).loc["breast_lesion"]
    assert (cell["verdict"], cell["note"]) == ("", "3 of 3 seeds collapsed; weak")


def test_a_low_skill_that_is_certainly_above_trivial_is_a_loss_and_no_collapse(tmp_path: Path) -> None:
    cell = cells_of(tmp_path / "study", {(2, seed): 0.1 + 0.001 * seed for seed in range(3)}, 3).loc["breast_lesion"]
    assert (cell["verdict"], cell["note"]) == ("loss", "")


def test_a_loss_in_all_seeds_and_in_the_intact_ones_remains(tmp_path: Path) -> None:
    lower = {(2, seed): 0.4 - 0.01 * (seed % 3) for seed in range(9)} | {(2, 4): 0.02}
    cell = cells_of(tmp_path / "study", lower, 10, alone=0.8, shared=0.4).loc["breast_lesion"]
    assert (cell["verdict"], cell["note"]) == ("loss", "1 of 10 seeds collapsed")
    assert cell["p_adjusted"] < 0.05


def test_a_loss_that_only_the_collapsed_seed_causes_is_none(tmp_path: Path) -> None:
    cell = cells_of(tmp_path / "study", {(2, seed): COLLAPSED for seed in range(4)}, 5).loc["breast_lesion"]
    assert (cell["verdict"], cell["note"].split("; ")[0]) == ("", "4 of 5 seeds collapsed")


@pytest.mark.parametrize(("seeds", "verdict"), [(3, ""), (5, "loss")])
def test_a_loss_remains_if_more_than_a_few_seeds_collapsed_and_none_of_the_reference(
    tmp_path: Path, seeds: int, verdict: str
) -> None:
    collapsed = {(2, seed): COLLAPSED + 0.01 * seed for seed in range(seeds)}
    cell = cells_of(tmp_path / "study", collapsed, seeds).loc["breast_lesion"]
    assert (cell["verdict"], cell["note"].split("; ")[0]) == (verdict, f"{seeds} of {seeds} seeds collapsed")


def test_two_collapsed_sides_are_not_compared_even_if_their_seeds_agree(tmp_path: Path) -> None:
    skills = {(n, seed): COLLAPSED - 0.05 * n for n in (1, 2) for seed in range(3)}
    cell = cells_of(tmp_path / "study", skills, 3).loc["breast_lesion"]
    assert cell["verdict"] == ""
    assert cell["delta"] < -0.02


def test_the_p_value_of_a_loss_is_the_larger_one_with_and_without_collapsed_seeds() -> None:
    """One component per seed, so that the p value without the collapsed seed is that of Student's t over seeds."""
    table = np.array([[-0.05], [-0.06], [-0.02], [-0.4]])
    seeds = CollapsedSeeds((False, False, False, True), (False,) * 4)
    without = stats.ttest_1samp(table[:3, 0], 0).pvalue
    assert compute_p_of_loss(table, 0.001, seeds) == pytest.approx(without)
    assert compute_p_of_loss(table, 0.3, seeds) == 0.3
    assert np.isnan(compute_p_of_loss(-table, 0.001, seeds))
    # The mean is negative only because of the collapsed seed.
    assert np.isnan(compute_p_of_loss(np.array([[0.05], [0.06], [0.02], [-0.4]]), 0.001, seeds))


def test_fewer_than_two_intact_seeds_give_no_p_value() -> None:
    table = np.full((3, 4), -0.3)
    none = (False,) * 3
    assert np.isnan(compute_p_of_loss(table, 0.01, CollapsedSeeds((True, True, False), none)))
    assert np.isnan(compute_p_of_loss(table, 0.01, CollapsedSeeds((True,) * 3, (True, False, False))))
    assert np.isnan(compute_p_of_loss(table, 0.01, CollapsedSeeds(none, (True,) * 3)))


@pytest.mark.parametrize("seeds", [1, 2, 3, 5, 8])
def test_if_only_one_side_collapsed_the_p_value_is_at_least_that_of_fishers_exact_test(seeds: int) -> None:
    table, collapsed = np.full((seeds, 4), -0.3), CollapsedSeeds((True,) * seeds, (False,) * seeds)
    exact = stats.fisher_exact([[seeds, 0], [0, seeds]]).pvalue
    assert compute_p_of_loss(table, 0.0, collapsed) == pytest.approx(exact)
    assert compute_p_of_loss(table, 1.0, collapsed) == 1.0
