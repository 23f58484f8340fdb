"""Train many tiny runs under random kills and compare with the undisturbed study; for docs/reliability.md.

    python -m benchmarks.sweep.soak [--runs 500] [--seed 0] [--page docs/reliability.md]

Main processes and workers of the real command get SIGKILL at random times, and the same command is run again until all
runs are finished. A condition that does not hold afterwards is an error.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.generated import machine, write_part
from benchmarks.sweep.scaling import BLOCKS, tiny_study
from benchmarks.sweep.soak_checks import (
    check_all_runs_finished,
    check_no_process_is_left,
    check_same_scores,
    count_attempts,
    count_continuations,
    count_leftovers,
)
from benchmarks.sweep.soak_kills import Kills, Pace
from benchmarks.sweep.soak_page import Soaked, report
from benchmarks.sweep.soak_sweeps import Sweeps
from usaggr.progress import NoProgress, Progress, RichProgress

WORKERS = 2
_STUDY = "demo"
_UNDER_KILLS = ("executor.attempts=9", "training.checkpoint=0.001")
"""Settings under kills: a run may be killed up to 9 times, and has a checkpoint every 60 ms to continue from."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the soak test and write the section of the page."""
    parser = argparse.ArgumentParser(
        description="Train tiny runs under random kills, and compare with undisturbed ones."
    )
    parser.add_argument("--runs", type=int, default=500, help=f"number of runs, a multiple of {BLOCKS}")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random kills")
    parser.add_argument("--page", type=Path, default=Path("docs/reliability.md"))
    options = parser.parse_args(arguments)
    if options.runs < BLOCKS or options.runs % BLOCKS:
        parser.error(f"--runs must be a multiple of {BLOCKS}, the number of runs per seed; got {options.runs}")
    with tempfile.TemporaryDirectory() as folder:
        text = report(soak(Path(folder), options.runs, options.seed, Pace(), RichProgress()), machine(1))
    write_part(options.page, "soak", text)
    print(text)
    return 0


def soak(folder: Path, runs: int, seed: int, pace: Pace, progress: Progress | None = None) -> Soaked:
    """Sweep the same runs undisturbed and under kills, and compare.

    Args:
        folder: Folder for both studies.
        runs: Number of runs, a multiple of BLOCKS.
        seed: Seed of the kills.
        pace: Times between kills.
        progress: Progress display; None: no display.

    Raises:
        SoakError: if a sweep fails by itself or hangs, if a finished run is trained again, or if the kills leave
            processes or files or change scores.
    """
    progress = progress or NoProgress()
    calm, rough = folder / "calm", folder / "rough"
    began = time.monotonic()
    undisturbed = Sweeps(tiny_study(calm, folder / "calm-cache", runs, WORKERS), calm / _STUDY, None)
    undisturbed.until_done(runs, "undisturbed", progress)
    between = time.monotonic()
    kills = Kills(seed, pace)
    words = (*tiny_study(rough, folder / "rough-cache", runs, WORKERS), *_UNDER_KILLS)
    sweeps = Sweeps(words, rough / _STUDY, kills)
    sweeps.until_done(runs, "under kills", progress)
    ended = time.monotonic()
    progress.finish()
    check_no_process_is_left(undisturbed.sessions | sweeps.sessions)
    check_all_runs_finished(rough / _STUDY, runs)
    logs = [path.read_text(encoding="utf-8") for path in rough.glob(f"{_STUDY}/runs/*/log.txt")]
    equal_rows = check_same_scores(calm / _STUDY, rough / _STUDY)
    return Soaked(
        runs=runs,
        seed=seed,
        pace=pace,
        kills=kills.counts,
        invocations=len(sweeps.sessions),
        calm_seconds=between - began,
        seconds=ended - between,
        executions=count_attempts(logs, kills.counts, WORKERS),
        continued=count_continuations(logs),
        rows=equal_rows,
        leftovers=count_leftovers(rough / _STUDY, folder / "rough-cache"),
    )


if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = "1"
    sys.exit(main())
