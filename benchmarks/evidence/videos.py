"""Measure intervals for means over patients with videos of unequal length; writes docs/videos.md.

    python -m benchmarks.evidence.videos [--repetitions 2000] [--quick] [--jobs 2] [--out docs/videos.md]

The worlds are in worlds_aggregate.py.
"""

import argparse
import multiprocessing
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.evidence.coverage_page import BOUNDS
from benchmarks.evidence.marks import RULE, Mark, Share, format_shares, make_share, mark_coverage, mark_share
from benchmarks.evidence.rules import MOST_REFUSED
from benchmarks.evidence.worlds_aggregate import SEEDS, SUBJECTS, UNITS, Measured, make_worlds, measure_size
from benchmarks.generated import table, wrap

FEWEST_GUARANTEED = 30
"""Smallest number of videos for which bounds are required."""
FEWEST_JUDGED = 50
"""Number of judged studies below which their coverage is not shown."""
_SEED = 1
Job = tuple[int, int, int, int]
"""Number of the world, videos, seeds and repetitions."""


def measure_all(repetitions: int, jobs: int, subjects: Sequence[int] = SUBJECTS) -> list[Measured]:
    """Return the results of all worlds and sizes.

    Args:
        repetitions: Number of studies of each.
        jobs: Number of processes.
        subjects: Numbers of test subjects.
    """
    keys = [(i, n, k, repetitions) for i in range(len(make_worlds())) for n in subjects for k in SEEDS]
    # The longest jobs first, so that no process idles while the last one runs.
    longest_first = sorted(keys, key=lambda key: (make_worlds()[key[0]].kind == "auc", key[1] * key[2]), reverse=True)
    with multiprocessing.get_context("fork").Pool(jobs) as processes:
        results = dict(zip(longest_first, processes.imap(_measure_job, longest_first), strict=True))
    return [measured for key in keys for measured in results[key]]


def _measure_job(job: Job) -> list[Measured]:
    number, subjects, seeds, repetitions = job
    rng = np.random.default_rng([_SEED, number, subjects, seeds])
    return measure_size(make_worlds()[number], rng, repetitions, subjects, seeds)


def report(measured: Sequence[Measured]) -> tuple[str, list[str]]:
    """Return the page and the shares that have a mark."""
    failures: list[str] = []
    by_frames, by_patients = ([row for row in measured if row.unit == unit] for unit in UNITS)
    lines, contrasts = [], []
    for world, subjects in dict.fromkeys((row.world, row.subjects) for row in measured):
        cells = [row for row in by_patients if (row.world, row.subjects) == (world, subjects)]
        coverage = [(make_share(row.coverage, row.repetitions), _mark_coverage(row)) for row in cells]
        refused = [(make_share(row.refused, row.repetitions), _mark_refused(row)) for row in cells]
        for name, marked in (("coverage", coverage), ("refused", refused)):
            if any(mark for _, mark in marked):
                failures.append(f"{world}, {subjects} videos, {name}: {format_shares(marked)}")
        lines.append([world, str(subjects), *map(format_shares, (coverage, refused)), _format_judged(cells)])
        frames = [row for row in by_frames if (row.world, row.subjects) == (world, subjects)]
        contrasts.append([world, str(subjects), _format(frames, "coverage"), _format(frames, "coverage_of_frames"),
                          _format(frames, "refused")])  # fmt: skip
    repetitions = max(row.repetitions for row in measured)
    seeds = ", ".join(str(number) for number in dict.fromkeys(row.seeds for row in measured))
    outcome = f"{len(failures)} of {2 * len(lines)} cells of the first table have a mark."
    opening = _OPENING.format(repetitions=repetitions, seeds=seeds, fewest=FEWEST_GUARANTEED)
    required = _REQUIRED.format(
        low=100 * BOUNDS[3][0], high=100 * BOUNDS[3][1], refused=100 * MOST_REFUSED, fewest=FEWEST_GUARANTEED
    )
    sections = [
        *map(wrap, (opening, required, RULE, f"**Result:** {outcome}")),
        table(["world", "videos", "coverage, %", "refused, %", "coverage of judged, %"], lines), wrap(_FRAMES),
        table(["world", "videos", "coverage of the mean over patients, %", "over frames, %", "refused, %"], contrasts),
    ]  # fmt: skip
    return "\n\n".join(sections) + "\n", failures


def _mark_coverage(row: Measured) -> Mark:
    if row.subjects < FEWEST_GUARANTEED:
        return ""
    return mark_coverage(make_share(row.coverage, row.repetitions), *BOUNDS[row.seeds])


def _mark_refused(row: Measured) -> Mark:
    """Return the mark of the share of refused studies, which docs/too_few.md bounds for means over patients."""
    if row.subjects < FEWEST_GUARANTEED:
        return ""
    return mark_share(round(row.refused * row.repetitions), row.repetitions, MOST_REFUSED)


def _format_judged(cells: Sequence[Measured]) -> str:
    """Return the coverages of the judged studies; a dash for each number of seeds with only a few of them."""
    texts, errors = [], []
    for row in cells:
        judged = round(row.repetitions * (1 - row.refused))
        if judged < FEWEST_JUDGED:
            texts.append("–")
            continue
        share = make_share(row.coverage_judged, judged)
        texts.append(f"{100 * share.estimate:.1f}")
        errors.append(share.standard_error)
    return ", ".join(texts) + (f" ± {100 * max(errors):.1f}" if errors else "")


def _format(cells: Sequence[Measured], name: str) -> str:
    """Return one share of each number of seeds, without marks."""
    shares: list[Share] = [make_share(getattr(row, name), row.repetitions) for row in cells]
    return format_shares([(share, "") for share in shares])


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate all worlds and write the page."""
    parser = argparse.ArgumentParser(description="Measure the coverage of means over patients and over frames.")
    parser.add_argument("--repetitions", type=int, default=2000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="at most 60 studies of each world, of 12 and 30 videos")
    parser.add_argument("--out", type=Path, default=Path("docs/videos.md"))
    options = parser.parse_args(arguments)
    repetitions = min(options.repetitions, 60) if options.quick else options.repetitions
    subjects = SUBJECTS[:2] if options.quick else SUBJECTS
    text, failures = report(measure_all(repetitions, options.jobs, subjects))
    options.out.write_text(text, encoding="utf-8")
    print(f"{options.out}: {len(failures)} cells have a mark" + "".join(f"\n- {line}" for line in failures))
    return 0


_OPENING = """
# Videos of unequal length

Do the intervals cover where videos have 1 to 40 frames? By default each patient counts once
(`report.aggregate=subject`), and the quantity of interest is the mean over patients. The effect of a grouping may
depend on a video's number of frames (*informative*). Each world is simulated in {repetitions:,} studies of each size;
the columns list {seeds} seeds. `make bench-coverage` rewrites this page. Worlds:
`benchmarks/evidence/worlds_aggregate.py`.
"""
_REQUIRED = """
**Required** from {fewest} videos: coverage of {low:.1f} to {high:.1f} %, and at most {refused:.0f} % of the studies
without a verdict (*refused*, note `too few`).
"""
_FRAMES = """
## Means over frames

The same studies with `report.aggregate=sample`, in which a patient counts by the number of its frames. The intervals
are for the mean over frames, which differs from the mean over patients where the effect is informative. No bounds are
required.
"""


if __name__ == "__main__":
    sys.exit(main())
