import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.data.factories import (
    CONF,
    Row,
    change_cell,
    data_config,
    noise,
    read_rows,
    tiny_data,
    write_image,
    write_rows,
)
from usaggr.config.study import DataConfig
from usaggr.data.read.load_dataset import check_dataset, load_dataset
from usaggr.data.samples import Dataset
from usaggr.errors import ConfigError, DataError
from usaggr.tasks import CATALOGUE

REAL = os.environ.get("USAGGR_TEST_DATA")
real_data = pytest.mark.skipif(not REAL, reason="USAGGR_TEST_DATA is not set")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tiny_data(tmp_path / "data")


@pytest.fixture
def load(root: Path, tmp_path: Path) -> Callable[..., Dataset]:
    return lambda **changes: load_dataset(data_config(root, tmp_path / "cache", **changes))


def change_rows(root: Path, name: str, change: Callable[[int, Row], Row]) -> None:
    write_rows(root, name, [change(i, row) for i, row in enumerate(read_rows(root, name))])


def rename_task(root: Path, name: str, task_id: str) -> None:
    change_rows(root, name, lambda _, row: {**row, "task_id": task_id})


def test_samples_have_the_values_of_the_index(root: Path, load: Callable[..., Dataset]) -> None:
    data = load()
    assert {t.id: (t.type, t.num_classes) for t in data.tasks.values()} == {
        "cls": ("classification", 3),
        "det": ("detection", 1),
        "reg": ("regression", 2),
        "seg": ("segmentation", 2),
    }
    first = {task_id: samples[1] for task_id, samples in data.by_task.items()}
    assert first["cls"].label == 1
    assert first["det"].box == (2, 1.5, 20, 21)
    assert first["reg"].points == ((1.5, 3), (7, 8.25))
    assert first["seg"].mask_path == root / "seg" / "masks" / "1.png"
    assert first["seg"].image_path == root / "seg" / "s0_1.png"
    for task_id, sample in first.items():
        assert sample.sample_id == f"../{task_id}/s0_1.png"
        assert (sample.height, sample.width, sample.csv_file, sample.row) == (24, 32, f"{task_id}.csv", 3)
    assert data.skipped == ()


def test_nothing_depends_on_the_order_or_the_number_of_files(root: Path, load: Callable[..., Dataset]) -> None:
    before = load()
    table = [row for name in ("seg", "reg", "det", "cls") for row in reversed(read_rows(root, f"{name}.csv"))]
    columns = list(dict.fromkeys(column for row in table for column in row))
    shutil.rmtree(root / "csv_files")
    write_rows(root, "all.csv", [{column: row.get(column, "") for column in columns} for row in table])
    after = load()
    assert after.content_hash == before.content_hash
    assert [s.sample_id for s in after.samples] == [s.sample_id for s in before.samples]


def test_whole_numbers_may_be_written_as_floats(root: Path, load: Callable[..., Dataset]) -> None:
    before = load().content_hash
    change_rows(root, "cls.csv", lambda _, row: {**row, "num_classes": "3.0", "mask": row["mask"] + ".0"})
    assert load().content_hash == before


@pytest.mark.parametrize(
    "change",
    [
        lambda root: write_image(root / "cls" / "s0_0.png", noise(99)),
        lambda root: change_cell(root, "cls.csv", 2, "mask", "2"),
        lambda root: change_cell(root, "det.csv", 2, "x_min", "2.25"),
        lambda root: change_cell(root, "reg.csv", 2, "point_1_xy", "[1, 1]"),
        lambda root: write_image(root / "seg" / "masks" / "0.png", noise(3) % 2),
        lambda root: change_rows(root, "cls.csv", lambda _, row: {**row, "subject_id": "one"}),
    ],
)
def test_the_content_hash_changes_with_image_label_and_subject(
    root: Path, load: Callable[..., Dataset], change: Callable[[Path], Any]
) -> None:
    before = load().content_hash
    change(root)
    assert load().content_hash != before


def test_the_content_hash_does_not_depend_on_the_folder(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root, tmp_path / "copy")
    a, b = (load_dataset(data_config(folder, tmp_path / "cache")) for folder in (root, tmp_path / "copy"))
    assert a.content_hash == b.content_hash


