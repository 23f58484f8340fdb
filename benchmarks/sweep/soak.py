"""Many tiny runs under random kills until all are done, beside the same study undisturbed; for docs/reliability.md.

    python -m benchmarks.sweep.soak [--runs 500] [--seed 0] [--page docs/reliability.md]

Main processes and workers of the real command get SIGKILL at random times, and the same command is given again. What
must hold afterwards is checked; what does not is an error.
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
from benchmarks.sweep.soak_checks import all_done, continued, executions, leftovers, nothing_lives, same_scores
from benchmarks.sweep.soak_kills import Kills, Pace
from benchmarks.sweep.soak_page import Soaked, report
from benchmarks.sweep.soak_sweeps import Sweeps
from usaggr.progress import NoProgress, Progress, RichProgress

WORKERS = 2
_STUDY = "demo"
_UNDER_KILLS = ("executor.attempts=9", "training.checkpoint=0.001")
"""A run may be hit again and again, by no fault of its own; and has a checkpoint every 60 ms, to go on from."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Tiny runs under random kills, beside the same study undisturbed.")
    parser.add_argument("--runs", type=int, default=500, help=f"a multiple of {BLOCKS}")
    parser.add_argument("--seed", type=int, default=0, help="of the kills")
    parser.add_argument("--page", type=Path, default=Path("docs/reliability.md"))
    options = parser.parse_args(arguments)
    if options.runs < BLOCKS or options.runs % BLOCKS:
        parser.error(f"--runs: a multiple of {BLOCKS}, the runs of a seed")
    with tempfile.TemporaryDirectory() as folder:
        text = report(soak(Path(folder), options.runs, options.seed, Pace(), RichProgress()), machine(1))
    write_part(options.page, "soak", text)
    print(text)
    return 0


def soak(folder: Path, runs: int, seed: int, pace: Pace, progress: Progress | None = None) -> Soaked:
    """Sweep so many runs (a multiple of BLOCKS) undisturbed and under kills, and compare.

    Raises:
        SoakError: a sweep ends by itself with an error or hangs, a result is made anew, or processes, files or other
            scores come of the kills.
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
    nothing_lives(undisturbed.sessions | sweeps.sessions)
    all_done(rough / _STUDY, runs)
    logs = [path.read_text() for path in rough.glob(f"{_STUDY}/runs/*/log.txt")]
    rows = same_scores(calm / _STUDY, rough / _STUDY)
    return Soaked(
        runs=runs,
        seed=seed,
        pace=pace,
        kills=kills.done,
        invocations=len(sweeps.sessions),
        calm_seconds=between - began,
        seconds=ended - between,
        executions=executions(logs, kills.done, WORKERS),
        continued=continued(logs),
        rows=rows,
        leftovers=leftovers(rough / _STUDY, folder / "rough-cache"),
    )


if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = "1"
    sys.exit(main())
