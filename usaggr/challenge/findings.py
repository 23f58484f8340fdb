"""Kinds of errors in predictions, and one entry for each error. Nothing is corrected without being listed."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

MEANINGS = {
    "missing": "no prediction",
    "unusable": "a prediction that cannot be scored",
    "unnamed": "a record without the names of its task and image; it counts for no sample",
    "extra": "a prediction of a task or image that is not in the index",
    "twice": "more than one prediction of an image and task; the last one counts",
    "size": "a mask of another size than its image; it is resized by nearest neighbor",
    "values": "a mask with values that are not classes of the task; these pixels count as background",
    "probabilities": "probabilities that are not in [0, 1] or do not sum to 1",
    "class": "a predicted class that is not the most probable one",
    "swapped": "a box with exchanged edges; its IoU is 0",
    "outside": "a box or point outside of the image",
    "disagree": "coordinates in pixels and as fractions that differ; those in pixels count",
}
"""Meaning of each kind. A sample's prediction is scored as submitted, unless it is of a kind in NOT_SCORED."""

NOT_SCORED = ("missing", "unusable")
"""Kinds of errors that leave a sample without a score; each such sample has exactly one of them."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One error in one prediction."""

    kind: str
    """Key of `MEANINGS`."""
    task_id: str
    image_path: str
    """Path as written in the index or, for an extra or unnamed prediction, in the submission."""
    file: str
    """File of the prediction, relative to the folder of predictions."""
    message: str
    """The error as found."""

    def __str__(self) -> str:
        return f"{self.file}: {self.task_id}, {self.image_path}: {self.message}"


def count_by_kind(findings: Iterable[Finding]) -> dict[str, int]:
    """Return the number of errors of each kind that occurs, in the order of `MEANINGS`."""
    numbers = Counter(finding.kind for finding in findings)
    return {kind: numbers[kind] for kind in MEANINGS if numbers[kind]}