def test_official_folds_are_read_in_every_spelling(root: Path, load: Callable[..., Dataset]) -> None:
    for spellings, fold in (
        (("Train", "train", "training", "TRAINING"), "train"),
        (("val", "valid", "Validation", ""), "val"),
    ):
        change_rows(root, "cls.csv", lambda i, row, spellings=spellings: {**row, "split": spellings[i]})  # type: ignore[misc]
        assert [s.official_subset for s in load().by_task["cls"]] == [fold if text else None for text in spellings]
    change_rows(root, "cls.csv", lambda i, row: {**row, "split": ("test", "Testing")[i % 2]})
    assert {s.official_subset for s in load().by_task["cls"]} == {"test"}


def test_one_image_may_have_the_same_label_in_two_tasks(root: Path, load: Callable[..., Dataset]) -> None:
    write_rows(root, "cls2.csv", [{**row, "task_id": "cls2"} for row in read_rows(root, "cls.csv")])
    by_task = load().by_task
    first, second = ([(s.sample_id, s.image_hash, s.label) for s in by_task[task]] for task in ("cls", "cls2"))
    assert first == second


def test_subjects_come_from_the_index_the_names_or_the_images(root: Path, load: Callable[..., Dataset]) -> None:
    change_rows(root, "cls.csv", lambda i, row: {**row, "subject_id": "p1" if i < 2 else ""})
    data = load(subject_patterns={"cls": r"^(s\d+)", "det": r"s\d+", "absent": "x"})
    assert [s.subject_id for s in data.by_task["cls"]] == ["p1", "p1", "s1", "s1"]
    assert [s.subject_id for s in data.by_task["det"]] == ["s0", "s0", "s1", "s1"]
    assert [s.subject_id for s in data.by_task["reg"]] == [s.image_hash for s in data.by_task["reg"]]


def test_group_and_organ_come_from_index_then_config_then_catalogue(root: Path, load: Callable[..., Dataset]) -> None:
    rename_task(root, "det.csv", "thyroid_nodule_det")
    rename_task(root, "cls.csv", "breast_3cls")
    change_rows(
        root, "cls.csv", lambda i, row: {**row, "clinical_group": "mammary" if i == 2 else "", "organ": "chest"}
    )
    data = load(
        clinical_groups={"breast_3cls": "config", "seg": "config"}, organs={"breast_3cls": "config", "seg": "config"}
    )
    assert {t.id: (t.clinical_group, t.organ) for t in data.tasks.values()} == {
        "breast_3cls": ("mammary", "chest"),
        "seg": ("config", "config"),
        "thyroid_nodule_det": ("thyroid", "thyroid"),
        "reg": ("reg", "reg"),
    }
    assert [w for w in data.warnings if "no clinical group for reg:" in w and "data.clinical_groups={reg: ...}" in w]
    assert len(data.warnings) == 2


def test_a_task_of_several_organs_takes_the_configured_organ(root: Path, load: Callable[..., Dataset]) -> None:
    change_rows(root, "cls.csv", lambda i, row: {**row, "organ": ("liver", "kidney")[i % 2]})
    assert load(organs={"cls": "abdomen"}).tasks["cls"].organ == "abdomen"


def test_class_names_of_the_catalog_are_used_only_if_type_and_number_fit(
    root: Path, load: Callable[..., Dataset]
) -> None:
    rename_task(root, "cls.csv", "breast_3cls")
    rename_task(root, "seg.csv", "breast_2cls")  # another type than in the catalog
    assert load().tasks["breast_3cls"].class_names == CATALOGUE["breast_3cls"].class_names
    assert load().tasks["breast_2cls"].class_names == ("background", "class_1")
    assert load(catalogue_names=False).tasks["breast_3cls"].class_names == ("class_0", "class_1", "class_2")
    named = load(class_names={"breast_3cls": ["a", "b", "c"]})
    assert named.tasks["breast_3cls"].class_names == ("a", "b", "c")
    with pytest.raises(ConfigError, match=r"data\.class_names\.breast_3cls: 2 names, but the index has num_classes=3"):
        load(class_names={"breast_3cls": ["a", "b"]})


