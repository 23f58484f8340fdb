"""Whether what a variant makes of sharing may be a matter of its size: sentences for the chapter on variants.

A variant that loses more by sharing than the first one, with fewer active parameters, proves nothing but that size
may matter; one with as many proves that size is not all.
"""

from collections.abc import Callable, Mapping, Sequence
from math import isnan

from usaggr.analysis.capacity import NEAR, Capacity
from usaggr.document import numbers as text
from usaggr.document.display_names import listed
from usaggr.document.elements import literal
from usaggr.report.variants.tables import VariantRow


def say_sizes(capacities: Mapping[str, Capacity]) -> str:
    """Which variants have as many active parameters as the first one, and which do not."""
    against, *_ = (literal(name) for name in capacities)
    of = {literal(size.variant): size for size in list(capacities.values())[1:] if size.runs}
    same = [name for name, size in of.items() if size.matched]
    other = [f"{name} ({size.ratio:.2f} times)" for name, size in of.items() if size.matched is False]
    unknown = [name for name, size in of.items() if size.matched is None]
    said = []
    if same:
        said.append(f"Of as many active parameters as {against}, within {text.share(NEAR)}: {listed(same)}.")
    if other:
        said.append(f"Of another number: {listed(other)}.")
    if unknown:
        said.append(f"Not known, since results hold no counts to compare: {listed(unknown)}.")
    return " ".join(said)


def read_capacity(
    rows: Sequence[VariantRow], capacities: Mapping[str, Capacity], is_certain: Callable[[VariantRow], bool]
) -> str:  # fmt: skip
    """What a grouping's rows say on size; empty where there is nothing to say.

    Args:
        rows: interactions of one grouping and scale that have a value, a row a variant.
        capacities: by variant; the first is what the others are compared with.
        is_certain: whether a row's difference is told from chance.
    """
    against = literal(next(iter(capacities)))
    tested = [row for row in rows if not isnan(row.p_adjusted)]
    if not tested:
        return ""
    certain = [row for row in tested if is_certain(row)]
    # Models that learnt nothing prove nothing of their size.
    sound = [row for row in tested if not row.invalid]
    worse = [row for row in sound if is_certain(row) and row.delta_skill < 0]
    better = [row for row in sound if is_certain(row) and row.delta_skill > 0]
    same = [row for row in sound if capacities[row.variant].matched]
    if not certain:
        room = max(max(abs(row.low), abs(row.high)) for row in tested)
        return (
            "No variant certainly changes what sharing does, which is no proof that none does: the intervals leave "
            f"room for changes in skill of up to {text.score(room, 'skill')}."
        )
    said = []
    if worse:
        said.append(_of_worse(worse, same, capacities, against))
    of_size = [row for row in better if row in same]
    if of_size:
        said.append(f"With as many active parameters as {against}, sharing does better under {_names(of_size)}.")
    return " ".join(said)


def _of_worse(
    worse: Sequence[VariantRow], same: Sequence[VariantRow], capacities: Mapping[str, Capacity], against: str
) -> str:  # fmt: skip
    """What it means that sharing does worse under some variants."""
    large = [row for row in worse if (capacities[row.variant].ratio or 0.0) >= 1 - NEAR - 1e-9]
    if large:
        has = "has" if len(large) == 1 else "have"
        said = f"Size alone does not explain it: {_names(large)} {has} as many active parameters as {against}, or more."
        apart = [row for row in same if row not in worse]
        if apart:
            said += f" Under {_names(apart)}, of that size too, sharing does not do certainly worse."
        return said
    if same:
        return (
            f"This may be a matter of size: under {_names(same)}, of as many active parameters as {against}, sharing "
            "does not do certainly worse."
        )
    if all(capacities[row.variant].ratio is None for row in worse):
        return "Whether this is a matter of size is not known: results hold no counts of active parameters to compare."
    return f"Whether this is a matter of size cannot be told: no variant compared is of {against}'s size."


def _names(rows: Sequence[VariantRow]) -> str:
    return listed([literal(row.variant) for row in rows])
