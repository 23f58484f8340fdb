"""Tests of the check that subsets are disjoint, from split.csv as it is when the report is written."""

from pathlib import Path

import pytest

from tests.report.sweeps import FakeSweep
from usaggr.analysis.collect import Collection, collect

HEAD = "task_id,sample_id,image_path,subject_id,component,fold,rank_0"
LINES = ["t,a.png,../i/a.png,17,0,train,0", "t,b.png,../i/b.png,17,0,train,1", "t,c.png,../i/c.png,18,1,test,"]


def collected(folder: Path, *tables: list[str]) -> Collection:
    """Collect folders of one study without finished runs, one folder per split.csv."""
    sweeps = [FakeSweep(folder / str(i), tasks=("breast_lesion",), groupings=("unified",)) for i in range(len(tables))]
    for sweep, lines in zip(sweeps, tables, strict=True):
        sweep.write_plan()
        (sweep.directory / "split.csv").write_text("\n".join(lines) + "\n")
    return collect([sweep.directory for sweep in sweeps])


def identified(*marks: tuple[str, str]) -> list[str]:
    """Return the lines with the subject as written and the hash of the image."""
    ends = [("subject_written", "image_sha256"), *marks]
    return [f"{line},{','.join(end)}" for line, end in zip([HEAD, *LINES], ends, strict=True)]


def shared(collection: Collection) -> dict[str, int]:
    counts = collection.fold_counts.items()
    return {name.partition("_")[0]: count for name, count in counts if name.endswith("_in_two_folds") and count}


def test_a_valid_split_is_disjoint(tmp_path: Path) -> None:
    collection = collected(tmp_path, identified(("17", "h1"), ("17.0", "h2"), ("18", "h3")))
    assert collection.disjoint
    counts = collection.fold_counts
    assert [counts[kind] for kind in ("components", "images", "files", "subjects")] == [2, 3, 3, 2]


@pytest.mark.parametrize(
    ("lines", "kinds"),
    [
        (identified(("17", "h1"), ("17", "h2"), ("17.0", "h3")), {"subjects": 1}),
        (identified(("17", "h1"), ("17", "h2"), ("18", "h1")), {"images": 1}),
        ([HEAD, *LINES, "u,c.png,../i/x/../c.png,19,2,val,"], {"files": 1}),
        ([HEAD, *LINES, "u,d.png,../i/d.png,18.00,2,train,5"], {"subjects": 1}),
        ([HEAD, *LINES, "u,d.png,../i/d.png,19,0,test,"], {"components": 1}),
    ],
)
def test_leakage_in_a_modified_split_csv_is_found(tmp_path: Path, lines: list[str], kinds: dict[str, int]) -> None:
    collection = collected(tmp_path, lines)
    assert shared(collection) == kinds
    assert not collection.disjoint


def test_folders_that_put_one_patient_into_two_subsets_are_not_disjoint_together(tmp_path: Path) -> None:
    other = [HEAD, *LINES[:2], LINES[2].replace(",test,", ",train,9")]
    assert shared(collected(tmp_path, [HEAD, *LINES], other)) == {"components": 1, "files": 1, "subjects": 1}


def test_dropped_samples_are_in_no_subset(tmp_path: Path) -> None:
    assert collected(tmp_path, [HEAD, *LINES, "u,c.png,../i/c.png,18,1,dropped,"]).disjoint


def test_leakage_found_with_the_split_is_reported_even_if_split_csv_is_disjoint(tmp_path: Path) -> None:
    sweep = FakeSweep(tmp_path / "study", data={"disjoint": {"images": 9, "images_in_two_folds": 2}})
    sweep.write_plan()
    (sweep.directory / "split.csv").write_text("\n".join([HEAD, *LINES]) + "\n")
    assert shared(collect([sweep.directory])) == {"images": 2}
