"""Measure false verdicts of no loss for margins relative to the reference's mean; writes docs/relative_margin.md.

    python -m benchmarks.evidence.relative_margin [--repetitions 10000] [--quick] [--jobs 2] [--out PAGE]

The margin of a distance is a fraction of the reference's mean error, which is estimated too. Reports test the contrast
(1 + fraction) x reference - own, so that the margin varies with seeds and subjects. Earlier versions took a fraction of
the observed mean as a known margin. Here the true loss is exactly the margin, so that every no loss is false.
"""

import argparse
import multiprocessing
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.evidence.families import make_generator
from benchmarks.evidence.marks import RULE, Share, format_share, mark_share
from benchmarks.generated import table, wrap
from usaggr.statistics.two_way_anova import estimate
from usaggr.statistics.verdicts import ALPHA_NI

Array = NDArray[np.float64]

FRACTION = 0.1
"""Margin as a fraction of the reference's mean, the default of `report.relative_margin`."""
SUBJECTS, SEEDS = (12, 30, 60, 100, 400), (3, 5)
_VALUES_AT_ONCE = 2_000_000
"""Largest number of errors that are held in memory at once."""


@dataclass(frozen=True)
class ErrorWorld:
    """Random variation of errors around a mean of 1, of the error or, if it is log-normal, of its logarithm."""

    name: str
    distribution: Literal["normal", "log-normal"]
    loss: Literal["shift", "ratio"]
    """Loss of every subject: the same distance, or the same share of its error."""
    subject_sd: float
    """Standard deviation between subjects, common to both groupings."""
    grouping_sd: float = 0.15
    """Standard deviation between subjects, specific to a grouping."""
    residual_sd: float = 0.15
    seed_sd: float = 0.03

    def draw(self, rng: np.random.Generator, studies: int, seeds: int, subjects: int) -> tuple[Array, Array]:
        """Return the errors (studies, K, C) of the grouping and of the reference, whose true means are 1.1 and 1.

        Args:
            rng: Random generator.
            studies: Number of studies.
            seeds: Number of seeds K.
            subjects: Number of subjects C.
        """
        by_subject = self.subject_sd * rng.standard_normal((studies, 1, subjects))
        errors = []
        for _ in range(2):
            effects = by_subject + self.grouping_sd * rng.standard_normal((studies, 1, subjects))
            effects = effects + self.residual_sd * rng.standard_normal((studies, seeds, subjects))
            effects += self.seed_sd * rng.standard_normal((studies, seeds, 1))
            if self.distribution == "log-normal":
                variance = self.subject_sd**2 + self.grouping_sd**2 + self.residual_sd**2 + self.seed_sd**2
                errors.append(np.exp(effects - variance / 2))
            else:
                errors.append(1 + effects)
        compared, reference = errors
        return compared + FRACTION if self.loss == "shift" else compared * (1 + FRACTION), reference


WORLDS = (
    ErrorWorld("normal, subjects .5, shift", "normal", "shift", 0.5),
    ErrorWorld("normal, subjects 2, shift", "normal", "shift", 2.0),
    ErrorWorld("normal, subjects .5, seeds .1, shift", "normal", "shift", 0.5, 0.05, 0.05, 0.1),
    ErrorWorld("log-normal, subjects .5, ratio", "log-normal", "ratio", 0.5),
    ErrorWorld("log-normal, subjects 1, ratio", "log-normal", "ratio", 1.0),
    ErrorWorld("log-normal, subjects 1, shift", "log-normal", "shift", 1.0),
    ErrorWorld("log-normal, subjects .5, groupings .5, ratio", "log-normal", "ratio", 0.5, 0.5),
)
Measured = dict[tuple[str, int, int], tuple[Share, Share]]
"""Studies with a false no loss by the contrast and by the earlier rule, by world, seeds and subjects."""


def count_false(world: ErrorWorld, seeds: int, subjects: int, repetitions: int) -> tuple[Share, Share]:
    """Return the studies with a false no loss, by the contrast and by the earlier rule.

    Args:
        world: World to simulate.
        seeds: Number of seeds of a study.
        subjects: Number of test subjects of a study.
        repetitions: Number of studies.
    """
    rng = make_generator("relative margin", world.name, seeds, subjects)
    by_contrast = by_observed = 0
    for size in _chunk(repetitions, seeds * subjects):
        compared, reference = world.draw(rng, size, seeds, subjects)
        by_contrast += int(is_above(reference - compared + FRACTION * reference, 0.0).sum())
        observed = FRACTION * reference.mean(axis=(-2, -1))
        by_observed += int(is_above(reference - compared, -observed).sum())
    return Share(by_contrast, repetitions), Share(by_observed, repetitions)


