"""Pairs of observations: the score of a grouping and the reference's score of the same task, metric and seed."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from usaggr.analysis.observations import Observation


@dataclass(frozen=True)
class ReferencePair:
    """Observation of a grouping, with the reference's observation of the same seed; positive differences are better."""

    compared: Observation
    reference: Observation | None
    """None if the study does not plan the reference with this seed."""

    @property
    def is_same_run(self) -> bool:
        """True if block and reference are one run, so that there is nothing to compare."""
        return self.reference is not None and self.compared.fingerprint == self.reference.fingerprint

    @property
    def reference_value(self) -> float:
        """Score of the reference in the metric's units; NaN if it is missing."""
        return math.nan if self.reference is None else self.reference.value

    @property
    def delta(self) -> float:
        """Difference in the metric's units; NaN unless both sides have a value."""
        return self.compared.compute_improvement_on(self.reference_value)

    @property
    def delta_skill(self) -> float:
        """Difference in skill; NaN unless both sides have one."""
        return math.nan if self.reference is None else self.compared.skill - self.reference.skill

    @property
    def has_delta(self) -> bool:
        """True if both sides have a value."""
        return not math.isnan(self.delta)


def pair_with_reference(observations: Iterable[Observation], reference: str) -> tuple[ReferencePair, ...]:
    """Return the observations of the other groupings, each with the reference's observation of the same seed.

    Args:
        observations: The long table from `observe`.
        reference: Name of the reference grouping.
    """
    table = list(observations)  # it is read twice, and may be a generator
    references = {_pair_key(row): row for row in table if row.grouping == reference}
    return tuple(ReferencePair(row, references.get(_pair_key(row))) for row in table if row.grouping != reference)


def _pair_key(row: Observation) -> tuple[str, float | int, str, str, int]:
    return (row.variant, row.scale, row.task, row.metric, row.seed)
