"""Staged groupings are compared with one stage, and their costs are summed over all stages."""

from pathlib import Path

import pandas as pd
import pytest

from tests.report.staged_sweeps import PLANTED, sweep_of
from usaggr.analysis.collect import collect
from usaggr.document.elements import Document, TextTable, walk_tables
from usaggr.report.build import build_report
from usaggr.report.material import Material
from usaggr.report.staged.chapter import write_staged
from usaggr.report.staged.tables import STAGED_COLUMNS, make_staged
from usaggr.report.tables import make_tables


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Material:
    """A sweep with two staged groupings, all runs done."""
    collection = collect([sweep_of(tmp_path_factory.mktemp("staged") / "whole").written().directory])
    return Material(make_tables(collection))


def chapter(material: Material) -> Document:
    written = write_staged(material)
    return Document("", sections=() if written is None else (written,))


def table_of(document: Document, name: str) -> TextTable:
    return next(table for table in walk_tables(document) if table.name == name)


def shown(cell: object) -> str:
    return str(getattr(cell, "text", cell))


def test_planted_differences_from_one_stage_are_estimated(swept: Material) -> None:
    by_pair = {(row.grouping, row.against): row for row in swept.tables.compute(make_staged)}
    for (grouping, against), row in by_pair.items():
        assert row.delta_skill == pytest.approx(PLANTED[grouping] - PLANTED[against], abs=0.005)
        assert row.low < row.delta_skill < row.high
        assert row.p_adjusted >= row.p
    kinds = {pair: row.relation for pair, row in by_pair.items()}
    assert kinds == {
        ("staged_task", "task_specific"): "same blocks",
        ("staged_task", "unified"): "parent",
        ("staged_task_extra", "task_specific"): "same blocks",
        ("staged_task_extra", "unified"): "parent",
    }


def test_groupings_that_the_study_lacks_are_not_compared(tmp_path: Path) -> None:
    collection = collect([sweep_of(tmp_path / "few", "task_specific", "staged_task").written().directory])
    assert [row.against for row in make_tables(collection).compute(make_staged)] == ["task_specific"]
    one_stage = collect([sweep_of(tmp_path / "none", "task_specific", "unified").written().directory])
    tables = make_tables(one_stage)
    assert tables.compute(make_staged) == ()
    assert chapter(Material(tables)).sections == ()


def test_examples_time_and_models_are_those_of_all_stages(swept: Material) -> None:
    table = table_of(chapter(swept), "stages-base-s1")
    lines = {shown(row[0]): [shown(cell) for cell in row[1:]] for row in table.rows}
    columns = ["budget", "examples per task", "models", "first stages"]
    assert list(table.columns[1:5]) == columns
    assert lines["TS"][:4] == ["equal", "500", "3", "0"]
    assert lines["staged_task"][:4] == ["equal", "500", "3", "1"]
    assert lines["staged_task_extra"][:4] == ["more: 1.5 times", "750", "3", "1"]
    # 10 s a task and stage: three seeds of three tasks, and the three first stages of three tasks.
    assert lines["staged_task"][-1] == lines["staged_task_extra"][-1] == "0:03:00"


@pytest.mark.usefixtures("without_figures")
def test_the_chapter_says_which_groupings_have_more_budget(tmp_path: Path) -> None:
    report = build_report([sweep_of(tmp_path / "study").written().directory])
    page = (report / "report.md").read_text()
    assert "**staged_task_extra**: first AU (one model for all tasks) is trained completely" in page
    assert "**More budget**: 1.5 times the examples of one stage." in page
    assert "the extra training examples may explain this" in page
    table = pd.read_csv(report / "tables" / "staged.csv")
    assert tuple(table.columns) == STAGED_COLUMNS
    assert set(table["is"]) == {"same blocks", "parent"}


def test_an_unfinished_sweep_is_reported_with_its_missing_runs(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path / "half")
    sweep.written(skip=lambda run: run.seed == 2 or run.block == "staged_task.fetal_femur")
    collection = collect([sweep.directory])
    comparisons = make_tables(collection).compute(make_staged)
    assert {row.grouping: (row.seeds, row.tasks, row.note) for row in comparisons} == {
        "staged_task": (2, 2, "without fetal_femur; no predictions of some runs: seeds alone"),
        "staged_task_extra": (2, 3, "no predictions of some runs: seeds alone"),
    }
