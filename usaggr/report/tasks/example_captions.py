"""What is said of an example: what there is to see, how it was chosen, and how typical it is."""

from collections.abc import Sequence
from typing import assert_never

from usaggr.document import numbers
from usaggr.document.display_names import scale_label
from usaggr.document.elements import literal
from usaggr.report.tasks.example_choice import Choice, Contest, sample_score
from usaggr.tasks import TaskType


def title_of(contest: Contest, choice: Choice) -> str:
    """Plain text of a few words."""
    match choice.kind:
        case "best":
            return f"Best prediction of {contest.base.label}"
        case "worst":
            return f"Worst prediction of {contest.base.label}"
    assert contest.other is not None
    pair = f"of {contest.other.label} against {contest.base.label}"
    if choice.difference == 0:
        return f"No sample differs more: no difference {pair}"
    if choice.kind == "gain":
        return f"Largest gain {pair}" if choice.difference > 0 else f"Smallest loss {pair}"
    return f"Largest loss {pair}" if choice.difference < 0 else f"Smallest gain {pair}"


def caption_of(contest: Contest, choice: Choice) -> str:
    """Inline Markdown: the sample, its scores, the rule by which it was chosen, and its place among all samples."""
    said = _lone(contest, choice) if contest.other is None else _compared(contest, choice, contest.other.label)
    drawn = f"Drawn is seed {choice.seed}"
    if len(contest.seeds) > 1:
        drawn += ", which comes nearest to that mean" + (" among those of its sign" if contest.other else "")
    return f"{literal(choice.sample_id)}: {said} {drawn}, with {scale_label(contest.scale)}."


def _lone(contest: Contest, choice: Choice) -> str:
    score = sample_score(contest.task.type)
    extreme = "best" if choice.kind == "best" else "worst"
    return (
        f"{score.words(choice.base, score.label)} ({_seeds(contest.seeds)}), the {extreme} of {choice.samples} test "
        f"samples, whose median is {numbers.score(choice.median, score.name)}{score.unit}."
    )


def _compared(contest: Contest, choice: Choice, other_label: str) -> str:
    score = sample_score(contest.task.type)
    base, other = literal(contest.base.label), literal(other_label)
    change, median = (
        f"{numbers.signed(value, score.name)}{score.unit}" for value in (choice.difference, choice.median)
    )
    extreme = "highest" if choice.kind == "gain" else "lowest"
    rank = f"{_ordinal(choice.rank)} " if choice.rank > 1 else ""
    why = f" {other} is set against {base} here because their means differ most." if len(contest.sides) > 2 else ""
    return (
        f"{score.words(choice.base, score.label)} with {base} and {score.words(choice.other, '').strip()} with {other} "
        f"({_seeds(contest.seeds)}); the difference of {change} (positive is better) is the {extreme} of "
        f"{choice.samples} test samples, whose median is {median}. {other} is better on {choice.better} and worse on "
        f"{choice.worse} of them; for {base} this one is the {rank}worst.{why}"
    )


def description_of(contest: Contest, choice: Choice, notes: Sequence[tuple[str, str]]) -> str:
    """Plain text for those who cannot see the picture; `notes` are label and score of each panel with a prediction."""
    what = _drawn(contest.task.type)
    scores = "; ".join(f"{label} {note}" for label, note in notes)
    return f"Test sample {choice.sample_id} of {contest.task.id}: the image, the truth, and {what} by {scores}"


def _drawn(task_type: TaskType) -> str:
    """Return what a picture of a sample shows beside the image."""
    match task_type:
        case "segmentation":
            return "the outlines of truth and prediction"
        case "detection":
            return "the true and the predicted box"
        case "regression":
            return "the true and the predicted landmarks"
        case "classification":
            return "the probability of each class"
        case _:
            assert_never(task_type)


def _seeds(seeds: Sequence[int]) -> str:
    if len(seeds) == 1:
        return f"seed {seeds[0]}"
    return f"mean over seeds {', '.join(map(str, seeds))}"


def _ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th, 11th, 21st.

    >>> [_ordinal(n) for n in (1, 2, 3, 4, 11, 22, 113)]
    ['1st', '2nd', '3rd', '4th', '11th', '22nd', '113th']
    """
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
