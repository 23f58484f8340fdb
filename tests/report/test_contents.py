"""Tests of the complete report: whatever runs are finished, no section is empty and no word is unexplained."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from tests.report.reading import (
    blocks,
    chapters_of,
    document_of,
    find,
    material_of,
    planted,
    sections,
    simple,
    tables,
    texts,
    with_settings,
)
from tests.report.sweeps import FakeSweep
from usaggr.document.elements import Document
from usaggr.document.markdown import render_markdown
from usaggr.metrics.names import get_metric
from usaggr.report.contents import write_methods_and_limits, write_report
from usaggr.report.material import Material
from usaggr.report.methods.reproduce import write_reproduction

MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])
Make = Callable[[Path], FakeSweep]


def nothing(path: Path) -> FakeSweep:
    sweep = FakeSweep(path)
    sweep.write_plan()
    return sweep


def empty(path: Path) -> FakeSweep:
    sweep = nothing(path)
    plan = path / "plan.csv"
    plan.write_text(plan.read_text().splitlines()[0] + "\n")
    return sweep


STUDIES: dict[str, Make] = {
    "nothing planned": empty,
    "nothing done": nothing,
    "all done": lambda path: planted(path, {"breast_lesion": 0.1}, scales=(0.25, 1.0)),
    "half done": lambda path: FakeSweep(path).finish(simple, skip=lambda run: run.seed > 0 or len(run.tasks) > 1),
    "reference missing": lambda path: FakeSweep(path).finish(simple, skip=lambda run: len(run.tasks) == 1),
    "one seed": lambda path: planted(path, {"breast_lesion": 0.1}, seeds=(7,)),
    "reference alone": lambda path: FakeSweep(path, groupings=("task_specific",)).finish(simple),
    "unified is the reference": lambda path: planted(path, {"fetal_head": 0.1}, reference="unified"),
    "variants": lambda path: planted(path, {"fetal_head": 0.1}, variants={"base": [], "slow": ["a=1"]}),
    "caps": lambda path: planted(path, {"fetal_head": 0.1}, scales=(20, 60)),
    "few subjects": lambda path: FakeSweep(path, subjects=3, spread=0.02).finish(simple),
    "hostile": lambda path: FakeSweep(path, data={"root": "<b>|*x*", "warnings": ["a\n\n# b"]}).finish(simple),
}


@pytest.fixture(scope="module", params=STUDIES)
def document(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Document:
    name: str = request.param
    return document_of(STUDIES[name](tmp_path_factory.mktemp("whole") / "study"))


@pytest.fixture(scope="module")
def page(document: Document) -> str:
    return render_markdown(document)


def test_no_section_is_empty_and_no_table_without_rows(document: Document) -> None:
    assert all(section.blocks or section.sections for section in sections(document))
    assert all(table.rows for section in document.sections for table in tables(section))
    assert all(document.lead)


def test_rows_are_as_long_as_their_head_and_numbers_are_columns(document: Document) -> None:
    for section in document.sections:
        for table in tables(section):
            assert {len(row) for row in table.rows} == {len(table.columns)}
            assert set(table.numbers) <= set(table.columns)
            assert len(set(table.columns)) == len(table.columns)


def test_tables_have_files_of_their_own(document: Document) -> None:
    names = [table.name for section in document.sections for table in tables(section) if table.name]
    assert len(set(names)) == len(names)


def test_nothing_leaks_from_the_machine(page: str) -> None:
    page = page.replace("### Missing runs\n\nNone.", "")
    for leak in ("None", "<NA>", "{{", "{%", "Undefined", "Cell(", "[]", "()", "  ", " ,"):
        assert leak not in page
    assert not re.search(r"\b(nan|inf)\b", page, re.IGNORECASE)


def test_sentences_have_no_broken_punctuation(document: Document) -> None:
    for paragraph in texts(document).splitlines():
        assert not re.search(r"\.\.|\.,|,\.| \.(?!\d)|\bof of\b|: \.", paragraph), paragraph


def test_the_page_is_valid_markdown(document: Document, page: str) -> None:
    tokens = MARKDOWN.parse(page)
    made = sum(token.type == "table_open" for token in tokens)
    assert made == sum(len(tables(section)) for section in document.sections)
    assert not any("|" in t.content and "---" in t.content for t in tokens if t.type == "inline")
    assert not any(token.type.startswith("html") for token in tokens)


def test_every_abbreviation_is_explained(document: Document, page: str) -> None:
    if not document.sections:
        return
    words = texts(find(document, "Glossary"))
    shown = page.split("### Glossary")[0]
    for word in ("TS", "CG", "AU", "DSC", "HD95", "NSD", "AUC", "MCC", "IoU", "MRE", "delta_m", "delta_skill", "skill"):
        if re.search(rf"\b{word}\b", shown):
            assert re.search(rf"\*\*[^*]*\b{word}\b[^*]*\*\*", words), word


def test_metrics_of_other_types_are_not_explained(usual_report: Document) -> None:
    words = texts(find(usual_report, "Glossary"))
    assert get_metric("dsc").meaning in words
    assert get_metric("iou").meaning not in words


def test_no_hype(document: Document) -> None:
    for word in ("significant", "winner", "outperform", "state-of-the-art", "novel"):
        assert word not in texts(document).lower()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"data": {"subset": "fixed"}}, "All seeds use the same training samples"),
        ({"model": {"norm": "batch"}}, "groupings are not compared under equal conditions"),
        ({"model": {"weights": "imagenet"}}, "from the weights imagenet"),
    ],
)
def test_limits_of_a_comparison_are_stated(
    usual: Material, usual_report: Document, settings: dict[str, Any], sentence: str
) -> None:
    limited = with_settings(usual, **settings)
    assert sentence in texts(write_report(limited.tables))
    assert sentence not in texts(usual_report)


def test_methods_have_the_numbers_of_the_study(tmp_path: Path) -> None:
    report = {"margin": 0.03, "relative_margin": 0.2}
    sweep = planted(tmp_path / "study", {}, settings={"report": report}, scales=(0.25, 1.0), seeds=(3, 5))
    text = texts(chapters_of(material_of(sweep), write_methods_and_limits))
    assert "TS (one model per task): 4 models and AU (one model for all tasks): 1 model" in text
    assert "25 % or 100 % of each task's training samples" in text
    assert "repeated with 2 seeds (3, 5)" in text
    assert "The margin is 0.03 for metrics whose best value is 1, and 20 % of the reference's mean" in text
    assert "Dorfman, Berbaum and Metz 1992" in text


def test_versions_of_the_finished_runs_are_listed(tmp_path: Path) -> None:
    sweep = FakeSweep(tmp_path / "study")
    sweep.write_plan()
    for run, _ in sweep.runs():
        directory = sweep.write_run(run, {task: simple(task, run.tasks, run.scale, run.seed) for task in run.tasks})
        version = "2.7" if run.seed else "2.6"
        directory.write_spec(run, packages={"torch": version}, python="3.11", device="cpu")
    section = chapters_of(material_of(sweep), write_reproduction)
    (table,) = tables(section)
    assert [list(row) for row in table.rows] == [
        ["torch", "2.6 (5 runs), 2.7 (10 runs)"], ["python", "3.11"], ["device", "cpu"],
    ]  # fmt: skip
    assert "The finished runs were trained with different versions." in texts(section)


def test_a_damaged_run_yaml_is_left_out(usual_report: Document) -> None:
    section = find(usual_report, "How to reproduce")
    assert not tables(section)  # these runs do not record their versions
    assert list(blocks(section))
