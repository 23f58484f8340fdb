"""Titles, captions and descriptions of example pictures: content, reason for the choice, and rank among all samples."""

from collections.abc import Sequence
from typing import assert_never

from usaggr.document import numbers
from usaggr.document.display_names import scale_label
from usaggr.document.elements import literal
from usaggr.report.tasks.example_choice import Choice, Contest, sample_score
from usaggr.tasks import TaskType


def write_title(contest: Contest, choice: Choice) -> str:
    """Return a title of a few words as plain text."""
    match choice.kind:
        case "best":
            return f"Best prediction of {contest.base.label}"
        case "worst":
            return f"Worst prediction of {contest.base.label}"
    assert contest.other is not None
    pair = f"of {contest.other.label} compared with {contest.base.label}"
    if choice.difference == 0:
        return f"No difference on any sample {pair}"
    if choice.kind == "gain":
        return f"Largest gain {pair}" if choice.difference > 0 else f"Smallest loss {pair}"
    return f"Largest loss {pair}" if choice.difference < 0 else f"Smallest gain {pair}"


def write_caption(contest: Contest, choice: Choice) -> str:
    """Return inline Markdown with the sample, its scores, the reason for its choice, and its rank among all samples."""
    is_single = contest.other is None
    scores = (
        _describe_single(contest, choice) if contest.other is None else _compare(contest, choice, contest.other.label)
    )
    seed = f"The picture shows seed {choice.seed}"
    if len(contest.seeds) > 1:
        seed += ", which is closest to the average" + ("" if is_single else " among the seeds of the same sign")
    return f"{literal(choice.sample_id)}: {scores} {seed}, with {scale_label(contest.scale)}."


def _describe_single(contest: Contest, choice: Choice) -> str:
    """Return a sentence on a sample of a single side: its score and its rank."""
    score = sample_score(contest.task.type)
    extreme = "best" if choice.kind == "best" else "worst"
    return (
        f"{score.format(choice.base, score.label)} ({_describe_seeds(contest.seeds)}), the {extreme} of "
        f"{choice.samples} test samples (median {numbers.score(choice.median, score.name)}{score.unit})."
    )


def _compare(contest: Contest, choice: Choice, other_label: str) -> str:
    """Return sentences on a sample of two sides: its scores, its difference and its rank.

    Args:
        contest: The sides.
        choice: The sample.
        other_label: Label of the side that is compared with the base.
    """
    score = sample_score(contest.task.type)
    base, other = literal(contest.base.label), literal(other_label)
    change, median = (
        f"{numbers.signed(value, score.name)}{score.unit}" for value in (choice.difference, choice.median)
    )
    extreme = "highest" if choice.kind == "gain" else "lowest"
    # `rank` counts from the worst sample; the caption counts from the closer end. Equal scores have the lower rank.
    from_best = choice.samples - choice.rank + 1
    end, rank = ("worst", choice.rank) if choice.rank <= from_best else ("best", from_best)
    position = f"{_ordinal(rank)} {end}" if rank > 1 else end
    reason = f" {other} is shown because it differs most from {base} on average." if len(contest.sides) > 2 else ""
    return (
        f"{score.format(choice.base, score.label)} with {base} and "
        f"{score.format(choice.other, '').strip()} with {other} ({_describe_seeds(contest.seeds)}). "
        f"The difference of {change} (positive is better) is the {extreme} of "
        f"{choice.samples} test samples (median {median}). {other} is better on {choice.better} and worse on "
        f"{choice.worse} of them. {base} ranks this sample {position} of {choice.samples}.{reason}"
    )


def write_description(contest: Contest, choice: Choice, notes: Sequence[tuple[str, str]]) -> str:
    """Return alternative text of the picture.

    Args:
        contest: The groupings that are compared.
        choice: The sample.
        notes: Label and score of each panel with a prediction.
    """
    marks = _list_marks(contest.task.type)
    scores = "; ".join(f"{label} {note}" for label, note in notes)
    return f"Test sample {choice.sample_id} of {contest.task.id}: the image, the truth, and {marks} by {scores}"


def _list_marks(task_type: TaskType) -> str:
    """Return the names of the marks in a picture of a sample."""
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


def _describe_seeds(seeds: Sequence[int]) -> str:
    """Return the seeds that a score is averaged over, as text."""
    if len(seeds) == 1:
        return f"seed {seeds[0]}"
    return f"mean over seeds {', '.join(map(str, seeds))}"


def _ordinal(number: int) -> str:
    """Return a number with its ordinal ending.

    >>> [_ordinal(n) for n in (1, 2, 3, 4, 11, 22, 113)]
    ['1st', '2nd', '3rd', '4th', '11th', '22nd', '113th']
    """
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
