"""Tests of the first page: for which tasks sharing is worth it, how certain that is, and what it costs."""

import re
import shutil
from pathlib import Path

import pytest

from tests.report.reading import (
    document_of,
    find,
    material_of,
    planted,
    read_cells,
    row_of,
    simple,
    tables,
    texts,
    titles,
)
from tests.report.sweeps import CATALOGUE, FakeSweep, level
from usaggr.document.display_names import scale_label
from usaggr.document.elements import Cell, Document, Section
from usaggr.report.answer.chapter import write_answer
from usaggr.report.answer.opening import write_lead
from usaggr.report.material import Material, capitalize

PLANTED = {"breast_lesion": 0.1, "fetal_head": -0.1, "thyroid_nodule_det": 0.0, "fetal_femur": -0.3}


def answer_of(material: Material) -> Document:
    """Return the first page alone: the opening and the answer."""
    chapter = write_answer(material)
    assert isinstance(chapter, Section)
    return Document("", write_lead(material), (chapter,))


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Document:
    return document_of(planted(tmp_path_factory.mktemp("answer") / "my_study", PLANTED))


def test_the_first_lines_state_the_question_the_finished_runs_and_the_answer(document: Document) -> None:
    lines = texts(document).splitlines()
    assert document.title == "Report of my_study"
    assert lines[0].startswith("Which of these 4 tasks should share one model?")
    groupings = "2 groupings of the tasks: TS (one model per task) and AU (one model for all tasks)"
    assert f"{groupings}; 1 amount of training data; 3 seeds." in lines[0]
    assert lines[0].endswith("**15 of 15 planned runs are finished.**")
    assert lines[1].startswith(
        "**With all training samples: breast_lesion is better in one model for all tasks (AU). thyroid_nodule_det is "
        "no worse in one model for all tasks (AU) (apart from failures rarer than 1 in 6), and this grouping needs "
        "fewer models. Keep TS (one model per task) for fetal_femur and fetal_head. fetal_femur and fetal_head are "
        "worse in one model for all tasks (AU).** "
    )
    assert "the chance of any false gain is at most 2.5 %" in lines[1]


def test_open_tasks_are_counted_by_their_reason_in_the_first_lines(tmp_path: Path) -> None:
    undecided = answer_of(material_of(planted(tmp_path / "noisy", {"breast_lesion": 0.06}, noise=0.04)))
    lead = texts(undecided).splitlines()[1]
    assert "For 4 tasks these data do not decide." in lead
    assert "too few test patients" not in lead
    few = FakeSweep(tmp_path / "few", subjects=3, spread=0.02).finish(simple)
    assert "**No difference can be tested.**" in texts(answer_of(material_of(few)))
    assert "3 tasks have too few test patients." in texts(find(answer_of(material_of(few)), "The answer"))


def test_a_no_loss_that_does_not_exclude_rare_failures_says_so_wherever_it_is_shown(document: Document) -> None:
    section = find(document, "All training samples")
    use = row_of(tables(section)[1], task="thyroid_nodule_det")
    assert "no loss apart from failures rarer than 1 in 6" in use["because"]
    assert "‡: no loss apart from failures rarer than 1 in N" in texts(find(document, "The answer"))


def test_means_name_the_number_of_their_tasks_with_too_few_subjects(tmp_path: Path) -> None:
    pair = ("task_specific", "unified")
    tasks = ("breast_lesion", "fetal_head", "lung")
    sweep = planted(tmp_path / "few", dict.fromkeys(tasks, 0.02), tasks=tasks, groupings=pair, subjects=3)
    few = answer_of(material_of(sweep))
    (row,) = [row for row in tables(find(few, "All training samples"))[0].rows if "AU" in str(row[0])]
    assert any("(3 too few)" in (cell.text if isinstance(cell, Cell) else cell) for cell in row)
    assert "Of the 3 tasks in this mean, 3 have too few test subjects for an interval." in texts(few)


def test_many_tasks_of_one_answer_are_counted_instead_of_named(tmp_path: Path) -> None:
    segmentation = tuple(name for name, task in CATALOGUE.items() if task.type == "segmentation")[:7]
    sweep = planted(tmp_path / "study", dict.fromkeys(segmentation, 0.1), tasks=segmentation)
    assert "7 tasks are better in one model for all tasks (AU)." in texts(answer_of(material_of(sweep)))


def test_a_study_of_one_task_is_not_asked_which_tasks_share_a_model(tmp_path: Path) -> None:
    sweep = FakeSweep(tmp_path / "study", tasks=("breast_lesion",), groupings=("task_specific",)).finish(simple)
    lead = texts(answer_of(material_of(sweep))).splitlines()[0]
    assert lead.startswith("This study has one task, breast_lesion, so no tasks can share a model.")


