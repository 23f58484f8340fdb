"""Tests of simulated families of verdicts: their statistics are those of tables, and they are judged as in reports."""

import re
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from benchmarks.evidence import critical_values, equal_error, families, families_page, far_tail, whole_path
from benchmarks.evidence.component_worlds import FURTHER, REVIEW, Cells, World, draw_cells
from benchmarks.evidence.marks import ClusteredShare, Share, mark_coverage, mark_share
from benchmarks.evidence.whole_path import SCALES, TASKS, SimulatedSweep
from usaggr.analysis.collect import collect
from usaggr.analysis.compare_study import compare_study
from usaggr.analysis.difference_intervals import moderate_by_metric
from usaggr.statistics import critical_values as critical_values_module
from usaggr.statistics.two_way_anova import compute_mean_squares, estimate
from usaggr.statistics.verdicts import decide_verdicts

SECTIONS = "".join(
    f"<!-- {name}: begin -->\n<!-- {name}: end -->\n"
    for name in ("families", "critical values", "far tail", "power", "whole path")
)


def draw_tables(world: World, rng: np.random.Generator, repetitions: int, subjects: int, seeds: int) -> np.ndarray:
    """Return tables (repetitions, groupings, scales, seeds, subjects) of one task, effect by effect."""
    shape = (repetitions, 3, world.scales, seeds, subjects)
    tables = world.residual_sd * rng.standard_normal(shape)
    tables += world.seed_sd * np.array(world.arm_factors)[:, None, None, None] * rng.standard_normal((*shape[:-1], 1))
    common = rng.standard_normal((repetitions, 1, world.scales, 1, subjects))
    alone = rng.standard_normal((repetitions, 3, world.scales, 1, subjects))
    share = world.subject_correlation * np.array([0, 1, 1])[:, None, None, None]
    tables += world.subject_sd * (np.sqrt(share) * common + np.sqrt(1 - share) * alone)
    return np.asarray(tables[:, 1:] - tables[:, :1])


@pytest.mark.parametrize("correlation", [0.0, 0.7])
def test_drawn_statistics_have_the_distribution_of_those_of_tables(correlation: float) -> None:
    world = World("test", arm_factors=(2, 1, 3), subject_correlation=correlation, subjects=(12,))
    drawn = draw_cells(world, np.random.default_rng(0), 4000, 1, 3)
    tables = draw_tables(world, np.random.default_rng(1), 4000, 12, 3)
    expected = compute_mean_squares(tables)
    pairs = {
        "value": (drawn.value, tables.mean(axis=(-2, -1))),
        "seeds": (drawn.seeds, expected.seeds),
        "subjects": (drawn.subjects, expected.subjects),
        "residual": (drawn.residual, expected.residual),
    }
    for name, (simulated, true) in pairs.items():
        values = simulated[:, 0]
        for grouping in range(2):
            for scale in range(2):
                test = stats.ks_2samp(values[:, grouping, scale], true[:, grouping, scale])
                assert test.pvalue > 0.001, name
        # The reference, and correlated subjects, correlate the cells of one scale.
        between = [np.corrcoef(array[:, 0, 0], array[:, 1, 0])[0, 1] for array in (values, true)]
        assert between[0] == pytest.approx(between[1], abs=0.06), name
        assert np.corrcoef(values[:, 0, 0], values[:, 0, 1])[0, 1] == pytest.approx(0, abs=0.06), name


@pytest.mark.parametrize("world", [*REVIEW, *FURTHER], ids=lambda world: world.name)
def test_no_world_has_a_true_difference(world: World) -> None:
    cells = draw_cells(world, np.random.default_rng(2), 1000, 3, 3)
    means = cells.value.mean(axis=0)
    errors = cells.value.std(axis=0) / np.sqrt(1000)
    assert np.all(np.abs(means) < 4.5 * errors)
    assert cells.value.shape == cells.seeds.shape == (1000, 3, 2, world.scales)
    assert np.isfinite([cells.value, cells.seeds, cells.subjects, cells.residual]).all()


