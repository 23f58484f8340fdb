"""Study settings, runs with every missing run counted, and data with the proof that subsets are disjoint."""

from pathlib import Path

import pytest

from tests.report.reading import (
    chapters_of,
    document_of,
    find,
    material_of,
    read_cells,
    row_of,
    simple,
    tables,
    texts,
    titles,
)
from tests.report.staged_sweeps import sweep_of
from tests.report.sweeps import FakeSweep
from usaggr.document.elements import Document, Paragraph
from usaggr.report.differences.chapter import write_differences
from usaggr.report.what_was_run.chapter import write_run
from usaggr.report.what_was_run.data_section import write_data
from usaggr.sweep.inspect.status import read_sweep_status


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Document:
    return document_of(FakeSweep(tmp_path_factory.mktemp("run") / "study", scales=(0.25, 1.0)).finish(simple))


@pytest.fixture(scope="module")
def missing(tmp_path_factory: pytest.TempPathFactory) -> Document:
    sweep = FakeSweep(tmp_path_factory.mktemp("missing") / "study", scales=(0.25, 1.0))
    sweep.finish(simple, skip=lambda run: run.block == "unified" or (run.block, run.seed) == ("breast_2cls", 1))
    failed = next(run for run, _ in sweep.runs() if run.block == "unified" and run.scale == 1.0)
    sweep.write_failure(failed, "ValueError: a | b <script>\nTraceback (most recent call last)")
    return document_of(sweep)


def test_the_settings_are_listed(document: Document) -> None:
    text = texts(find(document, "Study settings"))
    assert (
        "Groupings: TS (one model per task), CG (one model per clinical group) and AU (one model for all tasks)."
        in text
    )
    assert "Scales: 0.25, 1 (fraction of each task's training samples)." in text
    assert "encoder tu-test_resnet, trained from scratch, group normalization, input of 64 pixels" in text
    (blocks,) = tables(find(document, "Study settings"))
    assert read_cells(blocks)[1] == ["CG", "clinical", "2", "breast_2cls, breast_lesion; each of the others alone"]


def test_runs_are_counted_by_state_and_blocks_shared_by_groupings_are_trained_once(document: Document) -> None:
    text = texts(find(document, "Runs"))
    assert "30 distinct runs: 30 done." in text
    assert "6 runs fewer than if each grouping were trained separately" in text
    assert texts(find(document, "Missing runs")).split() == ["None."]
    assert "Failed runs" not in titles(document)


def test_missing_runs_are_counted_and_failures_listed_with_their_reason(missing: Document) -> None:
    lead = "**22 of 30 planned runs are finished.** Tables mark the results of the other runs as missing."
    assert lead in texts(missing)
    assert "30 distinct runs: 22 done, 1 failed, 7 pending." in texts(missing)
    (failures,) = tables(find(missing, "Failed runs"))
    assert read_cells(failures)[0][1:] == ["AU", "ValueError: a | b <script>"]
    assert "8 of 18 cells lack at least one seed" in texts(find(missing, "Missing runs"))
    assert read_cells(tables(find(missing, "Missing runs"))[0]) == [
        ["TS", "0.25", "base", "1", "2 of 3: breast_2cls"],
        ["AU", "0.25", "base", "3", "0 of 3: all 3 tasks"],
        ["TS", "1", "base", "1", "2 of 3: breast_2cls"],
        ["AU", "1", "base", "3", "0 of 3: all 3 tasks"],
    ]


def test_cells_with_missing_seeds_say_so_next_to_their_score(missing: Document) -> None:
    (table,) = tables(find(missing, "All training samples", within="Scores and differences"))
    row = row_of(table, task="breast_2cls")
    assert row["TS"].endswith("(2 of 3 seeds)")
    assert (row["AU"], row["Δ AU"]) == ("missing", "–")


def test_a_long_list_of_failures_is_cut_with_a_count(tmp_path: Path) -> None:
    sweep = FakeSweep(tmp_path / "study", seeds=tuple(range(20)))
    sweep.write_plan()
    for run, _ in sweep.runs():
        if run.block != "unified":
            sweep.write_failure(run, "no reason")
    failed = find(chapters_of(material_of(sweep), write_run), "Failed runs")
    assert len(tables(failed)[0].rows) == 30
    assert "And 50 more." in texts(failed)