def is_above(tables: Array, bound: float | Array) -> NDArray[np.bool_]:
    """Return whether the mean of each of tables (..., K, C) is significantly above a bound, at the level of no loss."""
    low, _ = estimate(tables).compute_interval(1 - 2 * ALPHA_NI)
    return low > bound


def _chunk(repetitions: int, values: int) -> Iterator[int]:
    size = max(1, _VALUES_AT_ONCE // values)
    for start in range(0, repetitions, size):
        yield min(size, repetitions - start)


def measure(repetitions: int, jobs: int, worlds: Sequence[ErrorWorld] = WORLDS) -> Measured:
    """Return the results of each world and size.

    Args:
        repetitions: Number of studies of each.
        jobs: Number of processes.
        worlds: Worlds to simulate.
    """
    keys = [(world, seeds, subjects) for world in worlds for seeds in SEEDS for subjects in SUBJECTS]
    with multiprocessing.get_context("fork").Pool(jobs) as processes:
        shares = processes.starmap(count_false, [(*key, repetitions) for key in keys], chunksize=1)
    return {(world.name, seeds, n): share for (world, seeds, n), share in zip(keys, shares, strict=True)}


def report(measured: Measured) -> tuple[str, list[str]]:
    """Return the page and the shares of the contrast that miss their bound."""
    misses, lines = [], []
    sizes = list(dict.fromkeys(subjects for _, _, subjects in measured))
    for name, seeds in dict.fromkeys((name, seeds) for name, seeds, _ in measured):
        cells = []
        for subjects in sizes:
            contrast, observed = measured[name, seeds, subjects]
            mark = mark_share(contrast.count, contrast.total, ALPHA_NI)
            cells.append(f"{format_share(contrast, mark)}; {100 * observed.estimate:.1f}")
            if mark:
                misses.append(f"{name}, {seeds} seeds, {subjects} subjects: {format_share(contrast, mark)}")
        lines.append([name, str(seeds), *cells])
    studies = max(contrast.total for contrast, _ in measured.values())
    earlier = [observed.estimate for _, observed in measured.values()]
    contrasts = [contrast.estimate for contrast, _ in measured.values()]
    outcome = (
        f"**Result:** {len(misses)} of {len(measured)} shares miss. By the contrast, {100 * min(contrasts):.1f} to "
        f"{100 * max(contrasts):.1f} % of the studies have a false no loss, by the earlier rule "
        f"{100 * min(earlier):.1f} to {100 * max(earlier):.1f} %."
    )
    opening = _OPENING.format(studies=studies, fraction=100 * FRACTION, level=100 * ALPHA_NI)
    columns = ["world", "seeds", *(f"{subjects} subjects" for subjects in sizes)]
    return "\n\n".join([*map(wrap, (opening, RULE, outcome)), table(columns, lines)]) + "\n", misses


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate all worlds and write the page."""
    parser = argparse.ArgumentParser(description="Measure false verdicts of no loss for relative margins.")
    parser.add_argument("--repetitions", type=int, default=10_000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="at most 500 studies of each world and size")
    parser.add_argument("--out", type=Path, default=Path("docs/relative_margin.md"))
    options = parser.parse_args(arguments)
    repetitions = min(options.repetitions, 500) if options.quick else options.repetitions
    text, misses = report(measure(repetitions, options.jobs))
    options.out.write_text(text, encoding="utf-8")
    print(f"{options.out}: {len(misses)} shares miss" + "".join(f"\n- {miss}" for miss in misses))
    return 0


_OPENING = """
# Margins relative to the reference

The margin of a distance is {fraction:.0f} % of the reference's mean error. How often is a loss of exactly this size
called *no loss*? Required: at most {level} % of the studies. Each world is simulated in {studies:,} studies per number
of seeds and of test subjects. Shares are in percent. First: the test of reports, which is of the contrast
(1 + fraction) x reference - own. Second: the test of earlier versions, which took the fraction of the *observed* mean
as a known margin. Both are without the rules on too few subjects. `make bench-coverage` rewrites this page. Worlds:
`benchmarks/evidence/relative_margin.py`; *subjects*, *seeds* and *groupings* are standard deviations relative to the
mean error of 1, or of the logarithm. The loss is a *shift* of each error, or a *ratio*.
"""


if __name__ == "__main__":
    sys.exit(main())
