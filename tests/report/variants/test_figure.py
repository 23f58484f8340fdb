"""Marks are at their numbers; detectable differences and variants of the same size are marked; nothing is cut off."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from matplotlib.axes import Axes

from tests.report.figure_factories import inside, study, texts
from usaggr.analysis.capacity import Capacity
from usaggr.report.variants.figure import DETECTABLE, draw_variants
from usaggr.report.variants.tables import Level, VariantRow
from usaggr.results.stored_study import StudyFacts

VARIANTS = ("base", "dense", "wide", "blind", "lora", "film")
SIZES = {name: Capacity(name, 1, 100, 0.7 if name in ("dense", "lora") else 1.0) for name in VARIANTS}


def facts(scales: tuple[float, ...] = (1.0,), variants: tuple[str, ...] = VARIANTS) -> StudyFacts:
    return replace(study(scales=scales), variants=dict.fromkeys(variants, ()))


def effects(study_facts: StudyFacts) -> list[VariantRow]:
    """Return effects of .01 times the variant's index plus .001 times the grouping's; those of AU are detectable."""
    effect_rows = []
    levels: tuple[Level, ...] = ("all", "interaction")
    variants = [name for name in study_facts.variants if name != "base"]
    for level, scale, (g, grouping), (v, variant) in product(
        levels, study_facts.scales, enumerate(study_facts.groupings), enumerate(variants)
    ):
        if level == "interaction" and grouping == study_facts.reference:
            continue
        value = 0.01 * (v + 1) + 0.001 * g - (0.05 if level == "interaction" else 0.0)
        p = 0.01 if grouping == "unified" else 0.5
        numbers = (value, value - 0.004, value + 0.005, p, p, 3, 4, "", 3, np.nan, np.nan, 0)
        effect_rows.append(VariantRow(level, grouping, scale, variant, "base", "", *numbers))
    return effect_rows


def marks(panel: Axes, grouping: str) -> tuple[list[float], list[float]]:
    line = next(line for line in panel.lines if line.get_label() == grouping)
    return np.asarray(line.get_xdata(), dtype=float).tolist(), np.asarray(line.get_ydata(), dtype=float).tolist()


def test_variants_are_rows_groupings_are_marks_and_scales_are_panels() -> None:
    figure = draw_variants(effects(facts((0.25, 1.0))), facts((0.25, 1.0)), SIZES)
    assert figure is not None
    assert len(figure.axes) == 4
    difference, change = figure.axes[:2]
    x, y = marks(difference, "clinical")
    assert x == pytest.approx([0.011, 0.021, 0.031, 0.041, 0.051])
    assert np.round(y).tolist() == [0, 1, 2, 3, 4]
    assert marks(change, "unified")[0] == pytest.approx([-0.038, -0.028, -0.018, -0.008, 0.002])
    assert "task_specific" not in [line.get_label() for line in change.lines]
    assert "all data" in texts(difference)
    assert "25 % of data" in texts(figure.axes[2])


def test_variants_of_the_same_size_as_the_first_are_marked() -> None:
    figure = draw_variants(effects(facts()), facts(), SIZES)
    assert figure is not None
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["dense", "wide ≈", "blind ≈", "lora", "film ≈"]
    assert "≈ as many active parameters as base" in figure.legends[0].get_title().get_text()
    unknown = draw_variants(effects(facts()), facts(), {})
    assert unknown is not None
    assert "≈" not in unknown.legends[0].get_title().get_text()


def test_detectable_differences_have_an_asterisk_on_their_line() -> None:
    figure = draw_variants(effects(facts()), facts(), SIZES)
    assert figure is not None
    for panel in figure.axes:
        stars = [text.get_position()[1] for text in panel.texts if text.get_text() == DETECTABLE]
        assert stars == pytest.approx(marks(panel, "unified")[1])


def test_intervals_are_those_of_the_table() -> None:
    figure = draw_variants(effects(facts(variants=("base", "dense"))), facts(variants=("base", "dense")), SIZES)
    assert figure is not None
    ends = [[float(x) for x in segment[:, 0]] for c in figure.axes[0].collections for segment in c.get_segments()]  # type: ignore[attr-defined]
    assert np.asarray(ends) == pytest.approx(np.asarray([[0.006, 0.015], [0.007, 0.016], [0.008, 0.017]]))


def test_a_variant_that_is_missing_under_a_grouping_leaves_its_line_empty() -> None:
    changed = [
        row._replace(delta_skill=np.nan) if (row.variant, row.grouping) == ("wide", "unified") else row
        for row in effects(facts())
    ]
    figure = draw_variants(changed, facts(), SIZES)
    assert figure is not None
    assert len(marks(figure.axes[0], "unified")[0]) == 4
    assert len(marks(figure.axes[0], "clinical")[0]) == 5


def test_without_sharing_there_is_one_panel_per_scale() -> None:
    figure = draw_variants([row for row in effects(facts()) if row.level == "all"], facts(), SIZES)
    assert figure is not None
    assert len(figure.axes) == 1


def test_without_values_there_is_no_figure() -> None:
    assert draw_variants([], facts(), SIZES) is None
    assert draw_variants([row._replace(delta_skill=np.nan) for row in effects(facts())], facts(), SIZES) is None


@pytest.mark.parametrize("scales", [(1.0,), (0.05, 0.25, 1.0)])
def test_nothing_is_cut_off(scales: tuple[float, ...]) -> None:
    names = ("base", "a_variant_with_a_long_name", *VARIANTS[2:])
    figure = draw_variants(effects(facts(scales, names)), facts(scales, names), SIZES)
    assert figure is not None
    assert inside(figure)


def test_two_variants_and_one_grouping_are_wide_enough() -> None:
    small = replace(facts(variants=("base", "dense")), groupings=("task_specific", "unified"))
    figure = draw_variants(effects(small), small, {})
    assert figure is not None
    assert inside(figure)
