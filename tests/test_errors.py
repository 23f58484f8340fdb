"""A stranger's file name with a line feed adds no line to an error, whatever kind of file it is the name of."""

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.data.factories import read_rows, tiny_data, write_rows
from usaggr.config.compose import compose_study
from usaggr.config.study import StudyConfig
from usaggr.data.read.images import read_image, read_mask
from usaggr.data.read.load_dataset import load_dataset
from usaggr.data.sources.coco_file import read_coco_file
from usaggr.data.sources.convert import FrameChoice, convert_folder
from usaggr.data.sources.table_file import read_table_file
from usaggr.errors import ConfigError, DataError, UsaggrError, WriteError, get_first_line
from usaggr.results.integrity import read_json, read_yaml

NAME = "a\nFORGED: all is well\r\x85\u2028FORGED"


def refuse_index(path: Path) -> None:
    root = tiny_data(path.parent / "data")
    table = read_rows(root, "cls.csv")
    write_rows(root, "cls.csv", [{**row, "image_path": f"../cls/{NAME}.png"} for row in table])
    load_dataset(StudyConfig.model_validate(compose_study("demo", ["data=fmuia", f"data.root={root}"])).data)


def refuse_dicom(path: Path) -> None:
    folder = path.parent / "dicom"
    folder.mkdir()
    (folder / f"{NAME}.dcm").write_bytes(bytes(128) + b"DICM and no more")
    convert_folder(folder, path.parent / "converted", FrameChoice())


READERS: dict[str, Callable[[Path], object]] = {
    "image": lambda path: read_image(path, 3, 10**6),
    "mask": lambda path: read_mask(path, foreground_255=False, max_pixels=10**6),
    "csv": lambda path: read_table_file(path, "image", None, "."),
    "coco": read_coco_file,
    "dicom": refuse_dicom,
    "config": lambda path: compose_study(str(path)),
    "json of a run": lambda path: read_json(path, "train again"),
    "yaml of results": lambda path: read_yaml(path, "train again"),
    "index": refuse_index,
}
SUFFIXES = {"config": ".yaml", "yaml of results": ".yaml", "csv": ".csv"}


@pytest.mark.parametrize("is_there", [True, False], ids=["damaged", "missing"])
@pytest.mark.parametrize("kind", READERS)
def test_a_line_feed_in_a_file_name_breaks_no_message(tmp_path: Path, kind: str, is_there: bool) -> None:
    path = tmp_path / f"{NAME}{SUFFIXES.get(kind, '.png')}"
    if is_there:
        path.write_bytes(b"\x00not what it should be: [")
    with pytest.raises(UsaggrError) as error:
        READERS[kind](path)
    lines = str(error.value).splitlines()
    assert not [line for line in lines if line.startswith("FORGED")]
    assert len(lines) == 1 or kind == "index", "only an index has a list of errors"
    assert "\\nFORGED" in str(error.value)


def test_a_list_of_errors_keeps_its_lines_in_every_process() -> None:
    error = DataError("2 errors:", "  a\nb.png: x", "  c.png: y")
    assert str(error).splitlines() == ["2 errors:", "  a\\nb.png: x", "  c.png: y"]
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert get_first_line(error) == "2 errors"


def test_wrapped_and_system_errors_are_escaped_once() -> None:
    inner = ConfigError("a\nb: wrong")
    assert str(ConfigError(f"variant: {inner}")) == "variant: a\\nb: wrong"
    assert str(WriteError("a\nb: no space")) == "a\\nb: no space"
