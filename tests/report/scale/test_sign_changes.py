"""Changes of sign of the mean difference over scales, in sweeps with planted differences."""

from pathlib import Path

import numpy as np
import pytest

from tests.report.sweeps import FakeSweep, level
from usaggr.analysis.collect import collect
from usaggr.analysis.compare_study import compare_study
from usaggr.analysis.weighted_sums import ComparedCells
from usaggr.report.scale.sign_changes import GroupingSignChange, estimate_sign_changes
from usaggr.report.scale.slopes import estimate_slopes, is_at_floor, leave_out_floor
from usaggr.report.scale.tables import analyze_effects
from usaggr.statistics.claims import Claim
from usaggr.statistics.scale_trend import SignChange
from usaggr.tasks import CATALOGUE

TASKS = ("breast_lesion", "thyroid_nodule", "fetal_head")


def compare(
    folder: Path, effects: dict[float, float], levels: dict[float, float] | None = None, spread: float | None = 0.05
) -> tuple[ComparedCells, Claim]:
    """Return the cells of a sweep whose unified model differs by the effect of each scale, and claim (a) on it.

    `levels` are the reference's skills at each scale.
    """
    fake = FakeSweep(
        folder, TASKS, tuple(effects), (0, 1, 2, 3), ("task_specific", "unified"), subjects=40, frames=1, spread=spread
    )
    rng = np.random.default_rng(0)

    def scorer(task: str, block: tuple[str, ...], scale: float | int, seed: int) -> dict[str, float]:
        skill = (levels or {}).get(float(scale), 0.55) + (effects[float(scale)] if len(block) > 1 else 0.0)
        return level(CATALOGUE[task], skill + 0.005 * rng.normal())

    comparison = compare_study(collect([fake.finish(scorer).directory]))
    planned = [cell for cell in comparison.verdicts if cell.main]
    cells = [cell for cell in planned if not np.isnan(cell.delta)]
    compared = ComparedCells(cells, planned, comparison.weighted_sums, comparison.study.confidence)
    claims = analyze_effects(comparison).claims["base"]
    return compared, next(claim for claim in claims if claim.comparison == "AU, within tasks")


def test_a_difference_that_changes_its_sign_is_found_and_supports_claim_a(tmp_path: Path) -> None:
    compared, claim = compare(tmp_path, {0.1: -0.1, 0.3: 0.0, 1.0: 0.1})
    assert estimate_sign_changes(compared) == (GroupingSignChange("base", "unified", SignChange(1.0, 0.1)),)
    assert claim.verdict == "supported"
    assert "changes its sign" in claim.reason


def test_a_difference_that_keeps_its_sign_is_no_change(tmp_path: Path) -> None:
    compared, _ = compare(tmp_path, {0.1: 0.1, 1.0: 0.02})
    assert estimate_sign_changes(compared) == ()


def test_without_predictions_or_at_one_scale_no_change_of_sign_is_found(tmp_path: Path) -> None:
    compared, _ = compare(tmp_path / "scores", {0.1: -0.1, 1.0: 0.1}, spread=None)
    assert estimate_sign_changes(compared) == ()
    compared, _ = compare(tmp_path / "scale", {1.0: 0.1})
    assert estimate_sign_changes(compared) == ()


def test_a_constant_ratio_of_errors_changes_in_skill_alone_and_supports_nothing(tmp_path: Path) -> None:
    levels = {0.1: 0.4, 1.0: 0.8}
    compared, claim = compare(tmp_path, {scale: 0.3 * (1 - skill) for scale, skill in levels.items()}, levels)
    slopes = {row.unit: row.slope for row in estimate_slopes(compared, levels=["all"])}
    assert slopes["skill"].high < 0
    # Scores of the fake sweep are slightly below the planted ones, so that the ratio is not exactly constant.
    assert slopes["log_error"].value == pytest.approx(0, abs=0.05)
    assert claim.verdict == "undecided"
    assert "may come from the scale of measurement" in claim.reason


def test_a_constant_ratio_of_skills_grows_in_skill_alone_and_supports_nothing(tmp_path: Path) -> None:
    levels = {0.1: 0.3, 1.0: 0.7}
    compared, claim = compare(tmp_path, {scale: 0.25 * skill for scale, skill in levels.items()}, levels)
    slopes = {row.unit: row.slope for row in estimate_slopes(compared, levels=["all"])}
    assert slopes["skill"].low > 0
    assert slopes["log_error"].low > 0
    assert slopes["log_skill"].value == pytest.approx(0, abs=0.05)
    assert claim.verdict == "undecided"
    assert "but not in log skill with the same sign" in claim.reason


def test_scales_at_which_nothing_is_learned_support_nothing_and_are_noted(tmp_path: Path) -> None:
    compared, claim = compare(tmp_path, {0.1: 0.0, 0.3: 0.1, 1.0: 0.1}, {0.1: 0.03, 0.3: 0.5, 1.0: 0.5})
    (slope,) = [row for row in estimate_slopes(compared, levels=["all"]) if row.unit == "skill"]
    assert slope.slope.low > 0.02
    assert slope.at_floor == 3
    assert {cell.scale for cell in compared.cells if is_at_floor(cell)} == {0.1}
    assert {cell.scale for cell in leave_out_floor(compared).cells} == {0.3, 1.0}
    assert claim.verdict != "supported"
    assert "without 3 cells in which neither model has learned the task" in claim.reason


def test_a_task_that_only_one_model_learns_is_not_at_the_floor(tmp_path: Path) -> None:
    compared, _ = compare(tmp_path, {0.1: 0.3, 1.0: 0.1}, {0.1: 0.0, 1.0: 0.5})
    assert not any(is_at_floor(cell) for cell in compared.cells)


def test_at_the_floor_of_all_but_one_scale_claim_a_has_its_reason(tmp_path: Path) -> None:
    _, claim = compare(tmp_path, {0.1: 0.0, 1.0: 0.1}, {0.1: 0.03, 1.0: 0.5})
    assert claim.verdict == "undecided"
    assert "apart from scales at which neither model has learned the task" in claim.reason
