"""The page docs/coverage.md, from the measurements of benchmarks/evidence/coverage.py."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.evidence.marks import RULE, Mark, format_share, format_shares, make_share, mark_coverage
from benchmarks.evidence.scenarios import Scenario
from benchmarks.generated import prose, table

SEEDS, SUBJECTS = (2, 3, 5, 10), (30, 100, 400)
BOUNDS = {2: (0.93, 1.0), 3: (0.935, 0.975), 5: (0.935, 0.975), 10: (0.935, 0.975)}
"""Lowest and highest permitted coverage, by number of seeds."""
METHODS = ("this tool's", "Satterthwaite's df", "t over seeds", "t over subjects")
Measured = dict[tuple[str, int, int], "Covered"]
"""Coverage by name of the world, number of seeds and number of subjects."""


@dataclass(frozen=True)
class Covered:
    """Results of one cell of the benchmark over all repetitions."""

    coverage: tuple[float, ...]
    """Coverage of each method, this tool's first."""
    too_few: float = 0.0
    """Share of repetitions without a verdict."""


def mark(coverage: float, seeds: int, repetitions: int) -> Mark:
    """Return the mark of a coverage that is measured from a number of repetitions."""
    return mark_coverage(make_share(coverage, repetitions), *BOUNDS[seeds])


def report(worlds: Sequence[Scenario], measured: Measured, repetitions: int) -> tuple[str, list[str]]:
    """Return the page and the cells of the guarantee with a mark."""
    guaranteed = [world for world in worlds if world.guaranteed]
    cells = {
        f"{world.name}, {k} seeds, {n} subjects": (measured[world.name, k, n].coverage[0], k)
        for world in guaranteed
        for k in SEEDS
        for n in SUBJECTS
    }
    failures = [
        f"{name}: {format_share(make_share(coverage, repetitions), mark(coverage, k, repetitions), ' %')}"
        for name, (coverage, k) in cells.items()
        if mark(coverage, k, repetitions)
    ]
    outcome = prose(_count_marks(cells, repetitions))
    opening = _OPENING.format(repetitions=repetitions, outcome=outcome)
    sections = [
        opening, _guarantee(guaranteed, measured, repetitions), _METHODS, _methods(guaranteed, measured),
        _RARE, _rare(measured, repetitions),
    ]  # fmt: skip
    return "\n\n".join(section.strip() for section in sections) + "\n", failures


def _count_marks(cells: Mapping[str, tuple[float, int]], repetitions: int) -> str:
    """Return a sentence with the number of cells that have each mark.

    Args:
        cells: Coverage and number of seeds, by cell.
        repetitions: Number of repetitions of each cell.
    """
    marks = [mark(coverage, k, repetitions) for coverage, k in cells.values()]
    outside = sum(not BOUNDS[k][0] <= coverage <= BOUNDS[k][1] for coverage, k in cells.values())
    tolerated = outside - len([name for name in marks if name])
    counts = f"misses: {marks.count('misses')}, wide: {marks.count('wide')}"
    return f"{len(marks)} cells: {counts}, other estimates outside of the bounds: {tolerated}."


def _guarantee(worlds: Sequence[Scenario], measured: Measured, repetitions: int) -> str:
    lines = []
    for world in worlds:
        cells = [f"{world.name}: {world.what}" if world.what else world.name]
        for k in SEEDS:
            values = [measured[world.name, k, n].coverage[0] for n in SUBJECTS]
            cells.append(_format(values, repetitions, [k] * len(values)))
        lines.append(cells)
    too_few = {(world.name, n): measured[world.name, 3, n].too_few for world in worlds for n in SUBJECTS}
    (name, n), most = max(too_few.items(), key=lambda item: item[1])
    largest = max(share for cell, share in too_few.items() if cell != (name, n))
    text = _NO_VERDICT.format(share=100 * most, name=name, subjects=n, others=100 * largest)
    return f"{table(['world', *(f'{k} seeds' for k in SEEDS)], lines)}\n\n{prose(text)}"


def _methods(worlds: Sequence[Scenario], measured: Measured) -> str:
    lines = []
    for i, method in enumerate(METHODS):
        cells = []
        for k in SEEDS:
            values = [measured[world.name, k, n].coverage[i] for world in worlds for n in SUBJECTS]
            cells.append(f"{100 * min(values):.1f} to {100 * max(values):.1f}")
        lines.append([method, *cells])
    return table(["method", *(f"{k} seeds" for k in SEEDS)], lines)


def _rare(measured: Measured, repetitions: int) -> str:
    by_subjects = {n: [measured["rare failures", k, n].coverage[0] for k in SEEDS] for n in SUBJECTS}
    coverage = [f"{_format(values, repetitions)} % with {n}" for n, values in by_subjects.items()]
    too_few = ", ".join(f"{100 * measured['rare failures', 3, n].too_few:.0f}" for n in SUBJECTS)
    return prose(
        f"Coverage for {', '.join(map(str, SEEDS))} seeds: {'; '.join(coverage)} subjects. With 3 seeds, {too_few} % "
        "of these studies have no verdict."
    )


def _format(coverage: Sequence[float], repetitions: int, seeds: Sequence[int] = ()) -> str:
    """Return coverages with their marks and their largest error.

    Args:
        coverage: The coverages.
        repetitions: Number of repetitions of each.
        seeds: Numbers of seeds, which set the bounds; empty: no bounds are promised.
    """
    marks = [mark(value, k, repetitions) for value, k in zip(coverage, seeds, strict=True)] if seeds else []
    shares = [make_share(value, repetitions) for value in coverage]
    return format_shares(list(zip(shares, marks or [""] * len(shares), strict=True)))


_OPENING = (
    """
# Coverage of the intervals

How often does a nominal 95 % confidence interval contain the true difference? Measured in simulated studies (seeds x
subjects, {repetitions:,} repetitions per cell). `make bench-coverage` rewrites this page. Worlds:
`benchmarks/evidence/scenarios.py`; method: `usaggr/statistics/`.

**Required:** 93.5 to 97.5 % for 3, 5 and 10 seeds, at least 93 % for 2.
"""
    + RULE
    + """
**Result:** {outcome}

## The guarantee

Coverage in percent for 30, 100 and 400 subjects, from each cell's own variances. *Seeds : subjects*: their parts of the
variance of the mean. Reports moderate variances between seeds over tasks: [families.md](families.md).
"""
)
_NO_VERDICT = """
The tool gives no verdict if too few subjects differ; such studies are included. With 3 seeds these are {share:.0f} % of
the studies of the world "{name}" with {subjects} subjects, and at most {others:.0f} % of the others.
"""
_METHODS = """
## Other methods

Lowest and highest coverage over the same cells, in percent. The tool's critical value depends on the estimated share of
the seeds in the variance (Welch). Satterthwaite's degrees of freedom are usual for multi-reader multi-case studies
(Hillis 2007).
"""
_RARE = """
## Outside of the guarantee: rare failures

Three percent of the subjects lose .8 under one grouping. With few subjects, no interval based on a normal distribution
covers this. The tool reports `too few` if one to nine such subjects are in the sample; if none is, no method can detect
them.
"""
