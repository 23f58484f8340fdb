"""Whether variants are of the same size: active parameters of their finished runs beside those of the first variant."""

from collections import defaultdict
from dataclasses import dataclass

from usaggr.analysis.collect import Collection

NEAR = 0.10
"""Of as many active parameters: the same within this part."""


@dataclass(frozen=True)
class Capacity:
    """Of one variant."""

    variant: str
    runs: int
    """That are planned; none where all its runs are those of another variant."""
    active: int | None
    """Parameters that take part in the prediction for one task, in its largest finished run that tells; None: not
    known."""
    ratio: float | None
    """Active parameters over the first variant's, on the same block of tasks: the one farthest from 1."""

    @property
    def matched(self) -> bool | None:
        """Whether all its models are of as many active parameters as the first variant's; None: not known."""
        return None if self.ratio is None else abs(self.ratio - 1) <= NEAR + 1e-9


def capacities(collection: Collection) -> dict[str, Capacity]:
    """Of each variant, in the study's order; results of older versions do not tell."""
    variants = list(collection.study.variants)
    counts: dict[str, dict[tuple[str, ...], int]] = defaultdict(dict)
    for run in collection.runs:
        active = None if run.result is None else run.result.cost.active_parameters
        if active:
            counts[run.row.variant][run.row.tasks] = active
    first = counts[variants[0]] if variants else {}
    found = {}
    for name in variants:
        own = counts[name]
        ratios = [own[tasks] / first[tasks] for tasks in own if tasks in first]
        found[name] = Capacity(
            name,
            sum(run.row.variant == name for run in collection.runs),
            max(own.values(), default=None),
            max(ratios, key=lambda ratio: abs(ratio - 1), default=None),
        )
    return found
