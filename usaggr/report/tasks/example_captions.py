"""Titles, captions and descriptions of example pictures: content, reason for the choice, and rank among all samples."""

from collections.abc import Sequence
from typing import assert_never

from usaggr.document.display_names import scale_label
from usaggr.document.elements import escape_markdown
from usaggr.metrics import score_texts
from usaggr.report.tasks.example_choice import ChosenSample, TaskComparison
from usaggr.report.tasks.sample_scores import make_sample_score
from usaggr.tasks import TaskType


def write_title(comparison: TaskComparison, chosen: ChosenSample) -> str:
    """Return a title of a few words as plain text."""
    match chosen.kind:
        case "best":
            return f"Best prediction of {comparison.base.label}"
        case "worst":
            return f"Worst prediction of {comparison.base.label}"
    assert comparison.other is not None
    pair = f"of {comparison.other.label} compared with {comparison.base.label}"
    if chosen.difference == 0:
        return f"No difference on any sample {pair}"
    if chosen.kind == "gain":
        return f"Largest gain {pair}" if chosen.difference > 0 else f"Smallest loss {pair}"
    return f"Largest loss {pair}" if chosen.difference < 0 else f"Smallest gain {pair}"


def write_caption(comparison: TaskComparison, chosen: ChosenSample) -> str:
    """Return inline Markdown with the sample, its scores, the reason for its choice, and its rank among all samples."""
    if comparison.other is None:
        scores, seed_reason = _describe_single(comparison, chosen), "which is closest to the average"
    else:
        scores = _compare(comparison, chosen, comparison.other.label)
        seed_reason = "which is closest to the average among the seeds of the same sign"
    seed = f"The picture shows seed {chosen.seed}" + (f", {seed_reason}" if len(comparison.seeds) > 1 else "")
    return f"{escape_markdown(chosen.sample_id)}: {scores} {seed}, with {scale_label(comparison.scale)}."


def _describe_single(comparison: TaskComparison, chosen: ChosenSample) -> str:
    """Return a sentence on a sample of a single predictor: its score and its rank."""
    score = make_sample_score(comparison.task.type)
    extreme = "best" if chosen.kind == "best" else "worst"
    return (
        f"{score.format(chosen.base_score, score.label)} ({_describe_seeds(comparison.seeds)}), the {extreme} of "
        f"{chosen.n_samples} test samples (median {score_texts.format_score(chosen.median, score.name)}{score.unit})."
    )


def _compare(comparison: TaskComparison, chosen: ChosenSample, other_label: str) -> str:
    """Return sentences on a sample of two predictors: its scores, its difference and its rank.

    Args:
        comparison: The predictors.
        chosen: The sample.
        other_label: Label of the predictor that is compared with the base.
    """
    score = make_sample_score(comparison.task.type)
    base, other = escape_markdown(comparison.base.label), escape_markdown(other_label)
    change, median = (
        f"{score_texts.format_signed(value, score.name)}{score.unit}" for value in (chosen.difference, chosen.median)
    )
    extreme = "highest" if chosen.kind == "gain" else "lowest"
    # `rank` counts from the worst sample; the caption counts from the closer end. Equal scores have the lower rank.
    from_best = chosen.n_samples - chosen.rank + 1
    end, rank = ("worst", chosen.rank) if chosen.rank <= from_best else ("best", from_best)
    position = f"{_format_ordinal(rank)} {end}" if rank > 1 else end
    reason = (
        f" {other} is shown because it differs most from {base} on average." if len(comparison.predictors) > 2 else ""
    )
    return (
        f"{score.format(chosen.base_score, score.label)} with {base} and "
        f"{score.format(chosen.other_score, '').strip()} with {other} ({_describe_seeds(comparison.seeds)}). "
        f"The difference of {change} (positive is better) is the {extreme} of "
        f"{chosen.n_samples} test samples (median {median}). {other} is better on {chosen.n_better} and worse on "
        f"{chosen.n_worse} of them. {base} ranks this sample {position} of {chosen.n_samples}.{reason}"
    )


def write_description(comparison: TaskComparison, chosen: ChosenSample, notes: Sequence[tuple[str, str]]) -> str:
    """Return alternative text of the picture.

    Args:
        comparison: The predictors.
        chosen: The sample.
        notes: Label and score of each panel with a prediction.
    """
    marks = _list_marks(comparison.task.type)
    scores = "; ".join(f"{label} {note}" for label, note in notes)
    return f"Test sample {chosen.sample_id} of {comparison.task.id}: the image, the truth, and {marks} by {scores}"


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


def _format_ordinal(number: int) -> str:
    """Return a number with its ordinal ending.

    >>> [_ordinal(n) for n in (1, 2, 3, 4, 11, 22, 113)]
    ['1st', '2nd', '3rd', '4th', '11th', '22nd', '113th']
    """
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