def test_seed_effects_have_the_variance_and_correlations_that_a_world_names() -> None:
    # One subject effect and no residual, so that the mean square between seeds is the variance of seed effects.
    quiet = {"subject_sd": 0.0, "residual_sd": 0.0, "subjects": (10,)}
    variance = 2 * 0.015**2
    for tail in ("normal", "t3", "skewed"):
        cells = draw_cells(World("test", seed_tail=tail, **quiet), np.random.default_rng(3), 20_000, 2, 3)  # type: ignore[arg-type]
        assert (cells.seeds / 10).mean() == pytest.approx(variance, rel=0.1), tail
    small = draw_cells(World("test", small_scale_factors=(1, 1, 3), **quiet), np.random.default_rng(3), 20_000, 2, 3)  # type: ignore[arg-type]
    ratios = small.seeds.mean(axis=(0, 1)) / 10 / variance
    assert ratios == pytest.approx(np.array([[1, 1], [5, 1]]), rel=0.05)
    same = draw_cells(World("test", same_seed=0.8, **quiet), np.random.default_rng(3), 20_000, 2, 3)  # type: ignore[arg-type]
    assert np.corrcoef(same.value[:, 0, 0, 0], same.value[:, 0, 0, 1])[0, 1] == pytest.approx(0.8, abs=0.02)
    shared = draw_cells(World("test", arm_factors=(0, 1, 1), **quiet), np.random.default_rng(3), 20_000, 2, 3)  # type: ignore[arg-type]
    assert np.corrcoef(shared.value[:, 0, 1, 0], shared.value[:, 1, 1, 0])[0, 1] == pytest.approx(0.8, abs=0.02)
    assert np.corrcoef(shared.value[:, 0, 0, 0], shared.value[:, 1, 0, 0])[0, 1] == pytest.approx(0.0, abs=0.03)


def test_cells_are_estimated_as_reports_estimate_their_tables() -> None:
    rng = np.random.default_rng(4)
    tables = {
        ("base", scale, grouping, f"task {task}", "dsc"): rng.standard_normal((3, 1)) + rng.standard_normal((3, 20))
        for task in range(4) for grouping in ("clinical", "unified") for scale in (0.25, 1.0)
    }  # fmt: skip
    expected = moderate_by_metric(tables)
    stacked = np.array(list(tables.values())).reshape(1, 4, 2, 2, 3, 20)
    squares = compute_mean_squares(stacked)
    cells = Cells(
        stacked.mean(axis=(-2, -1)), squares.seeds, squares.subjects, squares.residual, 3, np.full((4, 1, 1), 20.0)
    )
    low, high = families.estimate_cells(cells).compute_interval(0.95)
    bounds = [difference.estimate.compute_interval(0.95) for difference in expected.values()]
    assert np.stack([low, high], axis=-1).reshape(-1, 2) == pytest.approx(np.array(bounds), rel=1e-9)


def test_families_are_judged_as_by_all_their_p_values() -> None:
    world = World("test", seed_sd=0.03)
    cells = draw_cells(world, np.random.default_rng(5), 60, 4, 2)
    estimate = families.estimate_alone(cells)
    false, no_loss = families.find_false_families(estimate, *estimate.compute_interval(0.95))
    p, p_ni = estimate.compute_two_sided_p(), estimate.compute_one_sided_p(0.0)
    p_lost = estimate.compute_two_sided_p(families.MARGIN)
    for index in np.ndindex(false.shape):
        repetition, grouping, scale = index
        family = (repetition, slice(None), grouping, scale)
        value = estimate.value[family]
        null = decide_verdicts(value, p[family], np.ones(4)).verdicts
        lost = decide_verdicts(value - families.MARGIN, p_lost[family], p_ni[family]).verdicts
        assert false[index] == any(verdict in ("gain", "loss") for verdict in null)
        assert no_loss[index] == any(verdict in ("gain", "no_loss") for verdict in lost)
    assert false.any()
    assert no_loss.any()


