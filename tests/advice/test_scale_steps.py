"""Tests of the numbers of training samples at which advice changes."""

from dataclasses import replace

import pytest

from tests.advice.factories import SEGMENTATIONS, cell, new
from usaggr.advice import sentences
from usaggr.advice.evidence import EvidenceCell
from usaggr.advice.scale_steps import Step, find_steps
from usaggr.tasks import TaskType


def cells_by_size(by_size: dict[int, float], scales: int = 3) -> list[EvidenceCell]:
    return [
        replace(cell(task, value, n_train=n), scales=scales) for task in SEGMENTATIONS for n, value in by_size.items()
    ]


def test_verdicts_that_change_between_scales_are_reported_with_the_size() -> None:
    steps = find_steps(new(), "unified", cells_by_size({40: 0.08, 160: 0.0, 640: -0.08}))
    assert steps == (Step(40, "gain"), Step(160, "no_loss"), Step(640, "loss"))


def test_a_size_without_usable_cells_is_skipped() -> None:
    cells = cells_by_size({40: 0.08, 640: -0.08}) + [replace(c, unusable="one seed") for c in cells_by_size({160: 0.0})]
    assert find_steps(new(), "unified", cells) == (Step(40, "gain"), Step(640, "loss"))


def test_there_are_no_steps_if_the_verdict_does_not_change() -> None:
    assert find_steps(new(), "unified", cells_by_size({40: 0.08, 160: 0.09, 640: 0.07})) == ()


def test_sweeps_of_one_scale_show_no_change() -> None:
    """Differences between tasks of different sizes may have other causes than size."""
    assert find_steps(new(), "unified", cells_by_size({40: 0.08, 640: -0.08}, scales=1)) == ()


def test_a_step_to_no_loss_has_the_rate_of_failures_that_it_does_not_exclude() -> None:
    cells = [replace(c, rarer_than=24) for c in cells_by_size({40: 0.08, 160: 0.0})]
    assert find_steps(new(), "unified", cells) == (Step(40, "gain"), Step(160, "no_loss", 24))


@pytest.mark.parametrize(
    ("task_type", "note"),
    [("segmentation", "apart from failures rarer than 1 in 24"),
     ("classification", "apart from failures rarer than 1 in 24 in the rarer class")],
)  # fmt: skip
def test_a_step_to_no_loss_says_among_which_subjects_failures_are_not_excluded(task_type: TaskType, note: str) -> None:
    step = sentences._describe_step(Step(160, "no_loss", 24), task_type)
    assert step == f"no loss ({note}) from about 160 training samples"
