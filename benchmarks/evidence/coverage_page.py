"""The page docs/coverage.md, from what benchmarks/evidence/coverage.py measured."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from benchmarks.evidence.scenarios import Scenario

SEEDS, SUBJECTS = (2, 3, 5, 10), (30, 100, 400)
BOUNDS = {2: (0.93, 1.0), 3: (0.935, 0.975), 5: (0.935, 0.975), 10: (0.935, 0.975)}
"""Of coverage, by number of seeds."""
STUDIES = {
    "all cells vary alike by seed": (0.02, 0.02, 0.02, 0.02),
    "one varies 1.5 times as much": (0.03, 0.02, 0.02, 0.02),
    "one varies twice as much": (0.04, 0.02, 0.02, 0.02),
}
METHODS = ("this tool's", "Satterthwaite's df", "t over seeds", "t over subjects")
Found = dict[tuple[str, int, int], "Covered"]
"""World or study, seeds, subjects."""


@dataclass(frozen=True)
class Covered:
    """Of one cell of the benchmark, over all repetitions."""

    coverage: tuple[float, ...]
    """By method, the first this tool's; or by cell of a study."""
    too_few: float = 0.0
    """Share of repetitions that get no verdict."""
    width: float = 1.0
    """Mean width, relative to that without pooling."""
    pooled: float = 0.0
    """Share of repetitions in which the variance between seeds is pooled."""


def fails(coverage: float, seeds: int, repetitions: int) -> bool:
    """Whether the 99 % Monte-Carlo interval of a coverage lies outside of its bounds."""
    low, high = BOUNDS[seeds]
    error = stats.norm.ppf(0.995) * np.sqrt(coverage * (1 - coverage) / repetitions)
    return bool(coverage + error < low or coverage - error > high)


def report(worlds: Sequence[Scenario], found: Found, repetitions: int) -> tuple[str, list[str]]:
    """The page, and the cells that fail."""
    guaranteed = [world for world in worlds if world.guaranteed]
    failures = [
        f"{world.name}, {k} seeds, {n} subjects: {100 * found[world.name, k, n].coverage[0]:.1f} %"
        for world in guaranteed
        for k in SEEDS
        for n in SUBJECTS
        if fails(found[world.name, k, n].coverage[0], k, repetitions)
    ]
    outcome = f"{len(failures)} cells fail." if failures else f"all {len(guaranteed) * 12} cells hold."
    error = 100 * np.sqrt(0.95 * 0.05 / repetitions)
    opening = _OPENING.format(repetitions=repetitions, error=error, outcome=outcome)
    parts = [
        opening, _guarantee(guaranteed, found, repetitions), _METHODS_SAID, _methods(guaranteed, found), _POOLING,
        _studies(found), _RARE, _rare(found),
    ]  # fmt: skip
    return "\n\n".join(part.strip() for part in parts) + "\n", failures


def _guarantee(worlds: Sequence[Scenario], found: Found, repetitions: int) -> str:
    rows = []
    for world in worlds:
        for n in SUBJECTS:
            values = [(found[world.name, k, n].coverage[0], k) for k in SEEDS]
            cells = [_percent(value, fails(value, k, repetitions)) for value, k in values]
            said = f"{world.name}: {world.what}"
            rows.append([said, str(n), *cells, f"{100 * found[world.name, 3, n].too_few:.0f} %"])
    return _table(["world", "subjects", *(f"{k} seeds" for k in SEEDS), "no verdict, 3 seeds"], rows)


def _methods(worlds: Sequence[Scenario], found: Found) -> str:
    rows = []
    for i, method in enumerate(METHODS):
        cells = []
        for k in SEEDS:
            values = [found[world.name, k, n].coverage[i] for world in worlds for n in SUBJECTS]
            cells.append(f"{100 * min(values):.1f} to {100 * max(values):.1f}")
        rows.append([method, *cells])
    return _table(["method", *(f"{k} seeds" for k in SEEDS)], rows)


def _studies(found: Found) -> str:
    columns = ("cells", "subjects", "seeds", "coverage, first cell", "the others", "pooled", "width, unpooled = 1")
    rows = []
    for name in STUDIES:
        for n in SUBJECTS:
            for k in SEEDS:
                of = found[name, k, n]
                others = _percent(float(np.mean(of.coverage[1:])))
                shown = [_percent(of.coverage[0]), others, f"{100 * of.pooled:.0f} %", f"{of.width:.2f}"]
                rows.append([name, str(n), str(k), *shown])
    return _table(columns, rows)


def _rare(found: Found) -> str:
    rows = []
    for n in SUBJECTS:
        cells = [_percent(found["rare failures", k, n].coverage[0]) for k in SEEDS]
        rows.append([str(n), *cells, f"{100 * found['rare failures', 3, n].too_few:.0f} %"])
    return _table(["subjects", *(f"{k} seeds" for k in SEEDS), "no verdict, 3 seeds"], rows)


def _percent(coverage: float, failed: bool = False) -> str:
    return f"{100 * coverage:.1f}" + (" (fails)" if failed else "")


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rule = ["---", *["---:"] * (len(columns) - 1)]
    return "\n".join(f"| {' | '.join(line)} |" for line in (columns, rule, *rows))


_OPENING = """
# Coverage of the intervals

How often a nominal 95 % interval of a difference holds the true one, in simulated studies of seeds x subjects in which
the truth is known. {repetitions:,} repetitions a cell; a coverage near 95 % has a Monte-Carlo standard error of
{error:.2f} points. `make bench-coverage` writes this page anew; the worlds are in
`benchmarks/evidence/scenarios.py`, the method in `usaggr/evidence/`.

**Asked:** 93.5 to 97.5 % for 3, 5 and 10 seeds with 30, 100 and 400 subjects, and not under 93 % for 2 seeds; a cell
fails if the 99 % Monte-Carlo interval of its coverage lies outside. **Found:** {outcome}

## The guarantee

Every cell by its own variances, without any pooling. `no verdict` is the share of studies that the tool declines to
judge because too few subjects differ; their intervals are counted all the same.
"""
_METHODS_SAID = """
## Other methods

Lowest and highest coverage over the same cells, in percent. The tool's critical value is the mean of the two sources'
t quantiles, weighted by their parts of the variance (Cochran and Cox). Satterthwaite's degrees of freedom are what is
usual for multi-reader multi-case studies (Hillis 2007). A t-interval over seeds ignores which subjects stand in the
test fold; one over subjects, which seeds there were.
"""
_POOLING = """
## Pooling the variance between seeds

Four cells of one task: two groupings at two scales, each scale with one reference. Their variance between seeds is
pooled where Bartlett's test allows it. In the first lines pooling is right; the others show what the test misses: there
a cell that varies more than its neighbours has somewhat too narrow intervals, the others somewhat too wide ones.
"""
_RARE = """
## Outside of the guarantee: rare failures

Three percent of the subjects lose .8 under one grouping. No interval that rests on a normal distribution covers this
with few subjects; the tool says `too few` where such subjects are seen and are fewer than ten. Where none is among the
subjects, nobody can know.
"""
