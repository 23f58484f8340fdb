"""The page docs/seeds_needed.md, from the measurements of benchmarks/evidence/seeds_needed.py."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np

from benchmarks.evidence.component_worlds import UNIFIED_SHARED
from benchmarks.evidence.families import MARGIN
from benchmarks.evidence.marks import RULE, Mark, Share, format_shares, mark_correct
from benchmarks.evidence.seeds_needed import (
    PROMISES,
    SUBJECT_SD,
    Outcome,
    Planned,
    Promise,
    Setting,
    list_further_worlds,
)
from benchmarks.generated import table, wrap
from usaggr.statistics.power import MOST_SEEDS, POWER

LEAST = POWER - 0.05
"""Smallest share of cells that must have the promised verdict at the named number of seeds."""
FEWEST = 50
"""Number of studies with a named number below which no share is shown."""
Results = Mapping[Setting, Planned]


def report(planned: Results, repetitions: int) -> tuple[str, list[str]]:
    """Return the page and the shares that miss their bound.

    Args:
        planned: Results by world and sizes.
        repetitions: Number of studies of each.
    """
    outcomes = [
        (setting, promise, outcome.extended)
        for setting, result in planned.items()
        for promise, outcome in list_outcomes(setting, result)
        if outcome.extended.total >= FEWEST
    ]
    misses = [
        f"{_describe(setting)}, {_describe_promise(promise)}: {format_shares([(share, mark)])}"
        for setting, promise, share in outcomes
        if (mark := mark_extended(share))
    ]
    lowest = min((share.estimate for _, _, share in outcomes), default=float("nan"))
    result = f"**Result:** {len(misses)} of {len(outcomes)} shares miss; the lowest is {100 * lowest:.1f} %."
    opening = _OPENING.format(
        repetitions=repetitions,
        power=100 * POWER,
        least=100 * LEAST,
        margin=_format_number(MARGIN),
        subject_sd=_format_number(SUBJECT_SD),
        shared=_format_number(UNIFIED_SHARED),
    )
    sections = [*map(wrap, (opening, RULE, result, _LEGEND.format(fewest=FEWEST)))]
    for promise in PROMISES[:3]:
        title = f"## True difference {_format_truth(promise.truth)}: {promise.verdict.replace('_', ' ')}"
        sections += [title, _tabulate(planned, partial(_show_extended, promise.truth))]
    sections += [wrap(_NUMBERS.format(most=MOST_SEEDS)), _tabulate(planned, _show_numbers)]
    sections += [wrap(_WITHOUT), _tabulate(planned, _show_unnamed), wrap(_FRESH), _tabulate(planned, _show_fresh)]
    return "\n\n".join(sections) + "\n", misses


def list_outcomes(setting: Setting, result: Planned) -> list[tuple[Promise, Outcome]]:
    """Return the outcomes with their promises; a single task has no other tasks that could differ."""
    number = 3 if setting.tasks == 1 else len(PROMISES)
    return list(zip(PROMISES, result.outcomes, strict=True))[:number]


def mark_extended(share: Share) -> Mark:
    """Return the mark of the share of cells with the promised verdict; none for a few cells."""
    return mark_correct(share, LEAST) if share.total >= FEWEST else ""


def _tabulate(planned: Results, show: Callable[[Setting, Planned], str]) -> str:
    """Return a table of the regular worlds, and one of the further ones.

    Args:
        planned: Results by world and sizes.
        show: Text of a setting's result.
    """
    further = {world.name for world in list_further_worlds()}
    tables = []
    for is_further in (False, True):
        settings = [setting for setting in planned if (setting.world.name in further) == is_further]
        sizes = sorted({setting.tasks for setting in settings})
        cells = {(s.world.name, s.seeds, s.tasks): show(s, planned[s]) for s in settings}
        lines = [
            [name, str(seeds), *(cells.get((name, seeds, tasks), "–") for tasks in sizes)]
            for name, seeds in dict.fromkeys((s.world.name, s.seeds) for s in settings)
        ]
        if lines:
            columns = [f"{tasks} task{'s' if tasks > 1 else ''}" for tasks in sizes]
            tables.append(table(["world", "seeds", *columns], lines))
    return "\n\n".join(tables)


def _show_extended(truth: float, setting: Setting, result: Planned) -> str:
    """Return the shares for a true difference: if the other tasks decide nothing, and if all tasks are alike.

    Args:
        truth: The true difference.
        setting: World and sizes.
        result: Their results.
    """
    shares = [outcome.extended for promise, outcome in list_outcomes(setting, result) if promise.truth == truth]
    return _format([(share, mark_extended(share)) for share in shares])


def _show_fresh(_: Setting, result: Planned) -> str:
    return _format([(outcome.fresh, "") for outcome in result.outcomes[:3]])


def _show_unnamed(_: Setting, result: Planned) -> str:
    return _format([(outcome.unnamed, "") for outcome in result.outcomes[:3]])


def _format(marked: Sequence[tuple[Share, Mark]]) -> str:
    """Return shares with their marks and the largest error; a dash for a share of few studies."""
    enough = [(share, mark) for share, mark in marked if share.total >= FEWEST]
    if not enough:
        return "–"
    if len(enough) == len(marked):
        return format_shares(marked)
    numbers = [format_shares([pair]).partition(" ±")[0] if pair in enough else "–" for pair in marked]
    return f"{', '.join(numbers)} ± {100 * max(share.standard_error for share, _ in enough):.1f}"


def _show_numbers(_: Setting, result: Planned) -> str:
    """Return the median of the named numbers with its range, the true number, and the median of their ratio."""
    if result.numbers.size < FEWEST:
        return "–"
    low, middle, high = np.percentile(result.numbers, [10, 50, 90])
    if np.isnan(result.true_numbers).all():
        return f"{middle:.0f} ({low:.0f} to {high:.0f}) for none"
    true = np.nanmedian(result.true_numbers)
    ratio = np.nanmedian(result.numbers / result.true_numbers)
    return f"{middle:.0f} ({low:.0f} to {high:.0f}) for {true:.0f}: {ratio:.2f}"


def _describe(setting: Setting) -> str:
    return f"{setting.world.name}, {setting.tasks} tasks, from {setting.seeds} seeds"


def _describe_promise(promise: Promise) -> str:
    return f"{_format_truth(promise.truth)} as {promise.verdict}, other tasks {_format_truth(promise.other_truth)}"


def _format_truth(truth: float) -> str:
    sign = "−" if truth < 0 else "+"
    return f"{sign}{_format_number(abs(truth))}" if truth else "0"


def _format_number(value: float) -> str:
    """Return a number below 1 without the zero before the point."""
    return f"{value:g}".removeprefix("0")


_OPENING = """
# Seeds needed

