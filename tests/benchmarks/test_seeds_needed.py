"""Tests of the simulated studies that are planned and extended: they are drawn, judged and planned as in reports."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from benchmarks.evidence import seeds_needed, worlds
from benchmarks.evidence.component_worlds import Cells, World, draw_cells, draw_factors
from benchmarks.evidence.extended_studies import Studies, draw_planned, extend_studies
from benchmarks.evidence.families import MARGIN, estimate_cells
from benchmarks.evidence.marks import Share
from benchmarks.evidence.seeds_needed import PROMISES, Outcome, Planned, Setting, judge, make_world, measure, plan_seeds
from benchmarks.evidence.seeds_needed_page import LEAST, mark_extended, report
from usaggr.analysis.compare_study import StudyComparison, compare_study
from usaggr.statistics.seeds_needed import count_seeds_needed
from usaggr.statistics.two_way_anova import compute_mean_squares
from usaggr.statistics.verdicts import decide_verdicts
from usaggr.tasks import CATALOGUE

NOTHING_DIFFERS = next(i for i, promise in enumerate(PROMISES) if promise.truth == promise.other_truth == 0)
SMALL = World("test", seed_sd=0.03, subject_sd=0.04, subjects=(12,), scales=1)


def draw_tables(repetitions: int, seeds: int) -> np.ndarray:
    """Return tables (repetitions, seeds, 12) of differences in the world SMALL, effect by effect."""
    rng = np.random.default_rng(1)
    shape = (2, repetitions, seeds, 12)
    tables = SMALL.residual_sd * rng.standard_normal(shape)
    tables += SMALL.seed_sd * rng.standard_normal((*shape[:3], 1))
    tables += SMALL.subject_sd * rng.standard_normal((2, repetitions, 1, 12))
    return np.asarray(tables[1] - tables[0])


def list_statistics(cells: Cells) -> np.ndarray:
    """Return the four statistics (4, repetitions) of the first task, second grouping and first scale."""
    return np.stack([array[:, 0, 1, 0] for array in (cells.value, cells.seeds, cells.subjects, cells.residual)])


def list_table_statistics(tables: np.ndarray) -> np.ndarray:
    squares = compute_mean_squares(tables)
    return np.stack([tables.mean(axis=(-2, -1)), squares.seeds, squares.subjects, squares.residual])


@pytest.mark.parametrize("seeds", [4, 9])
def test_an_extended_study_has_the_statistics_of_a_longer_table_that_begins_with_the_same_seeds(seeds: int) -> None:
    rng = np.random.default_rng(0)
    first = draw_planned(SMALL, rng, 20_000, 1, 3)
    longer = extend_studies(first, rng, seeds)
    assert (longer.by_seed[..., :3] == first.by_seed).all()
    tables = draw_tables(20_000, seeds)
    simulated = np.concatenate([list_statistics(first.summarize()), list_statistics(longer.summarize())])
    expected = np.concatenate([list_table_statistics(tables[:, :3]), list_table_statistics(tables)])
    for i, (drawn, true) in enumerate(zip(simulated, expected, strict=True)):
        assert stats.ks_2samp(drawn, true).pvalue > 0.001, i
    # The correlations between the shorter and the longer study: same seeds, same subjects, same residuals.
    assert np.corrcoef(simulated) == pytest.approx(np.corrcoef(expected), abs=0.05)


def test_seeds_are_added_to_the_same_tasks() -> None:
    world = World("test", task_log_sd=2.0, subject_sd=0.0, residual_sd=1e-6, scales=1)
    rng = np.random.default_rng(2)
    studies = draw_planned(world, rng, 400, 1, 30)
    longer = extend_studies(studies, rng, 60)
    old, new = (np.log(values[:, 0, 1, 0].std(axis=-1)) for values in (studies.by_seed, longer.by_seed[..., 30:]))
    assert np.corrcoef(old, new)[0, 1] > 0.9


def test_worlds_without_a_common_number_of_subjects_or_normal_effects_are_refused() -> None:
    rng = np.random.default_rng(3)
    for world in (World("test", subjects=(12, 30)), World("test", subject_tail="t3")):
        with pytest.raises(ValueError, match="subjects"):
            draw_planned(world, rng, 2, 1, 3)


def test_factors_are_drawn_as_before_they_could_be_given() -> None:
    world = World("test", task_log_sd=0.5, small_scale_factors=(1, 1, 3))
    factors = draw_factors(world, np.random.default_rng(4), 5, 2)
    assert factors[:, :, 2, 0] / factors[:, :, 2, 1] == pytest.approx(np.full((5, 2), 3.0))
    assert np.isfinite(draw_cells(world, np.random.default_rng(4), 5, 2, 3).value).all()


@pytest.mark.parametrize("tasks", [1, 4])
def test_cells_are_judged_as_by_their_p_values(tasks: int) -> None:
    studies = draw_planned(make_world(0.01, 100), np.random.default_rng(5), 60, tasks, 4)
    estimate = estimate_cells(studies.summarize())
    verdicts = judge(estimate)
    for i, promise in enumerate(PROMISES):
        truths = np.full((tasks, 1, 1), promise.other_truth)
        truths[0] = promise.truth
        p, p_ni = estimate.compute_two_sided_p(-truths), estimate.compute_one_sided_p(-truths - MARGIN)
        for study in range(60):
            family = (study, slice(None), 1, -1)
            expected = decide_verdicts(estimate.value[family] + truths[:, 0, 0], p[family], p_ni[family]).verdicts[0]
            assert verdicts[i, study] == expected
    assert {"gain", "loss", "no_loss", "undecided"} == set(verdicts.ravel())


def test_a_single_task_keeps_its_own_variances() -> None:
    cells = draw_planned(make_world(0.01, 100), np.random.default_rng(6), 5, 1, 4).summarize()
    expected, estimate = estimate_cells(cells), seeds_needed.estimate_differences(cells)
    assert (expected.seed_df == estimate.seed_df).all()
    assert estimate.seed_variance == pytest.approx(expected.seed_variance)


def read_studies(comparison: StudyComparison, scale: float) -> Studies:
    """Return the finished seeds of a report's differences under the unified model, as a simulated study."""
    keys = [cell.key for cell in comparison.verdicts if cell.grouping == "unified" and cell.scale == scale]
    scales = [scale, *(other for other in comparison.study.scales if other != scale)][::-1]
    tables = np.array([
        [comparison.differences[(key[0], other, *key[2:])].table for other in scales] for key in keys
    ])[None, :, None]  # fmt: skip
    seeds, subjects = tables.shape[-2:]
    squares = compute_mean_squares(tables)
    return Studies(
        World("report", subjects=(subjects,)),
        subjects,
        np.ones((1, len(keys), 3, len(scales))),
        tables.mean(axis=-1),
        np.zeros(squares.seeds.shape),
        squares.subjects * (subjects - 1) / seeds,
        squares.residual * (seeds - 1) * (subjects - 1),
    )


