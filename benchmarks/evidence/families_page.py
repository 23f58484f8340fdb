"""The page docs/families.md: families of verdicts, the far tail, and power at equal error."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.evidence.component_worlds import FURTHER, REVIEW
from benchmarks.evidence.equal_error import POWERS, SMALLEST_POWER_RATIO, Power
from benchmarks.evidence.families import FamilyResults, Key
from benchmarks.evidence.far_tail import FAMILY_SIZES, LARGEST_SIZE, SMALLEST_SIZE, Size
from benchmarks.evidence.marks import BOUND_RULE, CONFIDENCE, Share, compute_mark_probability, mark_coverage, mark_share
from benchmarks.generated import prose, table, write_part
from usaggr.statistics.verdicts import ALPHA, ALPHA_NI

COVERAGE = 0.935
"""Smallest coverage that is required of 95 % intervals."""
FEWEST_BOUNDED_SEEDS = 3
"""Smallest number of seeds for which bounds are required.

With two seeds, a cell that keeps its own variance has one degree of freedom, and no critical value keeps its level at
far tails. The report calls verdicts from one or two seeds provisional."""


def write_families(page: Path, measured: dict[Key, FamilyResults]) -> list[str]:
    """Write the section about families and return the worlds and sizes that miss a bound.

    Args:
        page: Page with the markers of the section.
        measured: Results by world, number of tasks and number of seeds.
    """
    sizes = sorted({key[1:] for key in measured})
    misses: list[str] = []
    sections = []
    for title, show in (
        ("False gain or loss", _show_false_differences),
        ("False no loss", _show_false_no_loss),
        ("Coverage", _show_coverage),
        ("Width", _show_width),
    ):
        lines = []
        for world in (*REVIEW, *FURTHER):
            line = [world.name if world in REVIEW else f"*{world.name}*"]
            for tasks, seeds in sizes:
                text = show(measured[world.name, tasks, seeds])
                if "misses" in text and seeds >= FEWEST_BOUNDED_SEEDS:
                    misses.append(f"{title}, {world.name}, {tasks} tasks, {seeds} seeds: {text}")
                line.append(text)
            lines.append(line)
        columns = ["world", *(f"{tasks} tasks, {seeds} seeds" for tasks, seeds in sizes)]
        sections += [f"### {title}", prose(_TEXTS[title]), table(columns, lines)]
    studies = {tasks: measured[name, tasks, seeds].families for name, tasks, seeds in measured}
    errors = [100 * np.sqrt(level * (1 - level) / max(studies.values())) for level in (ALPHA, ALPHA_NI)]
    bounded = sorted({seeds for _, seeds in sizes if seeds >= FEWEST_BOUNDED_SEEDS})
    counts = {seeds: sum(f"{seeds} seeds" in miss for miss in misses) for seeds in bounded}
    by_chance = {
        seeds: count_chance_marks(result for key, result in measured.items() if key[2] == seeds) for seeds in bounded
    }
    opening = prose(
        _OPENING.format(
            studies=", ".join(f"{count:,} with {tasks} tasks" for tasks, count in sorted(studies.items())),
            error=errors[0],
            error_ni=errors[1],
            outcome=", ".join(f"{count} with {seeds} seeds" for seeds, count in counts.items()),
            by_chance=", ".join(f"{count:.0f} with {seeds} seeds" for seeds, count in by_chance.items()),
            cells=len(measured),
        )
    )
    write_part(page, "families", "\n\n".join([opening, prose(BOUND_RULE), *sections]))
    return misses


def count_chance_marks(results: Iterable[FamilyResults]) -> float:
    """Return the largest expected number of marks of a perfect test: its size is the bound, its coverage 95 %.

    Families of one study are counted as independent. They depend positively on each other, so that the true number is
    smaller. In coverages, each study counts as one cell, which makes marks more frequent.
    """
    marks = 0.0
    for result in results:
        shares = result.false_differences.size
        for true_share, bound in ((ALPHA, ALPHA), (ALPHA_NI, ALPHA_NI), (1 - CONFIDENCE, 1 - COVERAGE)):
            marks += compute_mark_probability(true_share, result.families, bound, shares)
    return marks


def write_critical_values(
    page: Path, sizes: Mapping[float, Sequence[tuple[float, float]]], levels: Sequence[float]
) -> None:
    """Write the section about the table of critical values.

    Args:
        page: Page with the markers of the section.
        sizes: Smallest and largest size, divided by the level, at each of the levels, by degrees of freedom.
        levels: Levels of the two-sided test.
    """
    lines = [
        ["infinite" if np.isinf(df) else f"{df:g}", *(f"{low:.2f} to {high:.2f}" for low, high in ranges)]
        for df, ranges in sizes.items()
    ]
    columns = ["degrees of freedom", *(f"{level:g}" for level in levels)]
    write_part(page, "critical values", "\n\n".join([prose(_CRITICAL_VALUES), table(columns, lines)]))


def write_far_tail(page: Path, sizes: dict[tuple[int, int, float], Size]) -> int:
    """Write the section about the far tail and return the number of sizes that miss their bounds.

    Args:
        page: Page with the markers of the section.
        sizes: Results by number of seeds, number of subjects and ratio of variances.
    """
    lines, misses = [], 0
    for (seeds, subjects, ratio), size in sizes.items():
        texts = [
            f"{value:.2f} ± {error:.2f}" for value, error in zip(size.relative_size, size.standard_error, strict=True)
        ]
        if not SMALLEST_SIZE <= size.relative_size[-1] <= LARGEST_SIZE:
            texts[-1] += " misses"
            misses += seeds >= FEWEST_BOUNDED_SEEDS
        name = f"{ratio:g} : 1" if ratio >= 1 else f"1 : {1 / ratio:g}"
        lines.append([str(seeds), str(subjects), name, *texts])
    columns = [
        "seeds",
        "subjects",
        "seeds : subjects",
        *(f".05 / {tasks}" if tasks > 1 else ".05" for tasks in FAMILY_SIZES),
    ]
    outcome = f"{misses} of the sizes with three or more seeds miss these bounds."
    write_part(page, "far tail", "\n\n".join([prose(_FAR_TAIL + outcome), table(columns, lines)]))
    return misses


def write_power(page: Path, powers: Sequence[Power], record: dict[tuple[str, int, int], Power]) -> int:
    """Write the section about power at equal error and return the number of powers that miss their bound.

    Args:
        page: Page with the markers of the section.
        powers: Results of the current method.
        record: Results of the earlier one by world, tasks and seeds.
    """
    lines, misses = [], 0
    for power in powers:
        earlier = record[power.world, power.tasks, power.seeds]
        texts = []
        for i, expected in enumerate(earlier.equal_powers):
            ratio, equal_ratio = power.powers[i] / expected, power.equal_powers[i] / expected
            is_missed = min(ratio, equal_ratio) < SMALLEST_POWER_RATIO
            misses += is_missed and power.seeds >= FEWEST_BOUNDED_SEEDS
            texts.append(f"{ratio:.2f}, {equal_ratio:.2f}" + (" misses" if is_missed else ""))
        errors = f"{100 * earlier.family_error:.1f}, {100 * power.family_error:.1f}"
        lines.append([power.world, str(power.tasks), str(power.seeds), errors, *texts])
    columns = ["world", "tasks", "seeds", "family error, %", *(f"power {100 * power:.0f} %" for power in POWERS)]
    write_part(page, "power", "\n\n".join([prose(_POWER), table(columns, lines)]))
    return misses


def write_whole_path(page: Path, shares: Mapping[tuple[str, int], Mapping[str, Share]]) -> None:
    """Write the section about the whole path.

    Args:
        page: Page with the markers of the section.
        shares: Shares of families with a false gain or loss by grouping and scale, by world and number of tasks.
    """
    lines = []
    for (world, tasks), by_family in shares.items():
        for family, share in by_family.items():
            low, high = (f"{100 * bound:.1f}" for bound in share.compute_interval())
            mark = mark_share(share.count, share.total, ALPHA)
            text = f"{100 * share.estimate:.1f} {mark}".strip()
            lines.append([world, str(tasks), family, str(share.total), text, f"{low} to {high}"])
    columns = ["world", "tasks", "grouping, scale", "sweeps", "false gain or loss, %", "exact 95 % interval"]
    write_part(page, "whole path", "\n\n".join([prose(_WHOLE_PATH), table(columns, lines)]))


def _show_false_differences(result: FamilyResults) -> str:
    shares = 100 * result.false_differences / result.families
    mark = mark_share(int(result.false_differences.max()), result.families, ALPHA)
    return f"{shares.mean():.1f}, {shares.max():.1f} {mark}".strip()


def _show_false_no_loss(result: FamilyResults) -> str:
    mark = mark_share(int(result.false_no_loss.max()), result.families, ALPHA_NI)
    return f"{100 * result.false_no_loss.max() / result.families:.1f} {mark}".strip()


def _show_coverage(result: FamilyResults) -> str:
    share = min(result.coverage, key=lambda coverage: coverage.estimate)
    return f"{100 * share.estimate:.1f} {mark_coverage(share, COVERAGE)}".strip()


def _show_width(result: FamilyResults) -> str:
    return f"{result.width.min():.2f} to {result.width.max():.2f}"


_FAR_TAIL = """
Actual size of the test of one cell divided by its nominal size, with its Monte-Carlo standard error. The cell keeps its
own variance between seeds, as a task that is alone with its metric. Holm's first step in a family of m tasks tests at
level .05 / m. *Seeds : subjects*: their parts of the variance of the mean. Required at .05 / 27 with three or more
seeds: 0.7 to 1.2. With two seeds no bound is required, and the report calls verdicts provisional.
"""
_CRITICAL_VALUES = """
Size of the two-sided test divided by its level, lowest and highest over all true shares of the components and over
second mean squares (subjects) with 9 or more degrees of freedom, from the stored critical values by quadrature. Rows:
degrees of freedom of the first mean square (seeds), including those of the prior. Columns: level. With few degrees of
freedom at a small level, no critical values keep the level for all shares within the limits on their size. A test of a
cell differs in two ways, which the next section includes: the subjects' component is a difference of mean squares, and
no interval is narrower than the one over subjects alone.
"""
_POWER = """
Earlier versions pooled variances over the cells of a task if Bartlett's test permitted it. Power can be compared only
at equal error. The columns name the power of the earlier method, with the critical values with which its family error
is 5 %, at a true difference of one task. They show the power of the current method at the same difference, divided by
that power: as it is, and also with critical values with which its family error is 5 %. Required with three or more
seeds: at least 0.9. *Family error*: earlier and current, without changed critical values.
"""
_WHOLE_PATH = """
Null sweeps with three seeds and 100 subjects, written as predictions and run folders and read as a report reads them.
Share of families with a false gain or loss, with its exact interval. The interval should contain the share above; with
few sweeps it is wide, and only a gross error of the path would show.
"""
_OPENING = """
Studies of each world and number of seeds: {studies}. Smallest Monte-Carlo standard error near 5 %: {error:.2f} points,
near 2.5 %: {error_ni:.2f} points. The highest of several shares is too high by about one standard error. With two seeds
no bound is required, and the report calls verdicts provisional. **Result:** of the shares and coverages of {cells}
worlds and sizes, these miss a bound: {outcome}. A perfect test, with each share exactly at its bound and a coverage of
95 %, would get up to this many marks by chance: {by_chance}. Worlds in italics are further ones; all are in
`benchmarks/evidence/component_worlds.py`.
"""
_TEXTS = {
    "False gain or loss": """
Share of families with a gain or a loss although nothing differs, in percent: mean and highest over groupings and
scales; required of each: at most 5 %.
""",
    "False no loss": """
Every task loses the margin of .02. Share of families with any `no_loss` (or a gain) in percent, highest over groupings
and scales; required: at most 2.5 %.
""",
    "Coverage": """
Coverage of the 95 % intervals in percent, lowest over groupings and scales; required: at least 93.5 %. The cells of a
study share runs and are not independent: the interval of the rule is approximate here, from the variance between
studies (Korn and Graubard 1998).
""",
    "Width": """
Median ratio of the intervals' width to the width without moderation, lowest and highest over groupings and scales.
""",
}
