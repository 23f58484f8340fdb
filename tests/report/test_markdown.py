"""report.md says what was run and what is missing, in tables that no text from the data can break."""

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from tests.report.sweeps import CATALOGUE, FakeSweep, Scorer, level
from usaggr.report.collect import collect
from usaggr.report.figures import FigureFile
from usaggr.report.markdown import escape, markdown_table, render_markdown
from usaggr.report.sections import TextTable
from usaggr.report.tables import make_tables

FIGURES = (FigureFile("score_against_scale", "Score against scale", "What is seen", ("png", "svg")),)
MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def scorer(task: str, block: tuple[str, ...], scale: float | int, seed: int) -> dict[str, float]:
    """Alone .5, in a pair a little better, all three no better than the trivial predictor."""
    return level(CATALOGUE[task], {1: 0.5, 2: 0.55, 3: 0.0}[len(block)] + (0.01 * seed if len(block) < 3 else 0))


def page(sweep: FakeSweep) -> str:
    collection = collect([sweep.directory])
    return render_markdown(collection, make_tables(collection), FIGURES)


def table_rows(text: str, heading: str) -> list[list[str]]:
    """Cells of the first table under a heading, its header too."""
    section = text.split(f"\n{heading}\n", 1)[1]
    lines = re.search(r"(?:^\|.*\n)+", section, re.MULTILINE)
    assert lines is not None
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines.group(0).splitlines()]
    return [rows[0], *rows[2:]]


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    return page(FakeSweep(tmp_path_factory.mktemp("markdown") / "my_study", scales=(0.25, 1.0)).finish(scorer))


def test_the_head_says_how_much_is_done_and_what_beats_the_trivial_predictor(text: str) -> None:
    assert text.startswith("# Report of my_study\n")
    assert "**30 of 30 planned runs are done.**" in text
    assert "In 12 of 18 cells (task × grouping × scale)" in text


def test_the_answer_has_means_and_differences_of_each_task(text: str) -> None:
    header, *rows = table_rows(text, "### All training samples")
    assert header == ["task", "clinical group", "metric", "train", "trivial", "TS", "CG", "Δ CG", "AU", "Δ AU"]
    by_task = {row[0]: row for row in rows}
    # t(0.975; 2) = 4.30265, a standard deviation of .01 skill: 2.5 px of MRE, .015 of a DSC.
    facts, scores = by_task["breast_lesion"][2:5], by_task["breast_lesion"][5:9]
    assert facts == ["DSC ↑", "100", "0.400"]
    assert scores == ["0.706 ± 0.015", "0.736 ± 0.015", "+0.030 [+0.030, +0.030]", "0.400 ± 0.000 †"]
    assert by_task["fetal_femur"][5:8] == ["49.0 ± 2.5", "49.0 ± 2.5", "same run"]
    assert by_task["fetal_femur"][9] == "−51.0 [−53.5, −48.5]"


def test_tasks_that_do_not_beat_the_trivial_predictor_are_named(text: str) -> None:
    rows = table_rows(text, "### Against the trivial predictor")
    assert rows[1] == ["TS", "0.25", "base", "3 of 3", "none"]
    assert rows[3] == ["AU", "0.25", "base", "0 of 3", "breast_2cls, breast_lesion, fetal_femur"]


def test_each_grouping_has_its_sum_and_its_cost(text: str) -> None:
    rows = table_rows(text, "### Over all tasks")
    assert rows[2][:3] == ["CG", "0.25", "2"]
    assert rows[2][3].startswith("+4.2 % [")
    assert rows[2][4:] == ["+0.050", "1", "0"]
    cost = table_rows(text, "## Cost")
    assert cost[1] == ["TS", "0.25", "base", "3", "3,030", "0:01:30", "700"]
    assert cost[3] == ["AU", "0.25", "base", "1", "1,030", "0:01:30", "700"]


def test_the_proof_that_folds_are_disjoint_is_printed(text: str) -> None:
    assert (
        "of 90 components, 136 images and 80 subjects, 0 components, 0 images and 0 subjects are in two folds" in text
    )


