"""Check that a change of the code changes no result: `python -m benchmarks.same_results --before COMMIT`.

Sweeps small studies with an earlier commit and with the working tree, on this machine, and compares the tables of the
results contract byte by byte. The earlier commit's results are then read, continued and predicted with by the working
tree: it must find every run done, build the same report, and predict the same.

Studies that need real images are left out where USAGGR_TEST_DATA is not set, which is printed.
"""

import argparse
import os
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
"""Files of outputs/<name>/ that are compared; of the optional ones, both sides or neither must have them."""
_TIMES = {"report/tables/summary.csv": ("train_seconds",)}
"""Columns that hold measured times."""
_FEW = ("data.image_size=32", "training.budget='64 examples'", "training.min_examples=32", "executor.threads=1")
_PHANTOMS = ("data=synthetic", "training=quick", "data.synthetic.samples_per_task=40", "scale=full")
_TASKS = "data.synthetic.tasks=[breast_2cls,breast_lesion,fetal_femur,thyroid_nodule_det]"


@dataclass(frozen=True)
class Study:
    """A study, cut small."""

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
    parser = argparse.ArgumentParser(description="Whether results are those of an earlier commit, byte by byte.")
    parser.add_argument("--before", required=True, help="commit whose results are expected")
    parser.add_argument("--keep", type=Path, help="folder for the results; default: one that is removed")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="same-results-") as temporary:
        folder = options.keep or Path(temporary)
        earlier = Path(temporary) / "checkout"
        subprocess.run(["git", "worktree", "add", "--force", "--detach", earlier, options.before], cwd=ROOT, check=True)
        try:
            found = [line for study in STUDIES for line in compare(study, earlier, folder)]
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", earlier], cwd=ROOT, check=True)
    print("\n".join(found) or "all results are the same")
    return 1 if found else 0


def compare(study: Study, earlier: Path, folder: Path) -> list[str]:
    """Return what differs in the results of one study, in words."""
    images = os.environ.get("USAGGR_TEST_DATA")
    if study.needs_images and not images:
        print(f"{study.name} on real images: left out, USAGGR_TEST_DATA is not set")
        return []
    overrides = [text.format(images=images) if "{images}" in text else text for text in study.overrides]
    name = f"{study.name}{'_real' if study.needs_images else ''}"
    words = ["sweep", study.name, *_FEW, *overrides, f"name={name}", "training.keep_weights=scored"]
    before, after = folder / "before", folder / "after"
    run_usaggr(earlier, [*words, f"outputs={before}"])
    run_usaggr(ROOT, [*words, f"outputs={after}"])
    found = [f"{name}: {line}" for line in differences(before / name, after / name)]
    # The working tree reads the earlier results: nothing is left to train, and the report is the same.
    states = sorted((path, path.stat().st_mtime_ns) for path in (before / name).glob("runs/*/result.json"))
    tables = contents(before / name)
    run_usaggr(ROOT, [*words, f"outputs={before}"])
    run_usaggr(ROOT, ["report", str(before / name)])
    if states != sorted((path, path.stat().st_mtime_ns) for path in (before / name).glob("runs/*/result.json")):
        found.append(f"{name}: finished runs of the earlier commit were trained again")
    found += [f"{name}, read again: {file}" for file in TABLES if contents(before / name)[file] != tables[file]]
    return found


def differences(before: Path, after: Path) -> Iterator[str]:
    """Yield the files that differ, and the predictions of each run."""
    expected, actual = contents(before), contents(after)
    yield from (file for file in TABLES if expected[file] != actual[file])
    for run in sorted(path.parent for path in before.glob("runs/*/result.json")):
        for kind in ("predictions.parquet", "curve.csv"):
            other = after / "runs" / run.name / kind
            if not other.is_file() or other.read_bytes() != (run / kind).read_bytes():
                yield f"runs/{run.name}/{kind}"


def contents(folder: Path) -> dict[str, str | None]:
    """Return the text of each table without the columns that hold times; None where there is no such file."""
    return {file: without(folder / file, _TIMES.get(file, ())) for file in TABLES}


def without(path: Path, columns: Sequence[str]) -> str | None:
    """Return a file's text without some columns of its table."""
    if not path.is_file():
        return None
    text = path.read_text()
    if not columns:
        return text
    rows = [line.split(",") for line in text.splitlines()]
    kept = [position for position, name in enumerate(rows[0]) if name not in columns]
    return "\n".join(",".join(row[position] for position in kept) for row in rows)


def run_usaggr(checkout: Path, words: Sequence[str]) -> None:
    """Run a command of usaggr from a checkout, in whose folder the studies are."""
    module = "usaggr.cli.main" if (checkout / "usaggr/cli").is_dir() else "usaggr.cli"
    environment = os.environ | {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", f"from {module} import main\nif __name__ == '__main__': main()", *words]
    subprocess.run(command, cwd=checkout, env=environment, check=True)


if __name__ == "__main__":
    sys.exit(main())