def test_estimates_without_moderation_are_those_of_tables() -> None:
    tables = np.random.default_rng(6).standard_normal((2, 3, 2, 2, 4, 15))
    squares = compute_mean_squares(tables)
    cells = Cells(
        tables.mean(axis=(-2, -1)), squares.seeds, squares.subjects, squares.residual, 4, np.full((3, 1, 1), 15.0)
    )
    low, high = families.estimate_alone(cells).compute_interval(0.95)
    expected = estimate(tables).compute_interval(0.95)
    assert np.stack([low, high]) == pytest.approx(np.stack(expected))


def test_the_error_of_a_coverage_is_that_of_independent_studies() -> None:
    world = World("test", seed_sd=0.03)
    result = families.measure(world, 8, 2, 300)
    assert len(result.coverage) == result.false_differences.size == 4
    # Under the unified model the tasks of a study share a run, so the error exceeds that of 2,400 independent cells.
    for share in result.coverage[2:]:
        assert share.studies == 300
        assert share.standard_error > 1.2 * np.sqrt(share.estimate * (1 - share.estimate) / 2400)


def make_results(families_: int, coverage: float) -> families.FamilyResults:
    zeros = np.zeros((2, 2), dtype=np.int64)
    shares = (ClusteredShare(coverage, 0.011, families_),) * 4
    return families.FamilyResults(families_, zeros, zeros, shares, np.ones((2, 2)))


