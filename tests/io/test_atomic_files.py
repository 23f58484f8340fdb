"""Files appear completely or not at all."""

import json
import threading
from pathlib import Path

import pytest

from usaggr.io.atomic_files import replace_file, write_atomic


def test_no_reader_ever_sees_an_incomplete_file(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    texts = [json.dumps([i] * 5000) for i in range(4)]
    write_atomic(path, texts[0])
    over = threading.Event()

    def write(text: str) -> None:
        while not over.is_set():
            write_atomic(path, text)

    writers = [threading.Thread(target=write, args=(text,)) for text in texts]
    for writer in writers:
        writer.start()
    try:
        for _ in range(200):
            assert path.read_text() in texts
    finally:
        over.set()
        for writer in writers:
            writer.join()
    assert [file.name for file in tmp_path.iterdir()] == ["status.json"]


@pytest.mark.parametrize("single_writer", [False, True])
def test_a_file_is_replaced_when_the_block_ends_and_stays_after_an_error(tmp_path: Path, single_writer: bool) -> None:
    path = tmp_path / "model.onnx"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError), replace_file(path, single_writer) as temporary:
        temporary.write_text("half, then what cannot be written: \ud800", encoding="utf-8")
    assert path.read_text() == "old"
    with replace_file(path, single_writer) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"]


def test_a_single_writer_replaces_the_leftover_of_a_killed_process(tmp_path: Path) -> None:
    path = tmp_path / "state.bin"
    with replace_file(path, single_writer=True) as temporary:
        temporary.write_text("old")
    temporary.write_text("half")
    with replace_file(path, single_writer=True) as temporary:
        temporary.write_text("new")
    assert [file.name for file in tmp_path.iterdir()] == ["state.bin"]
