"""Tests of simulated margins relative to the reference's mean, with few studies and fixed seeds."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.evidence import relative_margin
from benchmarks.evidence.marks import Share, mark_share
from benchmarks.evidence.relative_margin import FRACTION, WORLDS, ErrorWorld, count_false, is_above, main, report
from usaggr.analysis.difference_intervals import estimate_differences
from usaggr.statistics.two_way_anova import estimate
from usaggr.statistics.verdicts import ALPHA_NI


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
def test_the_true_loss_is_exactly_the_margin(world: ErrorWorld) -> None:
    compared, reference = world.draw(np.random.default_rng(0), 400, 4, 500)
    for errors, mean in ((reference, 1.0), (compared, 1 + FRACTION)):
        means = errors.mean(axis=(-2, -1))
        assert abs(means.mean() - mean) < 4.5 * means.std() / np.sqrt(400)
    # The same subjects are hard under both, so the means of a study are correlated.
    assert np.corrcoef(compared.mean(axis=1).ravel(), reference.mean(axis=1).ravel())[0, 1] > 0.4


def test_a_margin_is_tested_as_by_its_p_value() -> None:
    tables = np.random.default_rng(1).standard_normal((300, 3, 12)) + 0.4
    assert (is_above(tables, 0.1) == (estimate(tables).compute_one_sided_p(0.1) < ALPHA_NI)).all()


def test_reports_test_the_contrast_that_is_simulated() -> None:
    """The contrast of a cell in a report is the difference plus the fraction of the reference's errors."""
    from benchmarks.evidence.worlds import World, draw_sweep
    from usaggr.analysis.cell_pseudovalues import CellPseudovalues
    from usaggr.analysis.observations import observe
    from usaggr.analysis.reference_pairs import pair_with_reference

    collection = draw_sweep(World(subjects=20), {}, np.random.default_rng(2))
    pseudovalues = CellPseudovalues(collection)
    pairs = pair_with_reference([row for row in observe(collection) if row.main], "task_specific")
    pixel_cells = {
        key: difference
        for key, difference in estimate_differences(pairs, pseudovalues, FRACTION).items()
        if difference.above_margin is not None
    }
    assert pixel_cells
    for pair in pairs:
        if pair.compared.key in pixel_cells and pair.reference is not None:
            difference = pixel_cells[pair.compared.key]
            references = pseudovalues.get_table(pair.reference.cell, pair.compared.metric, [0, 1, 2])
            assert difference.above_margin is not None
            contrast = (difference.table + FRACTION * references).mean()
            assert float(difference.above_margin.value) == pytest.approx(float(contrast))


def test_the_contrast_keeps_the_level_where_the_observed_margin_does_not() -> None:
    contrast, observed = count_false(WORLDS[1], 5, 30, 1500)
    assert mark_share(contrast.count, contrast.total, ALPHA_NI) == ""
    assert mark_share(observed.count, observed.total, ALPHA_NI) == "misses"


def test_a_test_that_errs_too_often_is_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    text, misses = report({("normal", 3, 30): (Share(50, 2000), Share(100, 2000))})
    assert misses == []
    assert "| normal | 3 | 2.5 ± 0.3; 5.0 |" in text
    # As if margins were twice as large: every loss of one margin is within them.
    monkeypatch.setattr(relative_margin, "is_above", lambda tables, bound: is_above(tables, bound - FRACTION))
    shares = {("normal", 3, 100): count_false(WORLDS[0], 3, 100, 100)}
    text, misses = report(shares)
    assert len(misses) == 1
    assert "**misses**" in text


@pytest.mark.slow
def test_the_quick_benchmark_writes_the_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    assert main(["--quick", "--out", str(page)]) == 0
    assert all(f"| {world.name} | 3 |" in page.read_text() for world in WORLDS)