@pytest.mark.parametrize("scale", [0.25, 1.0])
def test_verdicts_and_named_numbers_are_those_of_a_report(monkeypatch: pytest.MonkeyPatch, scale: float) -> None:
    segmentation = tuple(name for name, task in CATALOGUE.items() if task.type == "segmentation")[:4]
    monkeypatch.setattr(worlds, "TASKS", segmentation)
    monkeypatch.setattr(worlds, "GROUPINGS", ("task_specific", "unified"))
    monkeypatch.setattr(seeds_needed, "JUDGED", (0, 0, -1))
    world = worlds.World(grouping_sd=0.02)
    is_undecided = []
    for seed in range(3):
        comparison = compare_study(worlds.draw_sweep(world, {}, np.random.default_rng(seed)), main_only=True)
        reported = next(c for c in comparison.verdicts if c.grouping == "unified" and c.scale == scale)
        studies = read_studies(comparison, scale)
        estimate = estimate_cells(studies.summarize())
        assert judge(estimate)[NOTHING_DIFFERS, 0] == reported.verdict
        needed = plan_seeds(estimate, studies, np.array([True]))[0]
        if reported.verdict == "undecided":
            is_undecided.append(True)
            assert reported.seeds_needed is not None
            assert needed == reported.seeds_needed
    assert is_undecided


def test_named_numbers_keep_the_promise_and_much_smaller_ones_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    setting = Setting(make_world(0.015, 100), 3, 3)
    planned_well = measure(setting, 120)
    shares = [outcome.extended for outcome in planned_well.outcomes if outcome.extended.total > 50]
    assert len(shares) >= 2
    assert all(share.estimate > LEAST for share in shares)
    assert planned_well.outcomes[0].unnamed.count == 0
    text, misses = report({setting: planned_well}, 120)
    assert misses == []
    assert "| seed SD .015, 100 subjects | 3 |" in text

    monkeypatch.setattr(
        seeds_needed, "count_seeds_needed", lambda *arguments: np.maximum(4, count_seeds_needed(*arguments) // 3)
    )
    short = measure(setting, 120)
    assert short.outcomes[0].extended.estimate < LEAST - 0.15
    text, misses = report({setting: short}, 120)
    assert any("0 as no_loss" in miss for miss in misses)
    assert "**misses**" in text


def test_a_number_is_named_only_where_subjects_suffice() -> None:
    """With 30 subjects and a standard deviation of .05 x 2^.5, the standard error is .013 for any number of seeds."""
    few = measure(Setting(World("few", subjects=(30,)), 1, 3), 60)
    assert few.outcomes[0].unnamed.estimate > 0.9
    assert few.numbers.size <= 6


def test_few_named_numbers_have_no_share_and_no_mark() -> None:
    small, large = Share(10, 49), Share(60, 100)
    assert mark_extended(small) == ""
    assert mark_extended(large) == "misses"
    assert mark_extended(Share(75, 100)) == ""
    outcome = Outcome(Share(90, 100), Share(0, 90), small, small)
    wrong = Outcome(Share(100, 100), Share(0, 100), large, large)
    setting = Setting(make_world(0.03, 400), 8, 5)
    planned = Planned((outcome, wrong, outcome, outcome, wrong, outcome), np.full(60, 12.0), np.full(60, np.nan))
    text, misses = report({setting: planned}, 100)
    assert len(misses) == 2
    assert "| seed SD .03, 400 subjects | 5 | 60.0 **misses**, 60.0 **misses** ± 4.9 |" in text
    assert "| seed SD .03, 400 subjects | 5 | 12 (12 to 12) for none |" in text
    assert "| seed SD .03, 400 subjects | 5 | –, 60.0, – ± 4.9 |" in text


@pytest.mark.slow
def test_the_quick_benchmark_writes_the_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    assert seeds_needed.main(["--quick", "--out", str(page)]) == 0
    text = page.read_text()
    assert "| seed SD .01, 100 subjects | 3 |" in text
    assert "| subjects vary x .25, 100 subjects | 3 |" in text