For an undecided cell, a report names the number of seeds with which a true difference of 0 would be decided as no loss,
and one of the margin's size as a gain or a loss, each with a probability of {power:.0f} %. Are they? Each world is
simulated in {repetitions:,} studies. Where the first task's cell is undecided and a number is named, the study is
extended to that number: finished seeds and test subjects stay. Then the cell is judged again. The package's own
functions estimate, plan and judge. `make bench-seeds` rewrites this page. Worlds:
`benchmarks/evidence/seeds_needed.py`.

Unless a world says otherwise, the standard deviations are {subject_sd} between subjects and .05 for the residual, of
each of three arms at two scales, and the margin is {margin}. The judged grouping is the unified model, whose seeds act
on all tasks with a correlation of {shared}. Further worlds have a standard deviation of .015 between seeds and 100
subjects. *Seeds*: number of finished seeds.

**Required:** the promised verdict in at least {least:.0f} % of the cells with a named number.
"""
_LEGEND = """
The next three tables show the share of cells with the promised verdict at the named number of seeds, in percent, twice:
if the tests of the other tasks reject nothing, so that Holm's first step must decide; and if all tasks have the same
true difference; once with a single task. A dash: fewer than {fewest} studies name a number.
"""
_NUMBERS = """
## Named and true numbers

Where the true difference is 0: median of the named numbers (10th to 90th percentile) for the smallest number above the
finished seeds that truly suffices, by the known variances; then the median ratio of the two. *For none*: not even
{most} seeds suffice.
"""
_WITHOUT = """
## Cells without a number

Share of the undecided cells for which no number is named, because more test subjects are needed, in percent. True
difference: 0, the margin, and minus the margin.
"""
_FRESH = """
## Fresh studies

Share of cells with the promised verdict in other studies of the named number of seeds, with new seeds and new test
subjects, in percent. True difference: 0, the margin, and minus the margin. Studies that are extended keep what made
them undecided.
"""
