"""Tests of the first lines: families of tests, the training fold, and tasks with collapsed seeds."""

from pathlib import Path
from typing import Any

import pytest

from tests.report.reading import TASKS, planted, simple, texts
from tests.report.sweeps import FakeSweep
from usaggr.analysis.collect import collect
from usaggr.analysis.recommendations import recommend_at_scale
from usaggr.document.elements import Document
from usaggr.report.answer.best_average import describe_best_average
from usaggr.report.answer.opening import write_answer_sentences, write_lead
from usaggr.report.contents import write_methods_and_limits
from usaggr.report.material import Material
from usaggr.report.tables import make_tables

PAIRS = {"pairs": {"first": TASKS[:2], "second": TASKS[2:]}}
FOUR_FAMILIES: dict[str, Any] = {
    "groupings": ("task_specific", "pairs", "unified"), "partitions": PAIRS, "scales": (0.5, 1.0)
}  # fmt: skip


def material_of(sweep: FakeSweep) -> Material:
    return Material(make_tables(collect([sweep.directory])))


def lead_of(material: Material) -> str:
    return texts(Document("", write_lead(material), ()))


def test_several_families_are_counted_with_the_chance_of_any_false_difference(tmp_path: Path) -> None:
    material = material_of(planted(tmp_path / "study", {}, **FOUR_FAMILIES))
    assert (
        "This report has 4 such families, each tested at 5 %: if nothing differed, the chance of a false difference "
        "anywhere would be up to 20 %. `usaggr report DIR report.family=study` corrects for all of them."
    ) in lead_of(material)
    section = write_methods_and_limits(material)
    assert section is not None
    assert "the 4 families of this study are not adjusted for each other" in texts(Document("", (), (section,)))


def test_one_family_needs_no_remark(tmp_path: Path) -> None:
    assert "such families" not in lead_of(material_of(planted(tmp_path / "study", {})))


def test_the_study_as_the_family_is_stated(tmp_path: Path) -> None:
    settings = {"report": {"family": "study"}}
    lead = lead_of(material_of(planted(tmp_path / "study", {}, settings=settings, **FOUR_FAMILIES)))
    assert "Among all tests of this study, the chance of any false gain is at most 2.5 %" in lead
    assert "such families" not in lead


@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
def test_answers_hold_for_this_training_fold(tmp_path: Path, seeds: tuple[int, ...]) -> None:
    material = material_of(planted(tmp_path / "study", {}, seeds=seeds))
    assert "All of this holds for this training fold" in lead_of(material)
    section = write_methods_and_limits(material)
    assert section is not None
    assert "(Nadeau and Bengio 2003; Bouthillier et al. 2021)" in texts(Document("", (), (section,)))


def test_a_loss_with_a_collapsed_seed_is_no_headline(tmp_path: Path) -> None:
    """All unified runs score the trivial predictor's scores, so that the unified cells are losses or not judged."""
    material = material_of(FakeSweep(tmp_path / "study", spread=0.02, subjects=40, frames=1).finish(simple))
    recommendations = recommend_at_scale(material.comparison, "base", 1.0)
    sentences = write_answer_sentences(material, recommendations, "base", 1.0)
    assert "worse in one model for all tasks" not in sentences
    assert "so that gains and no loss of others hold only for runs that do not collapse." in sentences


def test_the_best_average_is_over_tasks_without_collapsed_seeds(tmp_path: Path) -> None:
    def scorer(task: str, block: tuple[str, ...], scale: float | int, seed: int) -> dict[str, float]:
        is_collapsed = task == "fetal_head" and len(block) > 1 and seed == 1
        scores = simple(task, block[:1] if len(block) == 1 else block[:2], scale, seed)
        return dict.fromkeys(scores, 0.0) if is_collapsed else scores

    sound = planted(tmp_path / "sound", {"breast_lesion": 0.1}, tasks=("breast_lesion", "FUGC"))
    assert "leaves out" not in describe_best_average(material_of(sound), "base", 1.0)
    sweep = FakeSweep(
        tmp_path / "study", tasks=("breast_lesion", "fetal_head"), groupings=("task_specific", "unified"),
        subjects=40, frames=1, spread=0.02,
    ).finish(scorer)  # fmt: skip
    material = material_of(sweep)
    sentence = describe_best_average(material, "base", 1.0)
    (cell,) = [row for row in material.comparison.get_main_verdicts("base", 1.0) if row.task == "breast_lesion"]
    assert f"+{100 * cell.relative:.1f} %" in sentence
    assert sentence.endswith("This leaves out 1 task with collapsed runs.")
