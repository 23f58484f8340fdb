"""From how many training samples on the advice changes."""

from dataclasses import replace

from tests.advice.factories import SEGMENTATIONS, cell, new
from usaggr.advice.evidence import EvidenceCell
from usaggr.advice.scale_steps import Step, steps


def ladder(by_size: dict[int, float], scales: int = 3) -> list[EvidenceCell]:
    return [
        replace(cell(task, value, n_train=n), scales=scales) for task in SEGMENTATIONS for n, value in by_size.items()
    ]


def test_verdicts_that_flip_between_scales_are_told_with_the_size() -> None:
    found = steps(new(), "unified", ladder({40: 0.08, 160: 0.0, 640: -0.08}))
    assert found == (Step(40, "gain"), Step(160, "no_loss"), Step(640, "loss"))


def test_an_unknown_size_in_between_is_passed_over() -> None:
    cells = ladder({40: 0.08, 640: -0.08}) + [replace(c, unusable="one seed") for c in ladder({160: 0.0})]
    assert steps(new(), "unified", cells) == (Step(40, "gain"), Step(640, "loss"))


def test_nothing_is_said_where_nothing_flips() -> None:
    assert steps(new(), "unified", ladder({40: 0.08, 160: 0.09, 640: 0.07})) == ()


def test_sweeps_of_one_scale_show_no_change() -> None:
    """Tasks of different sizes differ in more than their size."""
    assert steps(new(), "unified", ladder({40: 0.08, 640: -0.08}, scales=1)) == ()
