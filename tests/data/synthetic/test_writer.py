"""The phantoms on disk are in the layout that is read, and complete or absent."""

import csv
import json
import multiprocessing
import os
import signal
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from tests.data.factories import CONF, NOTHING_PLANTED, data_config
from usaggr.config.study import DataConfig, SyntheticConfig
from usaggr.data.read.load_dataset import load_dataset
from usaggr.data.show.overview import find_overlaps
from usaggr.data.synthetic import writer
from usaggr.data.synthetic.process_pool import map_in_processes
from usaggr.data.synthetic.writer import prepare_synthetic, write_synthetic
from usaggr.errors import ConfigError, DataError
from usaggr.tasks import CATALOGUE

OF_EACH_TYPE = ("breast_lesion", "breast_2cls", "thyroid_nodule_det", "fetal_femur")


def config(*tasks: str, samples: int = 20, seed: int = 0) -> SyntheticConfig:
    return SyntheticConfig(
        tasks=list(tasks or OF_EACH_TYPE), samples_per_task=samples, frames_per_subject=3, seed=seed, **NOTHING_PLANTED
    )


def phantoms(cache: Path, synthetic: SyntheticConfig) -> DataConfig:
    """Return the shipped defaults of data=synthetic, with these phantoms."""
    values: dict[str, Any] = {}
    for name in ("_base.yaml", "synthetic.yaml"):
        values |= yaml.safe_load((CONF / name).read_text())
    values.pop("defaults")
    return DataConfig(**{**values, "cache_dir": str(cache), "workers": 1, "synthetic": synthetic.model_dump()})


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def read_rows(root: Path, task: str) -> list[dict[str, str]]:
    with (root / "csv_files" / f"{task}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("phantoms") / "set"
    write_synthetic(config(), root, 1)
    return root


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(written: Path, tmp_path: Path) -> None:
    write_synthetic(config(), tmp_path / "again", 1)
    assert files(tmp_path / "again") == files(written)
    write_synthetic(config("breast_lesion", seed=1), tmp_path / "other", 1)
    first, other = files(written), files(tmp_path / "other")
    common = [name for name in other if name in first and "images" in name]
    assert common
    assert all(first[name] != other[name] for name in common)


def test_the_number_of_processes_changes_nothing(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("usaggr.data.synthetic.process_pool._MIN_PIECES_PER_PROCESS", 1)
    write_synthetic(config(), tmp_path / "two", 2)
    assert files(tmp_path / "two") == files(written)


def test_a_task_is_drawn_alike_whatever_else_is_drawn(written: Path, tmp_path: Path) -> None:
    write_synthetic(config("breast_2cls"), tmp_path / "alone", 1)
    alone = files(tmp_path / "alone")
    assert alone == {name: content for name, content in files(written).items() if "breast_2cls" in name}


def test_index_files_have_the_columns_of_their_type(written: Path) -> None:
    common = {"image_path", "task_name", "task_id", "num_classes", "dataset", "subject_id"}
    special = {
        "breast_lesion": {"mask_path"},
        "breast_2cls": {"mask"},
        "thyroid_nodule_det": {"x_min", "y_min", "x_max", "y_max"},
        "fetal_femur": {"point_1_xy", "point_2_xy"},
    }
    for task in OF_EACH_TYPE:
        table = read_rows(written, task)
        assert len(table) == 20
        assert set(table[0]) == common | special[task]
        assert {row["task_id"] for row in table} == {task}
        assert {row["num_classes"] for row in table} == {str(CATALOGUE[task].num_classes)}
        assert {row["image_path"].split("/")[:2][1] for row in table} == {CATALOGUE[task].type.capitalize()}
        for row in table:
            assert row["image_path"].startswith("../")
            assert (written / "csv_files" / row["image_path"]).is_file()
    assert {row["task_name"] for row in read_rows(written, "fetal_femur")} == {"Regression"}
    point = json.loads(read_rows(written, "fetal_femur")[0]["point_1_xy"])
    assert isinstance(point, list)
    assert len(point) == 2


def test_masks_are_png_files_of_class_indices(written: Path) -> None:
    for row in read_rows(written, "breast_lesion"):
        assert row["mask_path"].startswith("../Segmentation/")
        with Image.open(written / "csv_files" / row["mask_path"]) as mask:
            assert (mask.format, mask.mode) == ("PNG", "L")
            assert set(np.unique(np.asarray(mask))) == {0, 1}


def test_images_that_tasks_share_are_the_same_bytes_of_the_same_subject(written: Path) -> None:
    segmentation = {Path(row["image_path"]).name: row for row in read_rows(written, "breast_lesion")}
    shared = [row for row in read_rows(written, "breast_2cls") if Path(row["image_path"]).name in segmentation]
    assert len(shared) >= 8
    for row in shared:
        other = segmentation[Path(row["image_path"]).name]
        assert row["subject_id"] == other["subject_id"]
        contents = [(written / "csv_files" / r["image_path"]).read_bytes() for r in (row, other)]
        assert contents[0] == contents[1]


def test_all_27_tasks_are_read_without_errors(tmp_path: Path) -> None:
    write_synthetic(config(*CATALOGUE), tmp_path / "set", 1)
    dataset = load_dataset(data_config(tmp_path / "set", tmp_path / "cache", catalogue_names=True))
    assert dataset.tasks == dict(sorted(CATALOGUE.items()))
    assert all(len(samples) == 20 for samples in dataset.by_task.values())
    assert (dataset.skipped, dataset.warnings) == ((), ())
    pairs = {(pair.first, pair.second) for pair in find_overlaps(dataset) if pair.images}
    assert pairs == {
        ("breast_2cls", "breast_3cls"),
        ("breast_2cls", "breast_lesion"),
        ("breast_3cls", "breast_lesion"),
        ("lung", "lung_2cls"),
        ("IUGC", "head_symphysis_multi"),
        ("fetal_femur", "fetal_plane_cls"),
    }


def test_an_unknown_task_is_refused_with_the_nearest_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.synthetic\.tasks: unknown 'lungs', did you mean 'lung'\?"):
        write_synthetic(config("lungs"), tmp_path / "set", 1)
    with pytest.raises(ConfigError, match="did you mean"):
        prepare_synthetic(phantoms(tmp_path, config("lungs")), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="not empty"):
        write_synthetic(config("lung"), tmp_path, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


class Counting:
    """A progress that records its calls."""

    def __init__(self) -> None:
        self.total = self.completed = 0
        self.finished = False

    def start(self, description: str, total: int) -> None:
        self.total = total

    def advance(self, n: int = 1) -> None:
        self.completed += n

    def finish(self) -> None:
        self.finished = True


def test_progress_counts_every_distinct_image(tmp_path: Path) -> None:
    progress = Counting()
    write_synthetic(config(), tmp_path / "set", 1, progress)
    names = {Path(name).name for name in files(tmp_path / "set") if "images" in name}
    assert progress.completed == progress.total == len(names)
    assert progress.finished


def test_a_set_is_drawn_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = phantoms(tmp_path, config("fetal_femur"))
    root = prepare_synthetic(data, tmp_path)
    monkeypatch.setattr(writer, "write_synthetic", None)
    assert prepare_synthetic(data, tmp_path) == root
    assert read_rows(root, "fetal_femur")


def test_another_configuration_or_generator_is_another_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    roots = {prepare_synthetic(phantoms(tmp_path, config("FUGC", seed=seed)), tmp_path) for seed in (0, 1)}
    for where, name in ((writer, "GENERATOR_VERSION"), (writer.difficulty, "CONTRAST")):
        with monkeypatch.context() as patch:
            patch.setattr(where, name, 2)
            roots.add(prepare_synthetic(phantoms(tmp_path, config("FUGC")), tmp_path))
    assert len(roots) == 4


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_build_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    data = phantoms(tmp_path, config("fetal_femur"))
    calls = []
    original = writer.take_picture

    def failing(shot: Any, seed: int) -> Any:
        calls.append(shot)
        if len(calls) > 18:
            raise error
        return original(shot, seed)

    with monkeypatch.context() as patch:
        patch.setattr(writer, "take_picture", failing)
        with pytest.raises(error):
            prepare_synthetic(data, tmp_path)
    assert len(calls) > 18
    assert not [path for path in (tmp_path / "synthetic").iterdir() if path.is_dir()]
    assert len(read_rows(prepare_synthetic(data, tmp_path), "fetal_femur")) == 20


def test_a_full_disk_is_said_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writer, "take_picture", full)
    with pytest.raises(DataError, match=r"No space left.*data\.cache_dir"):
        prepare_synthetic(phantoms(tmp_path, config("lung")), tmp_path)


def _slow_build(cache: Path, synthetic: SyntheticConfig) -> None:
    original = writer.take_picture

    def slow(shot: Any, seed: int) -> Any:
        time.sleep(0.03)
        return original(shot, seed)

    writer.take_picture = slow
    prepare_synthetic(phantoms(cache, synthetic), cache)


def _building(cache: Path) -> list[Path]:
    return list(cache.glob("synthetic/*.building/*/*/images/*"))


def _wait_for(description: Any, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not description():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_what_a_killed_process_left_is_cleared_away(tmp_path: Path) -> None:
    process = multiprocessing.get_context("fork").Process(target=_slow_build, args=(tmp_path, config("FUGC")))
    process.start()
    _wait_for(lambda: _building(tmp_path))
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert _building(tmp_path)
    root = prepare_synthetic(phantoms(tmp_path, config("FUGC")), tmp_path)
    assert len(read_rows(root, "FUGC")) == 20
    assert not _building(tmp_path)


def test_a_second_process_waits_for_the_first_and_takes_its_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = multiprocessing.get_context("fork").Process(target=_slow_build, args=(tmp_path, config("FUGC")))
    process.start()
    _wait_for(lambda: _building(tmp_path))
    monkeypatch.setattr(writer, "write_synthetic", None)
    root = prepare_synthetic(phantoms(tmp_path, config("FUGC")), tmp_path)
    process.join()
    assert process.exitcode == 0
    assert len(read_rows(root, "FUGC")) == 20


def _twice(number: int) -> int:
    return 2 * number


def _killed(number: int) -> int:
    if number == 5 and multiprocessing.parent_process() is not None:
        os.kill(os.getpid(), signal.SIGKILL)
    return 2 * number


@pytest.mark.parametrize("function", [_twice, _killed], ids=["no failure", "a process is killed"])
def test_every_piece_of_work_is_done_once(function: Any) -> None:
    assert sorted(map_in_processes(function, range(12), 2)) == [2 * i for i in range(12)]


def test_every_piece_of_work_is_done_once_if_the_processes_die_while_pieces_are_submitted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    submit = ProcessPoolExecutor.submit

    def break_at_third_piece(pool: ProcessPoolExecutor, function: Any, piece: int) -> Any:
        if piece == 2:
            raise BrokenProcessPool
        return submit(pool, function, piece)

    monkeypatch.setattr(ProcessPoolExecutor, "submit", break_at_third_piece)
    assert sorted(map_in_processes(_twice, range(12), 2)) == [2 * i for i in range(12)]
