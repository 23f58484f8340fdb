"""The tests of damaged files are complete: a new file of the contract, or a new module that reads one, fails here."""

import re
from pathlib import Path

import usaggr
from tests.faults.contract_readers import FILES, PASSED

NOT_READ = {
    "sweeps.csv",
    "contract.sha256",
    "log.txt",
    "logs/",
    "checkpoint/",
    "parent/",
    "weights/",
    "runs/<run_id>/",
    "report/",
    "retrained/",
}
"""Entries of docs/results.md that no command reads as a table or mapping (checkpoints: training/test_resume.py)."""


def test_every_documented_file_is_damaged_here() -> None:
    text = (Path(__file__).parents[2] / "docs" / "results.md").read_text().partition("## Tables")[0]
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    listed = {name for cell in cells[: cells.index(" `task` ") if " `task` " in cells else None] for name in
              re.findall(r"`([^`]+)`", cell) if "." in name or name.endswith("/")}  # fmt: skip
    tabled = {name.removeprefix("RUN/") for name in (*FILES, *PASSED)}
    assert len(listed) > 15
    damaged = tabled | NOT_READ
    assert {name for name in listed if not any(prefix.startswith(name) for prefix in damaged)} == set()


READING = re.compile(r"(?<!def )\b(?:parse_(?:json|yaml|csv|csv_table)|pd\.read_csv|read_bounded_table)\(")
WHO_READS = {
    "results/integrity.py": "all mappings under outputs/",
    "results/plan.py": "plan.csv",
    "results/split.py": "split.csv",
    "results/affinity.py": "affinity.csv",
    "results/routing.py": "routing.csv",
    "results/reported_seeds.py": "reported_seeds.csv, and the comparison.csv of a report",
    "results/curve.py": "curve.csv",
    "results/run_settings.py": "the network and the packages in run.yaml",
    "results/predictions.py": "predictions.parquet",
    "training/checkpoint.py": "the head of a checkpoint",
    "report/tasks/saved_predictions.py": "predictions of single samples, of runs that the report believes",
    "training/validation_curve.py": "a curve in a checkpoint, whose hash is checked",
}
ELSEWHERE = {
    "challenge/submission.py": "predictions that others made",
    "inference/prediction_folder.py": "the journal of a folder of predictions",
    "config/folders.py": "configuration",
    "data/read/file_facts.py": "the cache",
    "data/read/file_kinds.py": "the cache",
    "data/batches/cache_build.py": "the cache",
    "data/batches/cache_check.py": "the cache",
    "data/read/index.py": "an index of data",
    "data/read/labels.py": "labels of data",
    "tracking/backends.py": "what the same run has logged",
    "data/sources/coco_file.py": "data in another layout",
    "data/sources/write_task.py": "the index that it has written",
    "data/sources/table_file.py": "labels of data in a table of their own",
    "data/sources/presets.py": "the subsets of public data sets",
    "data/read/class_names.py": "labels of data",
    "cli/doctor_machine.py": "the answer of a process of its own",
    "sweep/inspect/planned_networks.py": "the answer of a process of its own",
    "models/check_process.py": "the request of the process that started it",
    "sweep/network_sizes.py": "the cache",
}


def test_no_other_module_reads_files_of_a_results_folder() -> None:
    """A new reader uses usaggr/results/integrity.py, or is listed here and tested above."""
    package = Path(usaggr.__file__).parent
    readers = {str(path.relative_to(package)) for path in package.rglob("*.py") if READING.search(path.read_text())}
    assert readers == WHO_READS.keys() | ELSEWHERE.keys()
