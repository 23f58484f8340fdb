"""Only cells of a variant that departs from equal exposure are labeled."""

from pathlib import Path

import pandas as pd
import pytest

from tests.report.reading import blocks, document_of, find, row_of, texts, titles
from tests.report.sweeps import FakeSweep, level
from tests.report.variant_sweeps import TASKS
from usaggr.analysis.collect import collect
from usaggr.data.batches.streams import NOT_EQUAL
from usaggr.document.elements import Details, Document, TextTable
from usaggr.report.tables import make_tables
from usaggr.tasks import CATALOGUE

VARIANTS = {
    "base": [],
    "gradients": ["training.balancing=upgrad"],
    "sqrt": ["training.sampling=uniform", "training.sampling=sqrt"],
}
SEEN = dict(zip(TASKS, (250, 500, 650, 600), strict=True))
"""Examples of each task in the unified model under sqrt; the second task has as many as in a model by itself."""


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> FakeSweep:
    sweep = FakeSweep(
        tmp_path_factory.mktemp("exposure") / "study",
        tasks=TASKS, groupings=("task_specific", "unified"), variants=VARIANTS, subjects=20, spread=0.05,
    )  # fmt: skip
    sweep.write_plan()
    for run, _ in sweep.runs():
        scores = {task: level(CATALOGUE[task], 0.6 + 0.01 * run.seed) for task in run.tasks}
        if run.variant == "sqrt" and len(run.tasks) > 1:
            notes = {task: ["a remark"] if n == 500 else [f"{NOT_EQUAL} (sqrt)"] for task, n in SEEN.items()}
            sweep.write_run(run, scores, examples=SEEN, notes=notes)
        else:
            sweep.write_run(run, scores)
    return sweep


@pytest.fixture(scope="module")
def document(sweep: FakeSweep) -> Document:
    return document_of(sweep)


def test_the_comparison_and_the_summary_say_which_cells_are_not_equally_exposed(sweep: FakeSweep) -> None:
    tables = make_tables(collect([sweep.directory]))
    labeled = tables.comparison.verdict_table[tables.comparison.verdict_table["note"].str.contains(NOT_EQUAL)]
    assert set(labeled["variant"]) == {"sqrt"}
    assert set(labeled["task"]) == {task for task, n in SEEN.items() if n != 500}
    assert labeled["note"].str.contains("not equally exposed (sqrt)", regex=False).all()
    counts = tables.comparison.summary_table.set_index(["variant", "grouping"])["unequal"]
    assert counts["sqrt", "unified"] == 3
    assert counts.drop(("sqrt", "unified")).sum() == 0


def test_examples_of_each_task_are_in_a_table_of_that_variant_only(document: Document) -> None:
    chapter = find(document, "Exposure")
    assert "Under sqrt, tasks are **not equally exposed**" in texts(chapter)
    (details,) = [block for block in blocks(chapter) if isinstance(block, Details)]
    assert details.summary == "Examples per task: sqrt, all training samples"
    (table,) = details.blocks
    assert isinstance(table, TextTable)
    assert row_of(table, task=TASKS[0]) == {"task": TASKS[0], "train": "100", "TS": "500", "AU": "250 *"}
    assert row_of(table, task=TASKS[1])["AU"] == "500"


def test_the_answer_warns_only_under_that_variant(document: Document) -> None:
    answer = find(document, "The answer")
    warned = [item.title for item in answer.sections if "not equally exposed here" in texts(item)]
    assert warned == ["All training samples, variant sqrt"]
    assert "`training.sampling: sqrt`" in texts(answer)


def test_methods_limits_and_settings_name_the_exceptions(document: Document) -> None:
    text = texts(find(document, "Methods"))
    assert "In gradients, tasks that share a model are balanced by projection of the gradients" in text
    assert (
        "In sqrt, the training examples of a model are distributed over its tasks in proportion to the square" in text
    )
    assert "500 examples per task under every grouping (except in sqrt)" in texts(find(document, "Study settings"))
    assert "In sqrt, `training.sampling` changes the number of training examples" in texts(find(document, "Limits"))
    assert "is the same under every grouping (except in sqrt)." in texts(find(document, "Limits"))


def test_sizes_are_not_discussed_if_variants_change_only_the_training(document: Document) -> None:
    chapter = find(document, "Variants compared")
    assert "Effect of sharing under each variant" in [inner.title for inner in chapter.sections]
    text = texts(find(document, "Effect of sharing under each variant"))
    assert "instead of TS changes mean skill by" in text
    assert "active parameters" not in text


def test_unequal_exposure_is_no_remark_on_scores(document: Document) -> None:
    text = texts(find(document, "Data"))
    assert f"{TASKS[1]}: a remark" in text.replace("\\", "")
    assert NOT_EQUAL not in text


def test_equal_exposure_is_not_mentioned(tmp_path: Path) -> None:
    plain = FakeSweep(tmp_path / "plain", tasks=TASKS).finish(lambda task, *_: level(CATALOGUE[task], 0.5))
    document = document_of(plain)
    assert "Exposure" not in titles(document)
    text = texts(document)
    assert "equally exposed" not in text
    assert "(except in" not in text
    assert "balanced by" not in text
    assert (make_tables(collect([plain.directory])).comparison.summary_table["unequal"] == 0).all()


def test_a_study_with_such_sampling_in_its_only_variant_does_not_name_it(tmp_path: Path) -> None:
    sweep = FakeSweep(tmp_path / "study", tasks=TASKS, settings={"training": {"sampling": "sqrt"}})
    sweep.finish(lambda task, *_: level(CATALOGUE[task], 0.5))
    text = texts(find(document_of(sweep), "Methods"))
    assert "The training examples of a model are distributed over its tasks in proportion to the square root" in text


def test_summary_has_whole_numbers(sweep: FakeSweep) -> None:
    column = make_tables(collect([sweep.directory])).comparison.summary_table["unequal"]
    assert pd.api.types.is_integer_dtype(column.dtype)