def test_each_task_has_a_grouping_to_use_and_the_evidence_for_it(document: Document) -> None:
    use = next(table for table in tables(find(document, "All training samples")) if "use" in table.columns)
    advice = {row[0]: (row[3], row[4]) for row in read_cells(use)}
    assert advice["breast_lesion"][0] == "AU"
    assert advice["breast_lesion"][1].startswith("AU: DSC +0.098 [+0.092, +0.103]")
    assert "adjusted p < .001" in advice["breast_lesion"][1]
    assert advice["thyroid_nodule_det"][0] == "AU"
    assert "not worse by 0.020 or more, adjusted p" in advice["thyroid_nodule_det"][1]
    assert advice["fetal_head"][0] == "TS"
    assert advice["fetal_head"][1].startswith("worse under AU; AU: DSC −0.1")
    kinds = {row[0].text: row[3].kind for row in use.rows if isinstance(row[0], Cell) and isinstance(row[3], Cell)}
    assert kinds["breast_lesion"] == "gain"
    assert kinds["thyroid_nodule_det"] == "no_loss"


def test_score_is_seen_against_cost(document: Document) -> None:
    options = tables(find(document, "All training samples"))[0]
    reference, shared = row_of(options, grouping="TS (reference)"), row_of(options, grouping="AU")
    assert (reference["models"], shared["models"]) == ("4", "1")
    assert (reference["parameters"], shared["parameters"]) == ("4,040", "1,040")
    assert (reference["▲ gain"], reference["delta_m"]) == ("–", "–")
    verdicts = [shared[name] for name in ("▲ gain", "= no loss", "▼ loss", "? undecided", "– no verdict", "same run")]
    assert verdicts == ["1", "1 (1‡)", "2", "0", "0", "0"]
    assert shared["delta_m"].startswith("−")
    assert shared["training time"] == "0:02:00"


def test_no_answer_rests_on_models_that_learned_nothing(tmp_path: Path) -> None:
    sweep = planted(tmp_path / "study", {"breast_lesion": 0.0, "fetal_head": 0.1}, level_of={"breast_lesion": -0.1})
    document = answer_of(material_of(sweep))
    use = next(table for table in tables(find(document, "All training samples")) if "use" in table.columns)
    row = row_of(use, task="breast_lesion")
    assert row["use"] == "no verdict"
    assert row["because"] == "AU: 3 of 3 seeds collapsed, 3 of 3 seeds of the reference collapsed"
    assert "collapsed" not in row_of(use, task="fetal_head")["because"]
    lead = texts(document).splitlines()[1]
    assert "For 1 task there is no answer, because runs collapsed." in lead
    assert "A run collapsed on 1 of 4 tasks" in lead
    assert "This leaves out 1 task with collapsed runs." in texts(document)


def test_undecided_tasks_report_how_many_seeds_are_needed(tmp_path: Path) -> None:
    document = answer_of(material_of(planted(tmp_path / "study", {"breast_lesion": 0.06}, noise=0.04)))
    use = next(table for table in tables(find(document, "All training samples")) if "use" in table.columns)
    row = row_of(use, task="breast_lesion")
    assert row["use"] == "undecided"
    assert "seeds are likely to decide" in row["because"]


def test_a_task_that_one_seed_does_not_decide_needs_a_second_seed(tmp_path: Path) -> None:
    document = answer_of(material_of(planted(tmp_path / "study", {}, spread=0.3, seeds=(4,))))
    use = next(table for table in tables(find(document, "All training samples")) if "use" in table.columns)
    row = row_of(use, task="breast_lesion")
    assert row["use"] == "undecided"
    assert row["because"].endswith("; a second seed is needed to decide; provisional (one seed)")


@pytest.mark.parametrize(
    ("seeds", "reason", "doubt"),
    [
        ((4,), "All verdicts are provisional. With one seed, intervals account for which patients", "one seed"),
        ((4, 5), "All verdicts are provisional: two seeds hardly show how training runs vary", "2 seeds"),
    ],
)
def test_one_and_two_seeds_are_provisional(tmp_path: Path, seeds: tuple[int, ...], reason: str, doubt: str) -> None:
    document = answer_of(material_of(planted(tmp_path / "study", PLANTED, seeds=seeds)))
    assert reason in texts(document)
    assert "less certain, because models failed" not in texts(document)
    use = next(table for table in tables(find(document, "All training samples")) if "use" in table.columns)
    assert row_of(use, task="breast_lesion")["because"].endswith(f"provisional ({doubt})")


def test_verdicts_from_two_of_three_seeds_are_provisional(tmp_path: Path) -> None:
    sweep = planted(tmp_path / "study", PLANTED, seeds=(4, 5, 6))
    assert "provisional" not in texts(answer_of(material_of(sweep)))
    for seed in (6, 5):
        (run,) = sweep.directory.glob(f"runs/fetal_head-*-k{seed}-*")
        shutil.rmtree(run)
        lead = texts(answer_of(material_of(sweep))).splitlines()[1]
        assert "1 of 4 verdicts in this report is provisional, because it is from one or two seeds" in lead


