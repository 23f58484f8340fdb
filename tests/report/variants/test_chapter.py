"""What is said of variants is what was planted, and no more: of sharing, of single groupings, of size."""

from pathlib import Path

import pytest

from tests.report.reading import (
    blocks,
    chapters_of,
    document_of,
    material_of,
    row_of,
    rows,
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
from usaggr.report.variants.capacity_sentences import read_capacity, say_sizes
from usaggr.report.variants.chapter import write_variants
from usaggr.report.variants.tables import VariantRow

SHARING = "Capacity or interference: what a variant makes of sharing"


def chapter(swept: FakeSweep | Collection) -> Section:
    made = Material(make_tables(swept)) if isinstance(swept, Collection) else material_of(swept)
    (section,) = chapters_of(made, write_variants).sections
    return section


@pytest.fixture(scope="module")
def alike(tmp_path_factory: pytest.TempPathFactory) -> Collection:
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


def test_sharing_is_said_to_do_worse_where_it_was_planted(ablated: Section) -> None:
    said = texts(next(part for part in ablated.sections if part.title == SHARING))
    assert "**AU** instead of TS changes mean skill by " in said
    assert "It does certainly worse under dense, by 0.0" in said
    assert "and under wide, by 0.0" in said
    assert "No certain change under blind (" in said


def test_size_is_ruled_out_by_a_variant_of_the_same_size(ablated: Section) -> None:
    said = texts(ablated)
    assert "Of as many active parameters as base, within 10 %: wide and blind." in said
    assert "Of another number: dense (0.70 times)." in said
    assert "**Size alone does not explain it: wide has as many active parameters as base, or more." in said
    assert "Under blind, of that size too, sharing does not do certainly worse.**" in said


def test_differences_under_one_grouping_are_told_by_name_and_the_others_counted(ablated: Section) -> None:
    said = texts(next(part for part in ablated.sections if part.title == "Under the same grouping"))
    assert "Certainly worse than base: dense with AU, by 0.0" in said
    assert "; wide with AU, by 0.0" in said
    assert "4 of 6 comparisons with base are not certain." in said


def test_verdicts_are_said_to_be_for_groupings(ablated: Section) -> None:
    assert "Margins and verdicts are for groupings" in texts(ablated)


def test_tables_hold_the_means_and_what_each_variant_is(ablated: Section) -> None:
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


def test_single_tasks_are_folded_away_a_table_a_variant(ablated: Section) -> None:
    folded = [block for block in blocks(ablated) if isinstance(block, Details)]
    assert [block.summary for block in folded] == [
        f"Task by task: {name} against base, all training samples" for name in ("dense", "wide", "blind")
    ]
    (table,) = folded[0].blocks
    assert isinstance(table, TextTable)
    assert sorted(row[0] for row in rows(table)) == sorted(TASKS)
    assert row_of(table, task="fetal_head")["Δ AU"].endswith("*")


def test_without_a_certain_change_the_room_that_is_left_is_told(tmp_path: Path) -> None:
    said = texts(chapter(finish(tmp_path, {}, noise=0.01, active=SIZES)))
    assert "No variant certainly changes what sharing does, which is no proof that none does" in said
    assert "certainly worse" not in said


def test_missing_runs_are_said(tmp_path: Path, alike: Collection) -> None:
    variants = ablation("base", "dense", "film")
    lost = finish(
        tmp_path / "lost", {}, skip=lambda run: run.variant == "film" and len(run.tasks) > 1, variants=variants
    )
    assert "Nothing to compare under film." in texts(chapter(lost))
    base = lacking(alike, lambda run: run.variant == "base" and len(run.tasks) > 1)
    assert "**AU**: nothing to compare with base (missing)." in texts(chapter(base))
    some = lacking(alike, lambda run: run.variant == "dense" and run.seed == 3)
    (means,) = [table for table in tables(chapter(some)) if table.name == "variants"]
    assert row_of(means, grouping="AU")["remark"] == "3 of 4 seeds"


def test_a_variant_without_runs_of_its_own_is_named(tmp_path: Path) -> None:
    sweep = finish(tmp_path, {}, seeds=(0, 1))
    lines = (sweep.directory / "plan.csv").read_text().splitlines()
    (sweep.directory / "plan.csv").write_text("\n".join(line for line in lines if ",dense," not in line) + "\n")
    said = "dense has no runs: with all settings in effect, they are those of an earlier variant."
    told = texts(chapter(sweep))
    assert said in told
    assert "to compare: dense" not in told


def test_models_that_learnt_nothing_prove_nothing_of_size(tmp_path: Path) -> None:
    said = texts(chapter(finish(tmp_path, {("dense", "unified"): -0.7}, active={"base": 100, "dense": 100})))
    doubt = "For dense this rests in part on models that are collapsed or have not converged."
    assert said.count(doubt) == 2  # of sharing, and under the same grouping
    assert "Size alone" not in said


def test_with_one_seed_or_one_grouping_it_says_so(tmp_path: Path) -> None:
    assert "provisional" in texts(chapter(finish(tmp_path / "seed", {}, seeds=(1,))))
    alone = chapter(finish(tmp_path / "alone", {}, groupings=("task_specific",)))
    assert SHARING not in [part.title for part in alone.sections]
    assert "2 comparisons" not in texts(alone)
    assert "1 of 1 comparison with base is not certain." in texts(alone)


def test_one_variant_has_no_chapter(tmp_path: Path) -> None:
    document = document_of(finish(tmp_path, {}, variants={"base": []}))
    assert "Variants compared" not in titles(document)
    assert "**Variants.**" not in texts(document)


def test_methods_say_how_variants_are_compared(alike: Collection) -> None:
    said = texts(chapters_of(Material(make_tables(alike)), write_methods_and_limits))
    assert "Each variant is compared with base under the same grouping, scale and seeds" in said
    assert "There are no margins and no verdicts for variants." in said


def row(variant: str, delta: float, p: float = 0.5, invalid: int = 0) -> VariantRow:
    nan = float("nan")
    cell = ("interaction", "unified", 1.0, variant, "base", "")
    return VariantRow(*cell, delta, delta - 0.02, delta + 0.03, p, p, 3, 4, "", 3, nan, nan, invalid)


def sizes(**ratios: float | None) -> dict[str, Capacity]:
    return {name: Capacity(name, 1, 1, ratio) for name, ratio in {"base": 1.0, **ratios}.items()}


def read(found: list[VariantRow], **ratios: float | None) -> str:
    return read_capacity(found, sizes(**ratios), lambda row: row.p_adjusted < 0.05)


def test_a_smaller_variant_that_loses_more_may_be_too_small() -> None:
    found = [row("dense", -0.1, 0.01), row("wide", -0.02)]
    assert read(found, dense=0.7, wide=1.0).startswith("This may be a matter of size: under wide,")
    assert "cannot be told: no variant compared is of base's size" in read(found, dense=0.7, wide=0.8)
    assert "is not known" in read(found, dense=None, wide=None)


def test_a_larger_variant_that_loses_more_is_not_too_small() -> None:
    said = read([row("wide", -0.1, 0.01)], wide=1.5)
    assert said == "Size alone does not explain it: wide has as many active parameters as base, or more."


def test_a_variant_of_the_same_size_may_do_better() -> None:
    found = [row("wide", 0.1, 0.01), row("dense", 0.1, 0.01)]
    assert read(found, wide=1.0, dense=0.5) == "With as many active parameters as base, sharing does better under wide."


def test_what_is_not_tested_or_rests_on_collapsed_models_says_nothing_of_size() -> None:
    assert read([row("wide", -0.1, float("nan"))], wide=1.0) == ""
    assert read([row("wide", -0.1, 0.01, invalid=2)], wide=1.0) == ""


def test_room_is_the_farthest_end_of_any_interval() -> None:
    assert read([row("wide", 0.1), row("dense", -0.05)], wide=1.0, dense=0.7).endswith("of up to 0.130.")


def test_sizes_are_said_with_what_is_not_known() -> None:
    said = say_sizes(sizes(dense=0.71, wide=1.05, film=None))
    assert "within 10 %: wide." in said
    assert "Of another number: dense (0.71 times)." in said
    assert said.endswith("hold no counts to compare: film.")
