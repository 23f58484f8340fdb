"""The chapter on variants reports the planted effects and no others: on sharing, on single groupings, on size."""

from pathlib import Path

import pytest

from tests.report.reading import (
    blocks,
    chapters_of,
    document_of,
    material_of,
    read_cells,
    row_of,
    tables,
    texts,
    titles,
)
from tests.report.sweeps import FakeSweep
from tests.report.variant_sweeps import SIZES, TASKS, ablation, finish, lacking
from usaggr.analysis.capacity import Capacity
from usaggr.analysis.collect import Collection, collect
from usaggr.document.elements import Details, Section, TextTable
from usaggr.report.contents import write_methods_and_limits
from usaggr.report.material import Material
from usaggr.report.tables import make_tables
from usaggr.report.variants.capacity_sentences import describe_sizes, interpret_sizes
from usaggr.report.variants.chapter import write_variants
from usaggr.report.variants.tables import VariantRow
from usaggr.results.contract_sums import write_contract_file

SHARING = "Capacity or interference: effect of sharing under each variant"


def chapter(swept: FakeSweep | Collection) -> Section:
    made = Material(make_tables(swept)) if isinstance(swept, Collection) else material_of(swept)
    (section,) = chapters_of(made, write_variants).sections
    return section


@pytest.fixture(scope="module")
def without_effects(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    """Two variants without any effect, all runs done."""
    return collect([finish(tmp_path_factory.mktemp("alike"), {}).directory])


@pytest.fixture(scope="module")
def ablated(tmp_path_factory: pytest.TempPathFactory) -> Section:
    """Sharing costs .08 more without experts (dense), and as much more in a wide network of base's size."""
    effects = {("dense", "unified"): -0.08, ("wide", "unified"): -0.08}
    sweep = finish(
        tmp_path_factory.mktemp("ablated"), effects, active=SIZES, variants=ablation("base", "dense", "wide", "blind")
    )
    return chapter(sweep)


def test_sharing_does_worse_under_the_variant_where_this_was_planted(ablated: Section) -> None:
    text = texts(next(inner for inner in ablated.sections if inner.title == SHARING))
    assert "**AU** instead of TS changes mean skill by " in text
    assert "Sharing does detectably worse under dense, by 0.0" in text
    assert "and under wide, by 0.0" in text
    assert "No detectable change under blind (" in text


def test_size_is_ruled_out_by_a_variant_of_the_same_size(ablated: Section) -> None:
    text = texts(ablated)
    assert "Variants with as many active parameters as base, within 10 %: wide and blind." in text
    assert "Variants with another number: dense (0.70 times)." in text
    assert "**Size alone does not explain this: wide has at least as many active parameters as base." in text
    assert "Under blind, also of that size, sharing does not do detectably worse.**" in text


def test_detectable_differences_under_one_grouping_are_named_and_the_others_counted(ablated: Section) -> None:
    text = texts(next(inner for inner in ablated.sections if inner.title == "Variants under the same grouping"))
    assert "Detectably worse than base: dense with AU, by 0.0" in text
    assert "; wide with AU, by 0.0" in text
    assert "4 of 6 comparisons with base show no detectable difference." in text


def test_verdicts_apply_only_to_groupings(ablated: Section) -> None:
    assert "Margins and verdicts apply only to groupings" in texts(ablated)


def test_tables_contain_the_means_and_the_changes_of_each_variant(ablated: Section) -> None:
    sizes, means, *_ = tables(ablated)
    assert list(row_of(sizes, variant="dense").values()) == ["dense", "model.conditioning=dense", "70", "0.70 ×"]
    row = row_of(means, variant="dense", grouping="AU")
    assert row["Δ skill"].startswith("−0.0")
    assert row["Δ skill"].endswith(" *")
    assert row["change of sharing"].endswith(" *")
    assert (row["tasks"], row["seeds"]) == ("4", "4")
    alone = row_of(means, variant="dense", grouping="TS")
    assert not alone["Δ skill"].endswith("*")
    assert alone["change of sharing"] == "–"


def test_single_tasks_are_in_collapsible_tables_one_for_each_variant(ablated: Section) -> None:
    details = [block for block in blocks(ablated) if isinstance(block, Details)]
    assert [block.summary for block in details] == [
        f"Task by task: {name} minus base, all training samples" for name in ("dense", "wide", "blind")
    ]
    (table,) = details[0].blocks
    assert isinstance(table, TextTable)
    assert sorted(row[0] for row in read_cells(table)) == sorted(TASKS)
    assert row_of(table, task="fetal_head")["Δ AU"].endswith("*")


def test_without_a_detectable_change_the_largest_possible_one_is_reported(tmp_path: Path) -> None:
    text = texts(chapter(finish(tmp_path, {}, noise=0.01, active=SIZES)))
    assert "No variant detectably changes the effect of sharing, but the intervals allow changes" in text
    assert "detectably worse" not in text


def test_missing_runs_are_reported(tmp_path: Path, without_effects: Collection) -> None:
    variants = ablation("base", "dense", "film")
    lost = finish(
        tmp_path / "lost", {}, skip=lambda run: run.variant == "film" and len(run.tasks) > 1, variants=variants
    )
    assert "Nothing to compare under film." in texts(chapter(lost))
    base = lacking(without_effects, lambda run: run.variant == "base" and len(run.tasks) > 1)
    assert "**AU**: nothing to compare with base (missing)." in texts(chapter(base))
    some = lacking(without_effects, lambda run: run.variant == "dense" and run.seed == 3)
    (means,) = [table for table in tables(chapter(some)) if table.name == "variants"]
    assert row_of(means, grouping="AU")["remark"] == "3 of 4 seeds"


def test_a_variant_without_runs_is_named(tmp_path: Path) -> None:
    sweep = finish(tmp_path, {}, seeds=(0, 1))
    lines = (sweep.directory / "plan.csv").read_text().splitlines()
    text = "\n".join(line for line in lines if ",dense," not in line) + "\n"
    write_contract_file(sweep.directory / "plan.csv", text)
    expected = "dense has no runs, because all its settings equal those of an earlier variant."
    text = texts(chapter(sweep))
    assert expected in text
    assert "to compare: dense" not in text


def test_models_that_learned_nothing_allow_no_conclusion_on_size(tmp_path: Path) -> None:
    text = texts(chapter(finish(tmp_path, {("dense", "unified"): -0.7}, active={"base": 100, "dense": 100})))
    warning = "For dense, some of the models are collapsed or have not converged."
    assert text.count(warning) == 2  # of sharing, and under the same grouping
    assert "Size alone" not in text


def test_one_seed_is_provisional_and_one_grouping_has_no_sharing(tmp_path: Path) -> None:
    assert "all results are provisional: intervals" in texts(chapter(finish(tmp_path / "seed", {}, seeds=(1,))))
    assert "all results are provisional: two seeds" in texts(chapter(finish(tmp_path / "pair", {}, seeds=(1, 2))))
    alone = chapter(finish(tmp_path / "alone", {}, groupings=("task_specific",)))
    assert SHARING not in [inner.title for inner in alone.sections]
    assert "2 comparisons" not in texts(alone)
    assert "1 of 1 comparison with base shows no detectable difference." in texts(alone)


def test_one_variant_has_no_chapter(tmp_path: Path) -> None:
    document = document_of(finish(tmp_path, {}, variants={"base": []}))
    assert "Variants compared" not in titles(document)
    assert "**Variants.**" not in texts(document)


def test_methods_say_how_variants_are_compared(without_effects: Collection) -> None:
    text = texts(chapters_of(Material(make_tables(without_effects)), write_methods_and_limits))
    assert "Each variant was compared with base under the same grouping, scale and seeds" in text
    assert "There are no margins and no verdicts for variants." in text


def row(variant: str, delta: float, p: float = 0.5, invalid: int = 0) -> VariantRow:
    nan = float("nan")
    cell = ("interaction", "unified", 1.0, variant, "base", "")
    return VariantRow(*cell, delta, delta - 0.02, delta + 0.03, p, p, 3, 4, "", 3, nan, nan, invalid)


def sizes(**ratios: float | None) -> dict[str, Capacity]:
    return {name: Capacity(name, 1, 1, ratio) for name, ratio in {"base": 1.0, **ratios}.items()}


def read(effects: list[VariantRow], **ratios: float | None) -> str:
    return interpret_sizes(effects, sizes(**ratios), lambda row: row.p_adjusted < 0.05)


def test_a_smaller_variant_that_loses_more_may_be_too_small() -> None:
    effects = [row("dense", -0.1, 0.01), row("wide", -0.02)]
    assert read(effects, dense=0.7, wide=1.0).startswith("Size may explain this: under wide,")
    assert "cannot be determined: no compared variant has the size of base" in read(effects, dense=0.7, wide=0.8)
    assert "is unknown" in read(effects, dense=None, wide=None)


def test_a_larger_variant_that_loses_more_is_not_too_small() -> None:
    text = read([row("wide", -0.1, 0.01)], wide=1.5)
    assert text == "Size alone does not explain this: wide has at least as many active parameters as base."


def test_a_variant_of_the_same_size_may_do_better() -> None:
    effects = [row("wide", 0.1, 0.01), row("dense", 0.1, 0.01)]
    assert (
        read(effects, wide=1.0, dense=0.5) == "With as many active parameters as base, sharing does better under wide."
    )


def test_untested_effects_and_collapsed_models_allow_no_conclusion_on_size() -> None:
    assert read([row("wide", -0.1, float("nan"))], wide=1.0) == ""
    assert read([row("wide", -0.1, 0.01, invalid=2)], wide=1.0) == ""


def test_the_largest_possible_change_is_the_farthest_end_of_any_interval() -> None:
    assert read([row("wide", 0.1), row("dense", -0.05)], wide=1.0, dense=0.7).endswith("of up to 0.130.")


def test_sizes_are_listed_with_those_that_are_not_available() -> None:
    text = describe_sizes(sizes(dense=0.71, wide=1.05, film=None))
    assert "within 10 %: wide." in text
    assert "Variants with another number: dense (0.71 times)." in text
    assert text.endswith("contain no counts of parameters: film.")
