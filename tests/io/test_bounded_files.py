"""Whole files are read with limits; other kinds of files neither block the reader nor fill the memory."""

import os
import socket
from pathlib import Path

import pytest

from usaggr.io.bounded_files import UnusableContentError, open_regular, read_bounded, read_bounded_text


def test_a_file_up_to_the_limit_is_read_and_a_larger_one_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"x" * 10)
    assert read_bounded(path, 10) == b"x" * 10
    with pytest.raises(UnusableContentError, match="is larger than 9 bytes, the most that is read"):
        read_bounded(path, 9)


def test_a_sparse_file_of_a_terabyte_is_refused_by_its_size(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with path.open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(UnusableContentError, match="is larger than 64 MiB"):
        read_bounded(path)


def test_pipes_devices_sockets_folders_and_links_to_them_are_refused_by_kind(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "linked").symlink_to(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(os.path.relpath(tmp_path / "socket"))
    kinds = {"pipe": "a pipe", "zero": "a device", "linked": "a pipe", "socket": "a socket", ".": "a folder"}
    for name, kind in kinds.items():
        with pytest.raises(UnusableContentError, match=f"^is {kind}, not a regular file$"):
            open_regular(tmp_path / name)


def test_a_path_with_nul_is_refused() -> None:
    with pytest.raises(UnusableContentError, match="NUL"):
        open_regular(Path("a\0b"))


def test_a_missing_file_keeps_the_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_bounded(tmp_path / "a.json")


def test_text_is_utf_8_with_one_kind_of_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes("ä\r\nb\rc\n".encode())
    assert read_bounded_text(path) == "ä\nb\nc\n"
    path.write_bytes("ä".encode("latin-1"))
    with pytest.raises(UnicodeDecodeError):
        read_bounded_text(path)
