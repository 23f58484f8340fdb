"""The page docs/families.md: families of verdicts, the far tail, and power at equal error."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.evidence.component_worlds import FURTHER, REVIEW
from benchmarks.evidence.equal_error import LEAST as LEAST_RATIO
from benchmarks.evidence.equal_error import POWERS, Power
from benchmarks.evidence.families import Key, Measured
from benchmarks.evidence.far_tail import LEAST, MOST, STEPS, Size
from benchmarks.evidence.marks import RULE, Share, make_share, mark_coverage, mark_share
from benchmarks.generated import prose, table, write_part
from usaggr.statistics.verdicts import ALPHA, ALPHA_NI

COVERAGE = 0.935
"""Smallest coverage that is required of 95 % intervals with three or more seeds."""
PROVISIONAL_SEEDS = 2
"""Number of seeds whose verdicts are provisional; no bound is required of them."""


def write_families(page: Path, measured: dict[Key, Measured]) -> list[str]:
    """Write the section about families and return the worlds and sizes that miss a bound.

    Args:
        page: Page with the markers of the section.
        measured: Results by world, number of tasks and number of seeds.
    """
    sizes = sorted({key[1:] for key in measured})
    misses: list[str] = []
    sections = []
    for title, show in (
        ("False gain or loss", _show_false),
        ("False no loss", _show_no_loss),
        ("Coverage", _show_coverage),
        ("Width", _show_width),
    ):
        lines = []
        for world in (*REVIEW, *FURTHER):
            line = [world.name if world in REVIEW else f"*{world.name}*"]
            for tasks, seeds in sizes:
                text = show(measured[world.name, tasks, seeds])
                if "misses" in text and seeds > PROVISIONAL_SEEDS:
                    misses.append(f"{title}, {world.name}, {tasks} tasks, {seeds} seeds: {text}")
                line.append(text)
            lines.append(line)
        columns = ["world", *(f"{tasks} tasks, {seeds} seeds" for tasks, seeds in sizes)]
        sections += [f"### {title}", prose(_TEXTS[title]), table(columns, lines)]
    families = min(result.families for result in measured.values())
    errors = [100 * np.sqrt(level * (1 - level) / families) for level in (ALPHA, ALPHA_NI)]
    counts = {seeds: sum(f"{seeds} seeds" in miss for miss in misses) for _, seeds in sizes if seeds > 2}
    outcome = ", ".join(f"{count} with {seeds} seeds" for seeds, count in counts.items())
    opening = prose(
        _OPENING.format(
            families=families,
            error=errors[0],
            error_ni=errors[1],
            outcome=outcome,
            cells=len(measured),
        )
    )
    write_part(page, "families", "\n\n".join([opening, prose(RULE), *sections]))
    return misses


def write_far_tail(page: Path, sizes: dict[tuple[int, int, float], Size]) -> int:
    """Write the section about the far tail and return the number of sizes that miss their bounds.

    Args:
        page: Page with the markers of the section.
        sizes: Results by number of seeds, number of subjects and ratio of variances.
    """
    lines, misses = [], 0
    for (seeds, subjects, ratio), size in sizes.items():
        texts = [f"{value:.2f} ± {error:.2f}" for value, error in zip(size.ratio, size.error, strict=True)]
        if not LEAST <= size.ratio[-1] <= MOST:
            texts[-1] += " misses"
            misses += seeds > PROVISIONAL_SEEDS
        name = f"{ratio:g} : 1" if ratio >= 1 else f"1 : {1 / ratio:g}"
        lines.append([str(seeds), str(subjects), name, *texts])
    columns = ["seeds", "subjects", "seeds : subjects", *(f".05 / {step}" if step > 1 else ".05" for step in STEPS)]
    outcome = f"{misses} of the sizes with three or more seeds miss these bounds."
    write_part(page, "far tail", "\n\n".join([prose(_FAR_TAIL + outcome), table(columns, lines)]))
    return misses


def write_power(page: Path, powers: Sequence[Power], record: dict[tuple[str, int, int], Power]) -> int:
    """Write the section about power at equal error and return the number of powers that miss their bound.

    Args:
        page: Page with the markers of the section.
        powers: Results of the current way.
        record: Results of the earlier one by world, tasks and seeds.
    """
    lines, misses = [], 0
    for power in powers:
        earlier = record[power.world, power.tasks, power.seeds]
        texts = []
        for i, expected in enumerate(earlier.equal_powers):
            ratio, equal_ratio = power.powers[i] / expected, power.equal_powers[i] / expected
            is_missed = min(ratio, equal_ratio) < LEAST_RATIO
            misses += is_missed and power.seeds > PROVISIONAL_SEEDS
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


def _show_false(result: Measured) -> str:
    shares = 100 * result.false / result.families
    mark = mark_share(int(result.false.max()), result.families, ALPHA)
    return f"{shares.mean():.1f}, {shares.max():.1f} {mark}".strip()


def _show_no_loss(result: Measured) -> str:
    mark = mark_share(int(result.no_loss.max()), result.families, ALPHA_NI)
    return f"{100 * result.no_loss.max() / result.families:.1f} {mark}".strip()


def _show_coverage(result: Measured) -> str:
    share = make_share(float(result.coverage.min()), result.cells)
    return f"{100 * share.estimate:.1f} {mark_coverage(share, COVERAGE)}".strip()


def _show_width(result: Measured) -> str:
    return f"{result.width.min():.2f} to {result.width.max():.2f}"


_FAR_TAIL = """
Actual size of the test of one cell over its nominal size, with its Monte-Carlo standard error. Holm's first step in a
family of m tasks tests at level .05 / m. *Seeds : subjects*: their parts of the variance of the mean. Required at
.05 / 27 with three or more seeds: 0.7 to 1.2.
"""
_POWER = """
Earlier versions pooled variances over the cells of a task if Bartlett's test permitted it. Power can be compared only
at equal error. The columns name the power of the earlier way, with the critical values with which its family error is
5 %, at a true difference of one task. They show the power of the current way at the same difference, divided by that
power: as it is, and also with critical values with which its family error is 5 %. Required: at least 0.9. *Family
error*: earlier and current, without changed critical values.
"""
_WHOLE_PATH = """
Null sweeps with three seeds and 100 subjects, written as predictions and run folders and read as a report reads them.
Share of families with a false gain or loss, with its exact interval. It must agree with the shares above.
"""
_OPENING = """
{families:,} studies of each world and size; Monte-Carlo standard error near 5 %: {error:.2f} points, near 2.5 %:
{error_ni:.2f} points. The highest of several shares is too high by about one standard error. Verdicts from two
seeds are provisional. **Result:** of the shares and coverages of {cells} worlds and sizes, these miss a bound:
{outcome}. Worlds in italics are further ones; all are in `benchmarks/evidence/component_worlds.py`.
"""
_TEXTS = {
    "False gain or loss": """
Share of families with a gain or a loss though nothing differs, in percent: mean and highest over groupings and scales;
required of each: at most 5 %.
""",
    "False no loss": """
Every task loses the margin of .02. Share of families with any `no_loss` (or a gain) in percent, highest over groupings
and scales; required: at most 2.5 %.
""",
    "Coverage": """
Coverage of the 95 % intervals in percent, lowest over groupings and scales; required: at least 93.5 %.
""",
    "Width": """
Median width of the intervals over the width from the cell's own mean squares, lowest and highest over groupings and
scales.
""",
}