def test_unplanned_runs_and_combined_folders_are_reported(tmp_path: Path) -> None:
    first, second = (FakeSweep(tmp_path / str(i), seeds=(i,)).finish(simple) for i in (0, 1))
    first.write_run(first.spec("x", ("breast_2cls",), 1.0, 9), {"breast_2cls": simple("breast_2cls", ("x",), 1.0, 0)})
    text = texts(chapters_of(material_of(first, second), write_run))
    assert "1 finished run that is not part of the study is excluded from this report." in text
    assert "Results are combined from" in text


def test_first_stages_are_counted_among_all_runs_as_on_the_command_line(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path / "study").written()
    status = read_sweep_status(sweep.directory)
    text = texts(chapters_of(material_of(sweep), write_run))
    assert "3 first stages of staged groupings, whose models belong to no grouping: 3 done." in text
    assert f"{len(status.runs)} distinct runs: {status.count('done')} done" in text


def test_the_proof_that_subsets_are_disjoint_is_printed(document: Document) -> None:
    text = texts(find(document, "Data"))
    assert "**Folds are disjoint.** Folds are the subsets train, val and test of `split.csv`." in text
    assert (
        "of 90 components, 136 images and 80 subjects, 0 components, 0 images and 0 subjects are in two subsets" in text
    )
    assert "No sample was skipped." in text


def test_subsets_that_overlap_are_reported_first_with_the_names_of_the_patients(tmp_path: Path) -> None:
    sweep = FakeSweep(tmp_path / "study", tasks=("breast_lesion",), groupings=("unified",), seeds=(0,)).finish(simple)
    head = "task_id,sample_id,image_path,subject_id,component,fold,rank_0,subject_written,image_sha256"
    lines = (head, "t,a.png,../i/a.png,17,0,train,0,17,h1", "t,b.png,../i/b.png,17.0,1,test,,17.0,h2")
    (sweep.directory / "split.csv").write_text("\n".join(lines) + "\n")
    document = document_of(sweep)
    (warning,) = [block for block in document.lead[:1] if isinstance(block, Paragraph)]
    assert warning.text.startswith("**The training, validation and test subsets overlap: ")
    text = texts(find(document, "Data"))
    assert "**Folds are not disjoint.**" in text
    assert "of 2 components, 2 images, 2 files and 1 subject, 0 components, 0 images, 0 files and 1 subject are" in text
    assert "subject 17 (train, test)" in text


def test_skipped_and_dropped_samples_and_warnings_are_reported(tmp_path: Path) -> None:
    skipped = [f"a.csv, line {i}, mask_path: <x>|y" for i in range(12)]
    sweep = FakeSweep(tmp_path / "study", data={"skipped": skipped, "dropped": 3, "warnings": ["mind *this*"]})
    text = texts(chapters_of(material_of(sweep.finish(simple)), write_data))
    assert "12 rows of the index were skipped" in text
    assert r"line 0, mask_path: &lt;x&gt;\|y" in text
    assert "and 2 more, in data.json" in text
    assert "3 samples belong to no subset" in text
    assert r"Note: mind \*this\*" in text


def test_tasks_with_few_test_subjects_are_marked(tmp_path: Path) -> None:
    material = material_of(FakeSweep(tmp_path / "study", subjects=4).finish(simple))
    document = chapters_of(material, write_data, write_differences)
    assert row_of(tables(find(document, "Data"))[0], task="breast_lesion")["test subjects"] == "4 (few)"
    (table,) = tables(find(document, "All training samples", within="Scores and differences"))
    assert read_cells(table)[0][0] == "breast_2cls (few)"


def test_remarks_of_runs_are_reported_once(tmp_path: Path) -> None:
    sweep = FakeSweep(tmp_path / "study")
    sweep.write_plan()
    for run, _ in sweep.runs():
        notes = {task: ["AUC over 1 of 2 classes"] for task in run.tasks if task == "breast_2cls"}
        sweep.write_run(run, {task: simple(task, run.tasks, 1.0, run.seed) for task in run.tasks}, notes=notes)
    assert texts(chapters_of(material_of(sweep), write_data)).count("breast_2cls: AUC over 1 of 2 classes") == 1