def test_abbreviations_are_explained_and_figures_shown(text: str) -> None:
    words = text.split("## Words")[1]
    for word in ("TS", "CG", "AU", "DSC", "HD", "HD95", "NSD", "AUC", "MCC", "MRE", "skill", "trivial predictor"):
        assert f"**{word}**" in words
    assert "**IoU**" not in words  # no detection task
    assert "![What is seen](figures/score_against_scale.png)" in text


def test_no_verdict_is_given_and_limits_are_said(text: str) -> None:
    assert "they do not cover which subjects stand in the test fold" in text
    for word in ("significant", "winner", "outperform"):
        assert word not in text.lower()


def test_every_table_has_its_own_paragraph_and_equal_rows(text: str) -> None:
    tokens = MARKDOWN.parse(text)
    tables, row = [], 0
    for token in tokens:
        if token.type == "table_open":
            tables.append([])  # type: ignore[var-annotated]
        elif token.type == "tr_open":
            row = 0
        elif token.type in ("th_close", "td_close"):
            row += 1
        elif token.type == "tr_close":
            tables[-1].append(row)
    assert len(tables) == text.count("\n| ---")
    assert all(len(set(widths)) == 1 for widths in tables)
    assert not any("|" in token.content for token in tokens if token.type == "inline" and "---" in token.content)


def test_no_line_ends_in_spaces_which_would_break_it(text: str) -> None:
    assert not re.search(r"[ \t]\n|\n{3}", text)


@pytest.mark.parametrize("part", ["nan", "None", "<NA>", "inf", "{{", "{%", "Undefined"])
def test_nothing_leaks_from_the_machine(text: str, part: str) -> None:
    assert part not in text


def holes(tmp_path: Path) -> FakeSweep:
    sweep = FakeSweep(tmp_path / "study", scales=(0.25, 1.0))
    sweep.finish(scorer, skip=lambda run: run.block == "unified" or (run.block, run.seed) == ("breast_2cls", 1))
    failed = next(run for run, _ in sweep.runs() if run.block == "unified" and run.scale == 1.0)
    sweep.write_failure(failed, "ValueError: a | b <script>\nTraceback (most recent call last)")
    return sweep


def test_holes_are_counted_and_failures_listed_with_their_reason(tmp_path: Path) -> None:
    text = page(holes(tmp_path))
    assert "**22 of 30 planned runs are done.** The others leave holes" in text
    assert "30 distinct runs: 22 done, 1 failed, 7 pending." in text
    assert table_rows(text, "## Failed runs")[1][1:] == ["AU", r"ValueError: a \| b &lt;script&gt;"]
    assert "Traceback" not in text
    assert "8 of 18 cells lack at least one seed" in text
    assert table_rows(text, "## Holes")[1:] == [
        ["TS", "0.25", "base", "1", "2 of 3: breast_2cls"],
        ["AU", "0.25", "base", "3", "0 of 3: all 3 tasks"],
        ["TS", "1", "base", "1", "2 of 3: breast_2cls"],
        ["AU", "1", "base", "3", "0 of 3: all 3 tasks"],
    ]
    row = next(row for row in table_rows(text, "### All training samples") if row[0] == "breast_2cls")
    assert row[5].endswith("(2 of 3 seeds)")
    assert row[8:] == ["missing", "–"]


def test_a_long_list_of_failures_is_cut_with_a_count(tmp_path: Path) -> None:
    sweep = FakeSweep(tmp_path / "study", seeds=tuple(range(20)))
    sweep.write_plan()
    for run, _ in sweep.runs():
        if run.block != "unified":
            sweep.write_failure(run, "no reason")
    text = page(sweep)
    assert len(table_rows(text, "## Failed runs")) == 1 + 30
    assert "And 50 more." in text


def test_without_a_done_run_the_report_stands_and_says_so(tmp_path: Path) -> None:
    sweep = FakeSweep(tmp_path / "study")
    sweep.write_plan()
    text = page(sweep)
    assert "**0 of 15 planned runs are done, so there is no answer yet.**" in text
    assert "## The answer so far" not in text
    assert table_rows(text, "## Holes")[1] == ["TS", "1", "base", "3", "0 of 3: all 3 tasks"]