def test_configured_tasks_that_the_data_do_not_have_are_reported(load: Callable[..., Dataset]) -> None:
    warnings = load(organs={"sge": "x"}, subject_patterns={"absent": "x"}).warnings
    assert "data.organs names tasks that the data do not have: sge" in warnings
    assert not any("absent" in warning for warning in warnings)


@pytest.mark.parametrize(
    ("column", "text", "message"),
    [
        ("num_classes", "4", r"task cls: num_classes is 3 \(cls.csv, line 2\) and 4 \(cls.csv, line 3\)"),
        ("task_name", "segmentation", r"task cls: task_name is classification .* and segmentation \(cls.csv, line 3\)"),
        ("clinical_group", "b", r"task cls: clinical_group is a \(cls.csv, line 2\) and b \(cls.csv, line 3\)"),
    ],
)
def test_an_index_that_contradicts_itself_is_refused(
    root: Path, tmp_path: Path, column: str, text: str, message: str
) -> None:
    change_rows(root, "cls.csv", lambda _, row: {**row, "mask_path": "../seg/masks/0.png", "clinical_group": "a"})
    change_cell(root, "cls.csv", 3, column, text)
    for policy in ("error", "skip"):
        config = data_config(root, tmp_path / "cache", on_bad_sample=policy)
        for read in (load_dataset, check_dataset):
            with pytest.raises(DataError, match=message):
                read(config)


def test_loading_cached_data_imports_no_heavy_library(root: Path, tmp_path: Path) -> None:
    """`plan` and `status` must not spend time on importing libraries that only reading images needs."""
    import subprocess

    load_dataset(data_config(root, tmp_path / "cache"))
    code = (
        "import sys; from pathlib import Path; from tests.data.factories import data_config\n"
        "for name in ('numpy', 'PIL'): sys.modules.pop(name, None)\n"
        "before = set(sys.modules)\n"
        "from usaggr.data.read.load_dataset import load_dataset\n"
        f"load_dataset(data_config(Path({str(root)!r}), Path({str(tmp_path / 'cache')!r})))\n"
        "print(sorted({'numpy', 'cv2', 'PIL', 'pandas', 'scipy', 'torch', 'matplotlib'} & (set(sys.modules) - before)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=CONF.parents[1], check=True
    )
    assert result.stdout.strip() == "[]"


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> DataConfig:
    assert REAL is not None
    return data_config(Path(REAL), tmp_path_factory.mktemp("cache"))


@real_data
def test_real_data_have_no_errors(real: DataConfig) -> None:
    data = load_dataset(real)
    assert (len(data.tasks), len(data.samples), data.skipped) == (15, 2012, ())
    assert {task.type for task in data.tasks.values()} == {"segmentation", "classification", "detection", "regression"}
    assert load_dataset(real) == data


@real_data
def test_errors_planted_in_real_data_are_found(real: DataConfig, tmp_path: Path) -> None:
    """The errors are planted in a copy of the first rows of each index file and of their images."""
    assert real.root is not None
    source, copy = Path(real.root), tmp_path / "copy"
    for path in sorted((source / "csv_files").glob("*.csv")):
        table = read_rows(source, path.name)[:3]
        for row in table:
            for text in (row["image_path"], row.get("mask_path")):
                if text:
                    target = copy / "csv_files" / text
                    target.resolve().parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(source / "csv_files" / text, target.resolve())
        write_rows(copy, path.name, table)
    config = data_config(copy, tmp_path / "cache")
    assert check_dataset(config)[1] == ()
    change_cell(copy, "breast_3cls.csv", 3, "mask", "3")
    change_cell(copy, "breast_lesion_det.csv", 2, "x_max", "5000")
    change_cell(copy, "fetal_head_biometry.csv", 4, "point_4_xy", "")
    truncated = copy / "csv_files" / read_rows(copy, "ovary_tumor.csv")[1]["image_path"]
    truncated.write_bytes(truncated.read_bytes()[:-500])
    assert [(f.csv_file, f.row, f.column, f.kind) for f in check_dataset(config)[1]] == [
        ("breast_3cls.csv", 3, "mask", "label_range"),
        ("breast_lesion_det.csv", 2, "x_max", "box_outside"),
        ("fetal_head_biometry.csv", 4, "point_4_xy", "points"),
        ("ovary_tumor.csv", 3, "image_path", "unreadable_file"),
    ]