def test_a_no_loss_on_auc_does_not_exclude_rare_failures_in_the_rarer_class(tmp_path: Path) -> None:
    tasks = ("breast_2cls", "breast_lesion")
    wide = {"report": {"margin": 0.2}}
    sweep = planted(tmp_path / "study", {"breast_lesion": 0.5}, tasks=tasks, subjects=200, settings=wide)
    lead = texts(answer_of(material_of(sweep))).splitlines()[1]
    assert re.search(r"breast_2cls is no worse .* \(apart from failures rarer than 1 in \d+ in the rarer class\)", lead)


def test_failures_of_all_subjects_and_of_the_rarer_class_are_named_apart(tmp_path: Path) -> None:
    tasks = ("breast_2cls", "breast_lesion", "fetal_head")
    wide = {"report": {"margin": 0.2}}
    lead = texts(answer_of(material_of(planted(tmp_path / "s", {}, tasks=tasks, subjects=200, settings=wide))))
    assert re.search(
        r"no worse in one model for all tasks \(AU\) \(1 of them apart from failures rarer than 1 in \d+ in", lead
    )
    few = texts(
        answer_of(
            material_of(planted(tmp_path / "f", {}, tasks=tasks, subjects=100, settings={"report": {"margin": 0.35}}))
        )
    )
    assert "in the rarer class" in few


def test_the_largest_scale_is_answered_first_and_variants_have_answers_of_their_own(tmp_path: Path) -> None:
    variants = {"base": [], "slow": ["training.learning_rate=1e-4"]}
    document = answer_of(material_of(planted(tmp_path / "study", PLANTED, scales=(0.25, 1.0), variants=variants)))
    answer = find(document, "The answer")
    assert [section.title for section in answer.sections] == [
        "All training samples, variant base",
        "25 % of the training samples, variant base",
        "All training samples, variant slow",
        "25 % of the training samples, variant slow",
    ]
    names = {table.name for table in tables(answer)}
    assert names == {f"{what}-s{s}-{v}" for what in ("options", "use") for s in ("0.25", "1") for v in variants}


def test_caps_are_scales_too(tmp_path: Path) -> None:
    document = answer_of(material_of(planted(tmp_path / "study", PLANTED, scales=(20, 60))))
    assert f"**With {scale_label(60)}: breast_lesion is better" in texts(document)
    assert find(document, "The answer").sections[0].title == capitalize(scale_label(60))


def test_the_reference_alone_is_nothing_to_compare(tmp_path: Path) -> None:
    document = answer_of(material_of(FakeSweep(tmp_path / "study", groupings=("task_specific",)).finish(simple)))
    assert "The only grouping is TS (one model per task), so nothing is compared." in texts(document)
    assert "Verdicts compare" not in texts(document)


def test_without_predictions_no_verdict_is_claimed_and_the_reason_is_given(usual: Material) -> None:
    document = answer_of(usual)
    assert "**No difference can be tested.**" in texts(document)
    use = next(table for table in tables(find(document, "The answer")) if "use" in table.columns)
    assert row_of(use, task="breast_lesion")["because"] == "CG, AU: no predictions"
    assert row_of(use, task="fetal_femur")["because"] == "CG: same model as TS; AU: no predictions"


def test_missing_runs_are_the_reason_where_nothing_can_be_compared(tmp_path: Path) -> None:
    sweep = FakeSweep(tmp_path / "study").finish(simple, skip=lambda run: run.block == "unified")
    use = next(t for t in tables(find(answer_of(material_of(sweep)), "The answer")) if "use" in t.columns)
    assert row_of(use, task="fetal_femur")["because"] == "CG: same model as TS; AU: runs are missing"


def test_if_all_runs_failed_the_report_says_so(tmp_path: Path) -> None:
    sweep = FakeSweep(tmp_path / "study")
    sweep.write_plan()
    for run, _ in sweep.runs():
        sweep.write_failure(run, "RunError: the training loss is nan at step 2 of 63")
    document = document_of(sweep)
    assert "**All 15 planned runs failed, so there is no answer.** The section on failed runs gives" in texts(document)
    assert "15 distinct runs: 15 failed." in texts(document)
    assert "Failed runs" in titles(document)


def test_without_finished_runs_there_is_no_answer(tmp_path: Path) -> None:
    sweep = FakeSweep(tmp_path / "study")
    sweep.write_plan()
    document = document_of(sweep)
    assert "**0 of 15 planned runs are finished, so there is no answer yet.**" in texts(document)
    assert not {"The answer", "Scores and differences", "Task by task", "Validity of runs"} & set(titles(document))


def test_a_task_with_most_of_the_variance_of_delta_m_is_named(tmp_path: Path) -> None:
    def uneven(task: str, block: tuple[str, ...], scale: float | int, seed: int) -> dict[str, float]:
        noise = (0.3 if task == "breast_lesion" else 0.01) * [-1, 0, 1][seed] * (len(block) > 1)
        return level(CATALOGUE[task], 0.5 + noise)

    sweep = FakeSweep(tmp_path / "uneven", groupings=("task_specific", "unified")).finish(uneven)
    words = texts(answer_of(material_of(sweep)))
    assert "sum of the tasks' variances of the relative change: breast_lesion 99 % (AU). The width" in words
