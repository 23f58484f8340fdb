"""Tests of complete sweeps with planted effects of data scale, task type and clinical group."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest

from tests.report.sweeps import FakeSweep, level
from usaggr.analysis.collect import collect
from usaggr.analysis.compare_study import compare_study
from usaggr.report.scale.tables import EffectAnalysis, analyze_effects
from usaggr.report.tables import Tables, make_tables
from usaggr.statistics.claims import Claim
from usaggr.tasks import CATALOGUE, Task

RowT = TypeVar("RowT")
TASKS = (
    "breast_lesion", "thyroid_nodule", "fetal_head", "cervix",
    "thyroid_nodule_det", "spinal_cord_injury_loc", "uterine_fibroid_det", "fetal_femur", "FUGC",
)  # fmt: skip
GROUPS = {"breast_lesion": "breast", "spinal_cord_injury_loc": "breast", "fetal_femur": "breast",
          "fetal_head": "obstetrics", "cervix": "obstetrics", "uterine_fibroid_det": "obstetrics",
          "thyroid_nodule": "thyroid", "thyroid_nodule_det": "thyroid", "FUGC": "thyroid"}  # fmt: skip
GROUP_EFFECTS = {"breast": -0.15, "obstetrics": 0.15, "thyroid": 0.0}


def planted(task: str, tasks: tuple[str, ...], scale: float | int) -> float:
    """Return the difference in skill of a block at a scale: CG loses with few data, AU loses in segmentation."""
    if len(tasks) == 1:
        return 0.0
    if len(tasks) == len(TASKS):
        return -0.1 if CATALOGUE[task].type == "segmentation" else 0.0
    return {0.1: -0.15, 1.0: 0.10}[float(scale)] + GROUP_EFFECTS[GROUPS[task]]


def sweep(folder: Path, scales: tuple[float, ...] = (0.1, 1.0), seeds: int = 4, tasks: tuple[str, ...] = TASKS,
          spread: float | None = 0.05) -> tuple[EffectAnalysis, Tables]:  # fmt: skip
    catalogue: dict[str, Task] = {t: replace(CATALOGUE[t], clinical_group=GROUPS[t]) for t in TASKS}
    blocks = {group: tuple(sorted(t for t in tasks if GROUPS[t] == group)) for group in sorted(set(GROUPS.values()))}
    fake = FakeSweep(
        folder, tasks, scales, tuple(range(seeds)), partitions={"clinical": {k: v for k, v in blocks.items() if v}},
        catalogue=catalogue, subjects=40, frames=1, spread=spread,
    )  # fmt: skip
    rng = np.random.default_rng(0)

    def scorer(task: str, block: tuple[str, ...], scale: float | int, seed: int) -> dict[str, float]:
        effect = planted(task, block, scale) if len(tasks) == len(TASKS) else 0.0
        return level(CATALOGUE[task], 0.55 + effect + 0.005 * rng.normal())

    collection = collect([fake.finish(scorer).directory])
    tables = make_tables(collection)
    return tables.compute(analyze_effects), tables


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> tuple[EffectAnalysis, Tables]:
    return sweep(tmp_path_factory.mktemp("whole"))


def only(results: Iterable[RowT], **fields: object) -> RowT:
    (result,) = [row for row in results if all(getattr(row, name) == value for name, value in fields.items())]
    return result


def claims_of(analysis: EffectAnalysis) -> list[Claim]:
    return [claim for claims in analysis.claims.values() for claim in claims]


def verdicts(analysis: EffectAnalysis) -> dict[tuple[str, str], str]:
    return {(claim.letter, claim.comparison): claim.verdict for claim in claims_of(analysis)}


def test_the_slope_within_tasks_is_the_planted_one(complete: tuple[EffectAnalysis, Tables]) -> None:
    clinical = only(complete[0].slopes, grouping="clinical", level="all", unit="skill")
    assert clinical.slope.value == pytest.approx(0.25, abs=0.02)
    assert clinical.slope.low < 0.25 < clinical.slope.high
    assert clinical.slope.p < 0.01
    unified = only(complete[0].slopes, grouping="unified", level="all", unit="skill")
    assert unified.slope.low < 0 < unified.slope.high
    assert clinical.tasks == unified.tasks == len(TASKS)


def test_a_task_has_the_slope_of_its_differences_in_the_comparison(complete: tuple[EffectAnalysis, Tables]) -> None:
    comparison = complete[1].comparison.verdict_table
    cells = comparison[(comparison["task"] == "cervix") & (comparison["grouping"] == "clinical") & comparison["main"]]
    line = np.polyfit(np.log10(cells["n_train"].to_numpy(dtype=float)), cells["relative"].to_numpy(dtype=float), 1)
    result = only(complete[0].slopes, grouping="clinical", level="task", scope="cervix", unit="relative")
    assert result.slope.value == pytest.approx(line[0])


def test_types_and_their_differences_have_slopes(complete: tuple[EffectAnalysis, Tables]) -> None:
    slopes = complete[0].slopes
    by_type = {name: only(slopes, grouping="clinical", level="type", scope=name, unit="skill").slope.value
           for name in ("segmentation", "detection")}  # fmt: skip
    pairs = [row for row in slopes if (row.level, row.unit, row.grouping) == ("difference", "skill", "clinical")]
    scope = next(row.scope for row in pairs if set(row.scope.split(" - ")) == {"segmentation", "detection"})
    gap = only(slopes, grouping="clinical", level="difference", scope=scope, unit="skill")
    first, second = scope.split(" - ")
    assert gap.slope.value == pytest.approx(by_type[first] - by_type[second])
    assert all(row.p_adjusted >= row.slope.p for row in pairs)


def test_the_crossing_is_where_the_planted_line_is_zero(complete: tuple[EffectAnalysis, Tables]) -> None:
    estimate = only(complete[0].crossings, grouping="clinical", level="all", unit="skill")
    assert estimate.crossing.low is not None
    assert estimate.crossing.high is not None
    assert estimate.crossing.low < 10**1.6 < estimate.crossing.high
    assert estimate.helps == "above"
    none = only(complete[0].crossings, grouping="unified", level="all", unit="skill")
    assert none.crossing.size is None
    assert "the interval of the slope includes 0" in none.crossing.reason


def test_type_and_group_means_are_those_of_the_comparison(complete: tuple[EffectAnalysis, Tables]) -> None:
    comparison = complete[1].comparison.verdict_table
    cells = comparison[comparison["main"] & (comparison["grouping"] == "unified") & (comparison["scale"] == 1.0)]
    for means, column in ((complete[0].type_means, "task_type"), (complete[0].group_means, "clinical_group")):
        for name, members in cells.groupby(column):
            mean = only(means, grouping="unified", scale=1.0, group=name)
            assert mean.skill.value == pytest.approx(members["delta_skill"].mean())
            assert mean.relative.value == pytest.approx(members["relative"].mean())
            assert mean.tasks == len(members)


def test_the_spread_over_groups_is_the_planted_one(complete: tuple[EffectAnalysis, Tables]) -> None:
    spread = only(complete[0].group_sds, grouping="clinical", scale=1.0)
    assert spread.skill.low < 0.15 < spread.skill.high
    assert (spread.groups, spread.left_out) == (3, 0)


def test_the_planted_claims_come_out(complete: tuple[EffectAnalysis, Tables]) -> None:
    claim_verdicts = verdicts(complete[0])
    assert claim_verdicts["a", "CG, within tasks"] == "supported"
    assert claim_verdicts["b", "CG, within tasks"] == "supported"
    assert claim_verdicts["c", "CG against AU"] == "supported"
    assert claim_verdicts["d", "AU"] == "supported"
    assert claim_verdicts["a", "CG, between clinical groups (confounded)"] == "undecided"


def test_rows_over_valid_cells_are_those_over_all_cells_where_all_are_valid(
    complete: tuple[EffectAnalysis, Tables],
) -> None:
    comparison = complete[1].comparison
    assert all(cell.valid for cell in comparison.verdicts)
    analysis = analyze_effects(comparison, valid_only=True)
    for name in ("slopes", "type_means", "group_means", "group_sds", "claims"):
        assert repr(getattr(analysis, name)) == repr(getattr(complete[0], name))  # NaN is not equal to itself
        assert getattr(analysis, name)


def test_cells_that_are_not_valid_are_left_out_of_rows_over_valid_cells(tmp_path: Path) -> None:
    fake = FakeSweep(tmp_path, ("breast_lesion", "thyroid_nodule"), subjects=20, spread=0.1)
    collection = collect([fake.finish(lambda t, b, s, k: level(CATALOGUE[t], 0.5 + 0.01 * k)).directory])
    comparison = compare_study(collection)
    verdicts = tuple(replace(row, collapsed=row.task == "thyroid_nodule") for row in comparison.verdicts)
    changed = replace(comparison, verdicts=verdicts)
    assert [row.tasks for row in analyze_effects(changed).type_means] == [2]
    assert [row.tasks for row in analyze_effects(changed, valid_only=True).type_means] == [1]


def test_one_scale_and_one_seed_leave_claims_undecided_with_the_reason(tmp_path: Path) -> None:
    analysis, _ = sweep(tmp_path, scales=(1.0,), seeds=1)
    claims = claims_of(analysis)
    assert {claim.verdict for claim in claims} == {"undecided"}
    why = {(c.letter, c.comparison): c.reason for c in claims}
    assert why["a", "CG, within tasks"] == "not tested by this sweep: one scale"
    assert "one seed" in why["d", "AU"]
    assert analysis.slopes == ()


def test_one_type_in_one_group_tests_no_claim_on_types_or_groups(tmp_path: Path) -> None:
    analysis, _ = sweep(tmp_path, tasks=("fetal_head", "cervix"))
    why = {(c.letter, c.comparison): c.reason for c in claims_of(analysis)}
    assert why["c", "CG against AU"] == "not tested by this sweep: one clinical group"
    assert why["d", "AU"] == "not tested by this sweep: one task type"
    assert analysis.group_sds == ()


def test_another_reference_is_not_the_papers(tmp_path: Path) -> None:
    fake = FakeSweep(tmp_path, reference="unified", spread=0.05)
    collection = collect([fake.finish(lambda t, b, s, k: level(CATALOGUE[t], 0.5 + 0.01 * k)).directory])
    tables = make_tables(collection)
    analysis = analyze_effects(tables.comparison)
    claims = list(claims_of(analysis))
    assert claims
    assert all(claim.reason.startswith("not tested by this sweep: its reference is unified") for claim in claims)


def test_runs_without_predictions_decide_no_claim(tmp_path: Path) -> None:
    analysis, _ = sweep(tmp_path, spread=None)
    claims = claims_of(analysis)
    assert {claim.verdict for claim in claims} == {"undecided"}
    assert any("no predictions" in claim.reason for claim in claims)


def test_a_sweep_without_results_has_empty_tables(tmp_path: Path) -> None:
    fake = FakeSweep(tmp_path)
    fake.write_plan()
    collection = collect([fake.directory])
    tables = make_tables(collection)
    analysis = analyze_effects(tables.comparison)
    assert analysis.slopes == ()
    assert analysis.type_means == ()
    assert {claim.verdict for claim in claims_of(analysis)} == {"undecided"}