def test_the_page_states_how_many_marks_a_perfect_test_would_get_by_chance(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(SECTIONS)
    results = {(world.name, 3, seeds): make_results(500, 0.92) for world in (*REVIEW, *FURTHER) for seeds in (2, 3, 5)}
    # 92 % is below 93.5 %, but within the error between studies; with 4,000 independent cells it would not be.
    assert families_page.write_families(page, results) == []
    assert mark_coverage(ClusteredShare(0.92, 0.011, 500), 0.935) == ""
    assert mark_coverage(Share(3680, 4000), 0.935) == "misses"
    expected = 24 * sum(1 - (1 - stats.binom.sf(most, 500, p)) ** 4 for p, most in ((0.05, 32), (0.025, 16)))
    text = " ".join(page.read_text().split())
    assert f"marks by chance: {expected:.0f} with 3 seeds, {expected:.0f} with 5 seeds" in text
    assert families_page.count_chance_marks([make_results(500, 0.95)] * 24) == pytest.approx(expected, abs=0.3)
    assert "The cells of a study share runs and are not independent" in text


def test_a_share_misses_its_bound_if_its_exact_interval_or_the_share_itself_is_above() -> None:
    assert mark_share(100, 2000, 0.05) == ""
    assert mark_share(0, 2000, 0.05) == ""
    # The exact 95 % interval of 121 of 2000 begins at 5.04 %, that of 119 at 4.95 %.
    assert mark_share(119, 2000, 0.05) == ""
    assert mark_share(121, 2000, 0.05) == "misses"
    # 4 of 50 are compatible with 5 %, but 1.6 times as many.
    assert mark_share(4, 50, 0.05) == "misses"


def test_the_size_of_a_test_with_known_distribution_is_its_nominal_size() -> None:
    # With seeds alone and no subjects' variance, the test is Student's with K - 1 degrees of freedom.
    size = far_tail.measure_size(5, 1000, 1e6, 4000)
    for ratio, error in zip(size.relative_size, size.standard_error, strict=True):
        assert abs(ratio - 1) < 4.5 * error


STATED_SIZES = re.findall(r"^    [\d.]+ .* to .*$", critical_values_module.__doc__ or "", re.MULTILINE)


def test_the_package_states_the_sizes_of_four_degrees_of_freedom() -> None:
    assert len(STATED_SIZES) == 4


@pytest.mark.parametrize("line", STATED_SIZES)
def test_the_sizes_of_the_stored_critical_values_are_those_that_the_package_states(line: str) -> None:
    df, *stated = re.findall(r"\d+(?:\.\d+)?", line)
    sizes = critical_values.measure_sizes(float(df), (0.05, 0.002, 1e-4, 1e-6))
    for value, text in zip(np.ravel(sizes), stated, strict=True):
        assert float(text) == pytest.approx(value, abs=0.006, rel=0.005)


def test_the_sizes_of_the_stored_critical_values_are_those_of_simulated_means() -> None:
    """An independent check, at one true share, of the quadrature over both mean squares."""
    level, true_share, df = 0.002, 0.5, (2, 24)
    rng = np.random.default_rng(7)
    first, second = (rng.chisquare(f, 400_000) / f for f in df)
    first, second = true_share * first, (1 - true_share) * second
    critical = critical_values_module.make_quantile_function(first / (first + second), *df)(np.asarray(level / 2))
    size = (2 * stats.norm.sf(critical * np.sqrt(first + second))).mean() / level
    low, high = critical_values.measure_sizes(2.0, (level,))[0]
    assert low < size < high


def test_power_at_equal_error_is_that_at_the_factor_that_gives_the_error() -> None:
    world = equal_error.WORLDS[0]
    power = equal_error.measure_power(world, 3, 3, 400)
    assert power.equal_powers == pytest.approx(equal_error.POWERS, abs=0.01)
    again = equal_error.measure_power(world, 3, 3, 400, power.differences)
    assert again.equal_powers == pytest.approx(power.equal_powers)
    assert (power.factor > 1) == (power.family_error > 0.05)
    assert (power.factor > 1) == all(np.array(power.powers) > power.equal_powers)


def test_the_record_of_earlier_powers_has_each_world_and_size() -> None:
    record = equal_error.read_record()
    expected = {
        (world.name, tasks, seeds)
        for world in equal_error.WORLDS for tasks in equal_error.TASKS for seeds in equal_error.SEEDS
    }  # fmt: skip
    assert set(record) == expected
    assert all(power.equal_powers == pytest.approx(equal_error.POWERS, abs=1e-3) for power in record.values())


def test_differences_on_the_whole_path_are_those_of_the_drawn_effects(tmp_path: Path) -> None:
    world = World("test", subject_sd=0.0, residual_sd=0.0)
    sweep = SimulatedSweep(
        tmp_path / "null", TASKS[3], SCALES, (0, 1), subjects=20, world=world, rng=np.random.default_rng(6)
    )
    sweep.finish(lambda task, block, scale, seed: {})
    cells = [cell for cell in compare_study(collect([sweep.directory])).verdicts if cell.main and not cell.same]
    assert {(cell.task, cell.grouping) for cell in cells} == {
        ("breast_lesion", "clinical"), ("breast_2cls", "clinical"), *((task, "unified") for task in TASKS[3])
    }  # fmt: skip
    for cell in cells:
        if cell.task_type == "classification":  # its area under the curve varies by its subjects
            continue
        task, scale = TASKS[3].index(cell.task), SCALES.index(float(cell.scale))
        differences = sweep.effects[cell.grouping][task, scale] - sweep.effects["task_specific"][task, scale]
        unit = 1 if cell.task_type == "segmentation" else 100
        assert cell.delta == pytest.approx(unit * differences.mean())


def test_the_whole_path_reports_each_grouping_and_scale(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(SECTIONS)
    assert whole_path.main(["--sweeps", "2", "--jobs", "1", "--out", str(page)]) == 0
    text = page.read_text()
    assert text.count("| alike | 3 |") == text.count("| alike | 8 |") == 4
    assert "| alike | 3 | unified, 0.25 | 2 |" in text


@pytest.mark.slow
def test_the_quick_benchmark_writes_all_sections(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(SECTIONS)
    arguments = ["--quick", "--jobs", "2", "--out", str(page)]
    assert families.main(arguments) == far_tail.main(arguments) == equal_error.main(arguments) == 0
    assert critical_values.main(["--out", str(page)]) == 0
    text = page.read_text()
    assert all(f"| {world.name} |" in text for world in REVIEW)
    assert all(f"| *{world.name}* |" in text for world in FURTHER)
    assert "| 3 | 100 | 19 : 1 |" in text
    assert "| infinite | 1.00 to 1.00 |" in text