def test_with_one_seed_there_is_no_word_of_intervals_but_a_warning(tmp_path: Path) -> None:
    text = page(FakeSweep(tmp_path / "study", seeds=(4,)).finish(scorer))
    assert "One seed: there is no interval at all" in text
    assert " ± " not in text


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"data": {"subset": "fixed"}}, "every seed has the same training samples"),
        ({"model": {"norm": "batch"}}, "groupings are not compared on equal terms"),
        ({"model": {"weights": "imagenet"}}, "pretrained weights imagenet"),
    ],
)
def test_what_limits_a_comparison_is_said(tmp_path: Path, text: str, settings: dict[str, Any], said: str) -> None:
    assert said in page(FakeSweep(tmp_path / "study", settings=settings).finish(scorer))
    assert said not in text


def test_skipped_samples_warnings_and_unplanned_runs_are_counted(tmp_path: Path) -> None:
    skipped = [f"a.csv, line {i}, mask_path: <x>|y" for i in range(12)]
    sweep = FakeSweep(tmp_path / "study", data={"skipped": skipped, "dropped": 3, "warnings": ["mind *this*"]})
    sweep.finish(scorer)
    sweep.write_run(sweep.spec("x", ("breast_2cls",), 1.0, 9), {"breast_2cls": scorer("breast_2cls", ("x",), 1.0, 0)})
    text = page(sweep)
    assert "12 rows of the index were skipped" in text
    assert r"line 0, mask_path: &lt;x&gt;\|y" in text
    assert "and 2 more, in data.json" in text
    assert "3 samples belong to no fold" in text
    assert r"Note: mind \*this\*" in text
    assert "1 finished run that the study does not ask for is left out" in text


def test_tasks_with_few_test_subjects_are_marked(tmp_path: Path) -> None:
    text = page(FakeSweep(tmp_path / "study", subjects=4).finish(scorer))
    assert table_rows(text, "## Data")[1][-1] == "4 (few)"
    assert table_rows(text, "### All training samples")[1][0] == "breast_2cls (few)"


def test_remarks_of_runs_are_told_once(tmp_path: Path) -> None:
    sweep = FakeSweep(tmp_path / "study")
    sweep.write_plan()
    for run, _ in sweep.runs():
        notes = {task: ["AUC over 1 of 2 classes"] for task in run.tasks if task == "breast_2cls"}
        sweep.write_run(run, {task: scorer(task, run.tasks, 1.0, run.seed) for task in run.tasks}, notes=notes)
    assert page(sweep).count("- breast_2cls: AUC over 1 of 2 classes") == 1


def test_variants_have_answers_of_their_own(tmp_path: Path) -> None:
    flat: Scorer = scorer
    text = page(
        FakeSweep(tmp_path / "study", variants={"base": [], "slow": ["training.learning_rate=1e-4"]}).finish(flat)
    )
    assert "### All training samples, variant base" in text
    assert "### All training samples, variant slow" in text
    assert "slow (training.learning_rate=1e-4)" in text


def test_a_table_is_githubs() -> None:
    table = TextTable(("name", "n"), (("a|b", "1"), ("c\nd", "2")), numbers=("n",))
    assert markdown_table(table) == "| name | n |\n| --- | ---: |\n| a\\|b | 1 |\n| c d | 2 |"


@example("a|b\n# c <b>d</b> *e* _f_ `g` [h](i) ![j](k) ~~l~~ &amp; \\| fetal_head [m]: n")
@example("__init__ <http://x.y> [0.1, +0.2] | --- |")
@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("|*_`[]()<>&\\#~!\n"), max_size=40))
def test_text_from_data_is_shown_as_it_is(said: str) -> None:
    tokens = MARKDOWN.parse(f"| x |\n| --- |\n| .{escape(said)}. |\n")
    inlines = [token for token in tokens if token.type == "inline"]
    assert len(inlines) == 2
    children = inlines[1].children or []
    assert {child.type for child in children} <= {"text", "text_special"}
    assert "".join(child.content for child in children) == f".{' '.join(said.split())}."
