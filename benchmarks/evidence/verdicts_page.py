"""The page docs/verdicts.md, from the counts of benchmarks/evidence/verdicts.py."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.evidence.marks import RULE, Share, format_share, mark_correct, mark_share
from benchmarks.generated import table
from usaggr.statistics.verdicts import VERDICTS

MOST_FALSE = 0.05
"""Largest permitted share of families with a false gain or loss."""
LEAST_POWER = 0.8
"""Smallest permitted share of planted differences that are found; the power for which they are planted."""


@dataclass(frozen=True)
class Planted:
    """Verdicts on a planted difference."""

    world: str
    delta: float
    """The difference, positive for a gain."""
    counts: Mapping[str, int]
    """Number of cells by verdict."""

    @property
    def correct(self) -> str:
        """The correct verdict."""
        return "gain" if self.delta > 0 else "loss"

    def count(self, verdict: str) -> Share:
        """Return the share of cells with a verdict."""
        return Share(self.counts[verdict], sum(self.counts.values()))


def report(
    sweeps: int, tasks: int, null: Mapping[str, Mapping[str, Share]], planted: Sequence[Planted]
) -> tuple[str, list[str]]:
    """Return the page and its cells with a mark.

    Args:
        sweeps: Number of sweeps without differences in each world.
        tasks: Number of tasks of a sweep.
        null: Share of families with a false gain or loss, by world and grouping.
        planted: Verdicts on the planted differences.
    """
    failures, lines = [], []
    for world, by_grouping in null.items():
        marks = {grouping: mark_share(s.count, s.total, MOST_FALSE) for grouping, s in by_grouping.items()}
        texts = {grouping: format_share(s, marks[grouping], " %") for grouping, s in by_grouping.items()}
        lines.append([world, *texts.values()])
        failures += [
            f"{world}, {grouping}, false gain or loss: {texts[grouping]}" for grouping in texts if marks[grouping]
        ]
    null_table = table(["world", "clinical grouping", "unified"], lines)
    lines = []
    for row in planted:
        cells = {}
        for verdict in VERDICTS:
            mark = mark_correct(row.count(verdict), LEAST_POWER) if verdict == row.correct else ""
            cells[verdict] = format_share(row.count(verdict), mark, " %")
            failures += [f"{row.world}, {row.delta:+.3f}, {verdict}: {cells[verdict]}"] if mark else []
        lines.append([row.world, f"{row.delta:+.3f}", *cells.values()])
    planted_table = table(["world", "planted", *VERDICTS], lines)
    sections = [_OPENING.format(sweeps=sweeps, tasks=tasks), _NULL, null_table, _PLANTED, planted_table]
    return "\n\n".join(section.strip() for section in sections) + "\n", failures


_OPENING = (
    """
# Verdicts on planted differences

How often does a report find a difference that does not exist, and how often does it find one that does? Each world is
simulated in {sweeps} sweeps without differences and half as many with planted ones. A sweep has {tasks} tasks of all
four types, three groupings and two scales; its scores vary randomly by seed, subject and run. The code that makes a
report's tables judges it. `make bench-verdicts` rewrites this page; the worlds are in `benchmarks/evidence/worlds.py`.
"""
    + RULE
)
_NULL = """
## No task differs

Share of families (the tasks of one grouping at one scale) with any gain or loss; required: at most 5 %. The two scales
of a sweep count as two repetitions.
"""
_PLANTED = """
## Two tasks differ

Under the unified model, one task gains and one loses the smallest difference that `usaggr plan` shows as detectable,
with a power of 80 % at Holm's first step. Share of cells by verdict; required: at least 80 % for the correct one.
"""
