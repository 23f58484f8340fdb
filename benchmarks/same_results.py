"""Check that a change of the code changes no result: `python -m benchmarks.same_results --before COMMIT`.

The script sweeps small studies on this machine with an earlier commit and with the working tree, and compares the
tables of the results contract byte by byte. The working tree then reads and continues the earlier commit's results: it
must find every run finished and build the same report.

Studies that need real images are skipped with a message if USAGGR_TEST_DATA is not set.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
TABLES = (
    "plan.csv", "split.csv", "groupings.yaml", "report/tables/scores.csv", "report/tables/comparison.csv",
    "report/tables/summary.csv", "report/tables/variants.csv", "report/tables/controls.csv",
    "report/tables/staged.csv", "report/tables/routing.csv", "report/tables/routing_similarity.csv",
)  # fmt: skip
"""Compared files of outputs/<name>/; a file that a study may lack must exist on both sides or on neither."""
_TIMES = {"report/tables/summary.csv": ("train_seconds",)}
"""Columns of measured times, which differ between two runs of the same code."""
_FEW = ("data.image_size=32", "training.budget='64 examples'", "training.min_examples=32", "executor.threads=1")
_PHANTOMS = ("data=synthetic", "training=quick", "data.synthetic.samples_per_task=40", "scale=full")
_TASKS = "data.synthetic.tasks=[breast_2cls,breast_lesion,fetal_femur,thyroid_nodule_det]"


@dataclass(frozen=True)
class Study:
    """A shipped study with overrides that make it small."""

    name: str
    overrides: tuple[str, ...]
    needs_images: bool = False


STUDIES = (
    Study("demo", (_TASKS, "data.synthetic.samples_per_task=40", "seeds=[0,1]")),
    Study("controls", (*_PHANTOMS, _TASKS, "seeds=[0,1]", "variants={base:[],slow:['training.learning_rate=1e-3']}")),
    Study("staged", (*_PHANTOMS, _TASKS, "seeds=[0]")),
    Study(
        "m2dino_ablation",
        (*_PHANTOMS, _TASKS, "seeds=[0]", "model=m2dino_tiny", "model.weights=null", "training.precision=32-true"),
    ),
    Study("demo", ("data=fmuia", "data.root={images}", "scale=full", "seeds=[0]"), needs_images=True),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare all studies and return 1 if a byte differs."""
    parser = argparse.ArgumentParser(description="Compare results with those of an earlier commit, byte by byte.")
    parser.add_argument("--before", required=True, help="commit whose results are expected")
    parser.add_argument("--keep", type=Path, help="folder for the results; default: a temporary folder")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="same-results-") as temporary:
        folder = options.keep or Path(temporary)
        earlier = Path(temporary) / "checkout"
        subprocess.run(["git", "worktree", "add", "--force", "--detach", earlier, options.before], cwd=ROOT, check=True)
        try:
            messages = [line for study in STUDIES for line in compare(study, earlier, folder)]
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", earlier], cwd=ROOT, check=True)
    print("\n".join(messages) or "all results are the same")
    return 1 if messages else 0


def compare(study: Study, earlier: Path, folder: Path) -> list[str]:
    """Return a message for each difference in the results of one study."""
    images = os.environ.get("USAGGR_TEST_DATA")
    if study.needs_images and not images:
        print(f"{study.name} on real images: skipped because USAGGR_TEST_DATA is not set")
        return []
    overrides = [text.format(images=images) if "{images}" in text else text for text in study.overrides]
    name = f"{study.name}{'_real' if study.needs_images else ''}"
    words = ["sweep", study.name, *_FEW, *overrides, f"name={name}", "training.keep_weights=scored"]
    before, after = folder / "before", folder / "after"
    run_usaggr(earlier, [*words, f"outputs={before}"])
    run_usaggr(ROOT, [*words, f"outputs={after}"])
    messages = [f"{name}: {line}" for line in find_differences(before / name, after / name)]
    # The working tree reads the earlier results: it must train nothing and build the same report.
    states = sorted((path, path.stat().st_mtime_ns) for path in (before / name).glob("runs/*/result.json"))
    tables = read_tables(before / name)
    run_usaggr(ROOT, [*words, f"outputs={before}"])
    run_usaggr(ROOT, ["report", str(before / name)])
    if states != sorted((path, path.stat().st_mtime_ns) for path in (before / name).glob("runs/*/result.json")):
        messages.append(f"{name}: finished runs of the earlier commit were trained again")
    messages += [f"{name}, read again: {file}" for file in TABLES if read_tables(before / name)[file] != tables[file]]
    return messages


def find_differences(before: Path, after: Path) -> Iterator[str]:
    """Yield each table, and each run's predictions or learning curve, that differs."""
    expected, actual = read_tables(before), read_tables(after)
    yield from (file for file in TABLES if expected[file] != actual[file])
    for run in sorted(path.parent for path in before.glob("runs/*/result.json")):
        for kind in ("predictions.parquet", "curve.csv"):
            other = after / "runs" / run.name / kind
            if not other.is_file() or other.read_bytes() != (run / kind).read_bytes():
                yield f"runs/{run.name}/{kind}"


def read_tables(folder: Path) -> dict[str, str | None]:
    """Return the text of each table without its columns of times, or None for a missing file."""
    return {file: read_without(folder / file, _TIMES.get(file, ())) for file in TABLES}


def read_without(path: Path, columns: Sequence[str]) -> str | None:
    """Return a file's text without some columns of its table, with `0` for a negative zero."""
    if not path.is_file():
        return None
    # Equal scores of a metric that is better if lower had a difference of -0 until sums of floats were exact.
    text = re.sub(r"(?<=[,\n])-0(?:\.0)?(?=[,\n])", "0", path.read_text(encoding="utf-8"))
    if not columns:
        return text
    lines = [line.split(",") for line in text.splitlines()]
    positions = [position for position, name in enumerate(lines[0]) if name not in columns]
    return "\n".join(",".join(row[position] for position in positions) for row in lines)


def run_usaggr(checkout: Path, words: Sequence[str]) -> None:
    """Run a command of usaggr in the folder of a checkout, which contains the studies."""
    module = "usaggr.cli.main" if (checkout / "usaggr/cli").is_dir() else "usaggr.cli"
    environment = os.environ | {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", f"from {module} import main\nif __name__ == '__main__': main()", *words]
    subprocess.run(command, cwd=checkout, env=environment, check=True)


if __name__ == "__main__":
    sys.exit(main())
