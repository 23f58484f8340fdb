"""Sizes of variants: active parameters of their finished runs relative to the first variant."""

from collections import defaultdict
from dataclasses import dataclass

from usaggr.analysis.collect import Collection

SIZE_TOLERANCE = 0.10
"""Largest relative difference in active parameters at which two models count as equally large."""


@dataclass(frozen=True)
class Capacity:
    """Size of one variant."""

    variant: str
    runs: int
    """Number of planned runs; 0 if all its runs are shared with another variant."""
    active: int | None
    """Parameters used to predict one task, in the largest finished run that reports them; None if none does."""
    ratio: float | None
    """Active parameters divided by the first variant's on the same block; of all blocks, the ratio farthest from 1."""

    @property
    def is_matched(self) -> bool | None:
        """True if all models are as large as the first variant's within SIZE_TOLERANCE; None if sizes are missing."""
        # A ratio of exactly 0.9 or 1.1 counts as equal in spite of rounding.
        return None if self.ratio is None else abs(self.ratio - 1) <= SIZE_TOLERANCE + 1e-9


def measure_capacities(collection: Collection) -> dict[str, Capacity]:
    """Return the size of each variant, in the study's order.

    Results of older versions do not report active parameters and are left out.
    """
    variants = list(collection.study.variants)
    # Active parameters by variant and block; runs of one block differ only in scale and seed, not in size.
    counts: dict[str, dict[tuple[str, ...], int]] = defaultdict(dict)
    for run in collection.runs:
        active = None if run.result is None else run.result.cost.active_parameters
        if active:
            counts[run.row.variant][run.row.tasks] = active
    first = counts[variants[0]] if variants else {}
    sizes = {}
    for name in variants:
        by_block = counts[name]
        ratios = [by_block[block] / first[block] for block in by_block if block in first]
        sizes[name] = Capacity(
            name,
            sum(run.row.variant == name for run in collection.runs),
            max(by_block.values(), default=None),
            max(ratios, key=lambda ratio: abs(ratio - 1), default=None),
        )
    return sizes
