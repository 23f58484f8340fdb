"""Tests of the chapters on data scale, types, groups, tests over tasks and the paper's claims."""

from pathlib import Path

import pytest

from tests.report.reading import document_of, find, planted, read_cells, row_of, simple, tables, texts, titles
from tests.report.sweeps import FakeSweep
from usaggr.analysis.collect import collect
from usaggr.document.elements import Cell, Document
from usaggr.metrics import score_texts
from usaggr.report.contents import write_report
from usaggr.report.figures import FigureFile
from usaggr.report.scale.tables import analyze_effects
from usaggr.report.tables import Tables, make_tables

PLANTED = {"breast_lesion": 0.1, "fetal_head": 0.1, "thyroid_nodule_det": 0.05, "fetal_femur": 0.1}
FIGURE_PLACES = ("scale", "types", "groups")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Tables, Document]:
    sweep = planted(tmp_path_factory.mktemp("evidence") / "study", PLANTED, scales=(0.25, 1.0))
    collection = collect([sweep.directory])
    tables_ = make_tables(collection)
    figures = tuple(FigureFile(place, f"Title {place}", "What is seen", ("png",), place) for place in FIGURE_PLACES)
    return tables_, write_report(tables_, figures)


def test_each_claim_has_its_finding_its_number_and_the_reason(made: tuple[Tables, Document]) -> None:
    claims = made[0].compute(analyze_effects).claims["base"]
    statements, results = tables(find(made[1], "The paper's claims"))[:2]
    assert [row[0] for row in read_cells(statements)] == ["(a)", "(b)", "(c)", "(d)"]
    assert len(results.rows) == len(claims)
    for row, claim in zip(results.rows, claims, strict=True):
        finding = row[1]
        assert isinstance(finding, Cell)
        assert (finding.kind, row[3]) == (claim.verdict, claim.reason)
        assert finding.text.endswith(claim.verdict)
    assert "confounded" in texts(find(made[1], "The paper's claims"))


def test_slopes_are_those_within_tasks_and_all_types_come_first(made: tuple[Tables, Document]) -> None:
    slopes = made[0].compute(analyze_effects).slopes
    slope = next(row.slope for row in slopes if (row.unit, row.level) == ("skill", "all"))
    table = tables(find(made[1], "With more training data"))[0]
    first = dict(zip(table.columns, read_cells(table)[0], strict=True))
    expected = score_texts.format_difference(slope.value, slope.low, slope.high, "skill")
    assert (first["grouping"], first["tasks of"], first["tasks"]) == ("AU", "all types", "4")
    assert first["slope of Δ skill per tenfold samples"] == expected
    for unit, name in (("log_error", "log error"), ("log_skill", "log skill")):
        slope = next(row.slope for row in slopes if (row.unit, row.level) == (unit, "all"))
        expected = score_texts.format_difference(slope.value, slope.low, slope.high, "skill")
        assert first[f"slope of Δ {name}"] == expected
    assert first["remark"] == "–"


def test_between_tasks_is_labeled_confounded(made: tuple[Tables, Document]) -> None:
    between = next(t for t in tables(find(made[1], "With more training data")) if t.name == "between")
    assert "**confounded**" in between.caption
    assert between.rows
    assert all(row[-1].startswith("confounded") for row in read_cells(between))


def test_types_and_groups_have_a_row_each_and_groups_a_spread(made: tuple[Tables, Document]) -> None:
    (types,) = tables(find(made[1], "By task type"))
    assert {row[2] for row in read_cells(types)} == {"segmentation", "detection", "regression"}
    assert row_of(types, scale="1", **{"task type": "segmentation"})["tasks"] == "2"
    groups, spread = tables(find(made[1], "Across clinical groups"))
    assert {row[2] for row in read_cells(groups)} == {"breast", "obstetrics", "thyroid"}
    assert [row[2] for row in read_cells(spread)] == ["3", "3"]


def test_figures_are_next_to_their_tables(made: tuple[Tables, Document]) -> None:
    for place, title in zip(
        FIGURE_PLACES, ("With more training data", "By task type", "Across clinical groups"), strict=True
    ):
        assert f"Title {place}" in texts(find(made[1], title))


def test_tests_over_tasks_are_descriptive_and_count_losses(made: tuple[Tables, Document]) -> None:
    section = find(made[1], "Across tasks")
    assert "**Descriptive.**" in texts(section)
    improvement, pairs = tables(section)
    assert row_of(improvement, grouping="AU", scale="1")["losses / verdicts"] == "0 / 4"
    assert row_of(improvement, grouping="AU", scale="1")["probability of improvement"].startswith("100 %")
    assert row_of(pairs, scale="1")["better"] == "4"


def test_with_one_scale_the_effect_of_data_scale_is_reported_as_not_tested(tmp_path: Path) -> None:
    document = document_of(planted(tmp_path / "study", PLANTED))
    assert "no task has results at two amounts" in texts(find(document, "With more training data"))
    claims = tables(find(document, "The paper's claims"))[1]
    assert row_of(claims, claim="(a) AU, within tasks")["because"] == "not tested by this sweep: one scale"
    assert row_of(claims, claim="(a) AU, within tasks")["result"] == "? undecided"


def test_without_a_comparison_there_is_no_such_chapter(tmp_path: Path) -> None:
    document = document_of(FakeSweep(tmp_path / "study", groupings=("task_specific",)).finish(simple))
    absent = {"Data scale, task types and clinical groups", "Across tasks"}
    assert not absent & set(titles(document))
