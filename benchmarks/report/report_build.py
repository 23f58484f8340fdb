"""Measure time and memory of building a report at the size of the paper's study.

    python -m benchmarks.report.report_build [--folder DIR] [--keep]

The sweep has 420 runs of 27 tasks under three groupings, with predictions for 8,000 test samples for each grouping,
scale and seed, including masks of 256 x 256 pixels. A factory of the tests makes these results up. The report is built
in a new process.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from tests.report.sweeps import CATALOGUE, FakeSweep, level
from usaggr.metrics.names import get_main_metric
from usaggr.results.predictions import encode_mask

RUNS, SAMPLES = 420, 8000

_BUILD = """
import json, resource, sys, time
from pathlib import Path
start = time.perf_counter()
from usaggr.report.build import build_report
report = build_report([Path(sys.argv[1])])
seconds = time.perf_counter() - start
mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
size = (report / "index.html").stat().st_size / 2**20
print(json.dumps({"seconds": seconds, "peak_mib": mib, "page_mib": size}))
"""


def make_sweep(folder: Path) -> int:
    """Write the sweep and return its number of runs."""
    tasks = tuple(CATALOGUE)
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:256, :256]
    mask = (((y - 128) / 80) ** 2 + ((x - 120) / 60) ** 2 < 1 + 0.1 * np.sin(7 * np.arctan2(y - 128, x - 120))).astype(
        np.uint8
    )
    skill = {task: rng.uniform(0.4, 0.8) for task in tasks}
    sharing = {task: rng.normal(0, 0.06) for task in tasks}

    def scorer(task: str, block: tuple[str, ...], scale: float | int, seed: int) -> dict[str, float]:
        away = np.random.default_rng([seed, len(block), round(100 * scale), tasks.index(task)]).normal(0, 0.015)
        gain = sharing[task] * np.log(len(block)) / np.log(27) - 0.1 * (1 - scale)
        return level(CATALOGUE[task], skill[task] + gain + away)

    frames = 2
    subjects = round(SAMPLES / len(tasks) / frames)
    sweep = FakeSweep(
        folder, tasks, scales=(0.25, 1.0), seeds=(0, 1, 2, 3, 4), subjects=subjects, frames=frames, spread=0.1,
        mask=encode_mask(mask), settings={"report": {"formats": ["png", "svg"]}},
    )  # fmt: skip
    per_setting = len(sweep.runs()) / 10
    sweep.seeds = tuple(range(round(RUNS / per_setting / 2)))
    sweep.finish(scorer)
    for run, _ in sweep.runs():
        (folder / "runs" / run.run_id / "curve.csv").write_text(_curve(run.tasks), encoding="utf-8")
    return len(sweep.runs())


def _curve(tasks: tuple[str, ...]) -> str:
    """Return a learning curve of ten validations that rises and levels off."""
    names = [f"{task}:{get_main_metric(CATALOGUE[task].type).name}" for task in tasks]
    lines = [",".join(["step", "progress", "learning_rate", "training_loss", "val_loss", "skill", *names])]
    for i in range(1, 11):
        skill = 0.6 * (1 - 0.5**i)
        scores = [
            level(CATALOGUE[task], skill)[name.partition(":")[2]] for task, name in zip(tasks, names, strict=True)
        ]
        lines.append(",".join(f"{value:.5g}" for value in (i, i / 10, 1e-3, 1 - skill, 1 - skill, skill, *scores)))
    return "\n".join(lines) + "\n"


def main() -> None:
    """Make the sweep, build its report, and print time and memory."""
    parser = argparse.ArgumentParser(description="Time and memory of building a report of the paper's size.")
    parser.add_argument(
        "--folder", type=Path, help="folder of the sweep, which is made if it is empty; default: a temporary one"
    )
    parser.add_argument("--keep", action="store_true", help="do not remove the sweep afterwards")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp()) / "paper"
    runs = len(list(folder.glob("runs/*"))) or make_sweep(folder)
    print(f"{runs} runs in {folder}", file=sys.stderr)
    build = subprocess.run(
        [sys.executable, "-c", _BUILD, str(folder)], capture_output=True, text=True, check=True, encoding="utf-8"
    )
    print(json.dumps({"runs": runs, **json.loads(build.stdout)}))
    if not options.keep:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
