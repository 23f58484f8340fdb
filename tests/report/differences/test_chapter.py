"""Tests of scores, differences and validity: pages show the numbers of the tables, and no failure is dropped."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.report.reading import document_of, find, planted, read_cells, row_of, tables, texts
from usaggr.analysis.collect import collect
from usaggr.document import numbers
from usaggr.document.elements import Cell, Document, Picture
from usaggr.metrics.names import METRICS
from usaggr.report.contents import write_report
from usaggr.report.figures import FigureFile
from usaggr.report.material import Material
from usaggr.report.tables import make_tables
from usaggr.report.tasks.examples import Examples, TaskExamples
from usaggr.report.what_was_run.convergence_section import write_validity

PLANTED = {"breast_lesion": 0.1, "fetal_head": -0.1}


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Document:
    figures = tuple(
        FigureFile(name, f"Title {name}", "What is seen", ("svg", "png"), place)
        for name, place in (("heat", "answer"), ("cost", "cost"), ("curve", "task:breast_lesion"))
    )
    picture = Picture("samples/x.jpg", "A sample", "A sample's strip")
    examples = Examples(None, {
        "breast_lesion": TaskExamples((picture,), ("How it was chosen.",)),
        "fetal_head": TaskExamples(reason="the predictions hold no masks"),
    })  # fmt: skip
    return document_of(planted(tmp_path_factory.mktemp("cells") / "study", PLANTED), figures=figures, examples=examples)


def test_scores_have_intervals_and_differences_their_verdicts_mark(usual_report: Document) -> None:
    # t(0.975; 2) = 4.30265, a standard deviation of .01 skill: 2.5 px of MRE, .015 of a DSC.
    (table,) = tables(find(usual_report, "All training samples", within="Scores and differences"))
    assert table.columns[:6] == ("task", "clinical group", "metric", "train", "trivial", "TS")
    lesion = row_of(table, task="breast_lesion")
    assert (lesion["metric"], lesion["train"], lesion["trivial"]) == ("DSC ↑", "100", "0.400")
    assert (lesion["TS"], lesion["CG"], lesion["AU"]) == ("0.706 ± 0.015", "0.736 ± 0.015", "0.400 ± 0.000 †")
    femur = row_of(table, task="fetal_femur")
    assert (femur["CG"], femur["Δ CG"], femur["Δ AU"]) == ("49.0 ± 2.5", "same run", "−51.0 [−53.5, −48.5]")


def test_verdicts_are_marked_and_cells_can_be_sorted_by_their_number(document: Document) -> None:
    (table,) = tables(find(document, "All training samples", within="Scores and differences"))
    last_cells = {row[0].text: row[-1] for row in table.rows if isinstance(row[0], Cell)}
    gain, loss = last_cells["breast_lesion"], last_cells["fetal_head"]
    assert isinstance(gain, Cell)
    assert isinstance(loss, Cell)
    assert (gain.kind, gain.text[:3], loss.kind, loss.text[:3]) == ("gain", "▲ +", "loss", "▼ −")
    assert gain.sort == pytest.approx(0.1, abs=0.01)
    # The N of a qualified no loss is explained above the table.
    no_loss = last_cells["thyroid_nodule_det"]
    assert isinstance(no_loss, Cell)
    assert (no_loss.text[:2], no_loss.text[-4:]) == ("= ", "] ‡6")
    assert "‡N: no loss apart from failures rarer than 1 in N" in texts(find(document, "Scores and differences"))


def test_each_task_has_all_its_metrics_its_curve_and_its_samples(document: Document) -> None:
    section = find(document, "breast_lesion")
    (table,) = tables(section)
    assert [row[0] for row in read_cells(table)][:4] == ["DSC ↑", "HD (px) ↓", "HD95 (px) ↓", "NSD ↑"]
    assert len(table.rows) == len(METRICS["segmentation"])
    kinds = [isinstance(row[-1], Cell) and row[-1].kind for row in table.rows]
    assert (kinds[0], set(kinds[1:])) == ("gain", {""})
    pictures = [block.path for block in section.blocks if isinstance(block, Picture)]
    assert pictures == ["figures/curve.png", "samples/x.jpg"]
    assert "Segmentation (2 classes: background, lesion); clinical group: breast" in texts(section)
    assert "How it was chosen." in texts(section)
    assert "No pictures of test samples: the predictions hold no masks." in texts(find(document, "fetal_head"))


def test_figures_are_in_their_chapters(document: Document) -> None:
    assert any(isinstance(b, Picture) and b.path == "figures/cost.png" for b in find(document, "The answer").blocks)
    differences = find(document, "Scores and differences")
    assert [b.path for b in differences.blocks if isinstance(b, Picture)] == ["figures/heat.png"]


def test_without_the_data_set_the_reason_is_given_once(usual: Material) -> None:
    examples = Examples("phantoms is not there any more")
    text = texts(write_report(usual.tables, examples=examples))
    assert text.count("There are no pictures of test samples: phantoms is not there any more.") == 1


def test_tasks_that_do_not_beat_the_trivial_predictor_are_named(usual_report: Document) -> None:
    section = find(usual_report, "Validity of runs")
    assert "In 6 of 9 cells (task × grouping × scale)" in texts(section)
    table = tables(section)[-1]
    assert row_of(table, grouping="TS")["tasks not better"] == "none"
    assert row_of(table, grouping="AU")["tasks not better"] == "breast_2cls, breast_lesion, fetal_femur"


def test_collapsed_runs_are_named_and_counts_are_given_with_and_without_them(tmp_path: Path) -> None:
    sweep = planted(tmp_path / "study", PLANTED)
    collection = collect([sweep.directory])
    made = make_tables(collection)
    shared = next(run.row.fingerprint for run in collection.runs if run.row.block == "unified")
    validity = made.comparison.convergence.assign(collapsed=False, diverged=False)
    validity["unconverged"] = pd.array([False] * len(validity), dtype="boolean")
    validity.loc[(validity["fingerprint"] == shared) & (validity["task"] == "fetal_head"), "collapsed"] = True
    verdicts = tuple(
        replace(row, collapsed=(row.grouping, row.task) == ("unified", "fetal_head"))
        for row in made.comparison.verdicts
    )
    changed = replace(made, comparison=replace(made.comparison, convergence=validity, verdicts=verdicts))
    section = write_validity(Material(changed))
    assert section is not None
    runs, twice = tables(section)[:2]
    assert read_cells(runs) == [["fetal_head", "AU", "1", "base", "0", "collapsed"]]
    complete, valid = (row_of(twice, grouping="AU", cells=which) for which in ("all", "valid"))
    assert (complete["tasks"], complete["▼ loss"], complete["collapsed"]) == ("4", "1", "1")
    mean_of_valid = float(np.mean([row.relative for row in verdicts if row.main and not row.collapsed]))
    assert (valid["tasks"], valid["▼ loss"]) == ("3", "0")
    assert valid["delta_m"].startswith(f"{numbers.format_percent(mean_of_valid)} [")
    assert "1 collapsed, 0 not converged and 0 diverged" in texts(section)
