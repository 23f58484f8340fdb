"""Sentences on whether the size of a variant can explain a different effect of sharing.

If sharing costs more under a variant with fewer active parameters, size may be the reason. If it also costs more under
a variant with as many active parameters as the first one, size alone is not the reason.
"""

from collections.abc import Callable, Mapping, Sequence
from math import isnan

from usaggr.analysis.capacity import SIZE_TOLERANCE, Capacity
from usaggr.document import numbers as text
from usaggr.document.display_names import join_names
from usaggr.document.elements import escape_markdown
from usaggr.metrics import score_texts
from usaggr.report.variants.tables import VariantRow


def describe_sizes(capacities: Mapping[str, Capacity]) -> str:
    """Return sentences on the active parameters of each variant, relative to those of the first one."""
    first, *_ = (escape_markdown(name) for name in capacities)
    # A variant without runs equals an earlier one, whose size is described already.
    sizes = {escape_markdown(size.variant): size for size in list(capacities.values())[1:] if size.runs}
    same = [name for name, size in sizes.items() if size.is_matched]
    different = [f"{name} ({size.ratio:.2f} times)" for name, size in sizes.items() if size.is_matched is False]
    unknown = [name for name, size in sizes.items() if size.is_matched is None]
    sentences = []
    if same:
        sentences.append(
            f"Variants with as many active parameters as {first}, within {text.format_share(SIZE_TOLERANCE)}: "
            f"{join_names(same)}."
        )
    if different:
        sentences.append(f"Variants with another number: {join_names(different)}.")
    if unknown:
        sentences.append(f"Not available, because the results contain no counts of parameters: {join_names(unknown)}.")
    return " ".join(sentences)


def interpret_sizes(
    effects: Sequence[VariantRow], capacities: Mapping[str, Capacity], is_detectable: Callable[[VariantRow], bool]
) -> str:  # fmt: skip
    """Return the conclusion on size from a grouping's interactions; empty if none of them is tested.

    Args:
        effects: Interactions of one grouping and scale that have a value, one per variant.
        capacities: Sizes by variant; the first is the one that others are compared with.
        is_detectable: Returns true if an interaction differs from zero.
    """
    first = escape_markdown(next(iter(capacities)))
    tested = [row for row in effects if not isnan(row.p_adjusted)]
    if not tested:
        return ""
    # Models that learned nothing allow no conclusion on their size.
    valid = [row for row in tested if not row.invalid]
    worse = [row for row in valid if is_detectable(row) and row.delta_skill < 0]
    better = [row for row in valid if is_detectable(row) and row.delta_skill > 0]
    same_size = [row for row in valid if capacities[row.variant].is_matched]
    if not any(is_detectable(row) for row in tested):
        largest = max(max(abs(row.low), abs(row.high)) for row in tested)
        return (
            "No variant detectably changes the effect of sharing, but the intervals allow changes in skill of up to "
            f"{score_texts.format_score(largest, 'skill')}."
        )
    sentences = []
    if worse:
        sentences.append(_interpret_worse(worse, same_size, capacities, first))
    if better_of_same_size := [row for row in better if row in same_size]:
        sentences.append(
            f"With as many active parameters as {first}, sharing does better under "
            f"{_join_variant_names(better_of_same_size)}."
        )
    return " ".join(sentences)


def _interpret_worse(
    worse: Sequence[VariantRow], same_size: Sequence[VariantRow], capacities: Mapping[str, Capacity], first: str
) -> str:  # fmt: skip
    """Return the conclusion from variants under which sharing does worse.

    Args:
        worse: Interactions of these variants.
        same_size: Interactions of all variants of the first one's size.
        capacities: Sizes by variant.
        first: Name of the first variant.
    """
    # The tiny slack keeps a ratio of exactly 1 - SIZE_TOLERANCE in, despite rounding.
    large = [row for row in worse if (capacities[row.variant].ratio or 0.0) >= 1 - SIZE_TOLERANCE - 1e-9]
    if large:
        has = "has" if len(large) == 1 else "have"
        sentence = (
            f"Size alone does not explain this: {_join_variant_names(large)} {has} at least as many active parameters "
            f"as {first}."
        )
        unaffected = [row for row in same_size if row not in worse]
        if unaffected:
            sentence += (
                f" Under {_join_variant_names(unaffected)}, also of that size, sharing does not do detectably worse."
            )
        return sentence
    if same_size:
        return (
            f"Size may explain this: under {_join_variant_names(same_size)}, with as many active parameters as "
            f"{first}, sharing does not do detectably worse."
        )
    if all(capacities[row.variant].ratio is None for row in worse):
        return "Whether size explains this is unknown: the results contain no counts of active parameters."
    return f"Whether size explains this cannot be determined: no compared variant has the size of {first}."


def _join_variant_names(effects: Sequence[VariantRow]) -> str:
    return join_names([escape_markdown(row.variant) for row in effects])
