"""Weights that hold code, indexes that lead elsewhere, images that would fill the memory, modes of written files."""

import os
import pickle
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.data.factories import data_config, disc, noise, write_image
from usaggr.data.images import read_image
from usaggr.data.locations import FileFinder, FoundFile, Misplaced
from usaggr.data.probe import ProbeKey, probe_files
from usaggr.errors import ConfigError, DataError
from usaggr.models.weight_files import read_tensors
from usaggr.progress import NoProgress


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("zipped", [True, False])
def test_weights_run_no_code(tmp_path: Path, zipped: bool) -> None:
    content = {"state_dict": nn.Linear(2, 2).state_dict(), "extra": Bomb(tmp_path / "ran")}
    if zipped:
        torch.save(content, tmp_path / "a.pt")
    else:
        (tmp_path / "a.pt").write_bytes(pickle.dumps(content, 2))
    with pytest.raises(ConfigError, match="neither safetensors nor a torch state dict"):
        read_tensors(tmp_path / "a.pt")
    assert not (tmp_path / "ran").exists()
    if zipped:  # the attack is real
        torch.load(tmp_path / "a.pt", weights_only=False)
        assert (tmp_path / "ran").exists()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with a link that stays inside, one of a file and one of a folder that do not; the root is a link too."""
    real = tmp_path / "real"
    (real / "csv_files").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    write_image(real / "a.png", disc())
    write_image(tmp_path / "outside" / "secret.png", disc())
    (real / "inner.png").symlink_to("a.png")
    (real / "file.png").symlink_to(tmp_path / "outside" / "secret.png")
    (real / "folder").symlink_to(tmp_path / "outside")
    (tmp_path / "root").symlink_to(real)
    return (tmp_path / "root").resolve()


@pytest.mark.parametrize(
    "text",
    ["/etc/passwd", "\\\\host\\x", "C:\\x.png", "C:/x.png", "../../outside/secret.png", "../file.png",
     "../folder/secret.png", "../../../../../../etc/passwd"],
)  # fmt: skip
def test_a_path_of_an_index_does_not_leave_the_root(root: Path, text: str) -> None:
    found = FileFinder(str(root)).find(text)
    assert isinstance(found, Misplaced)
    assert found.kind == "path_outside"


@pytest.mark.parametrize("text", ["file:///etc/passwd", "http://example.org/x.png", "..\\a.png", "a\0.png"])
def test_other_forms_of_paths_lead_to_no_file(root: Path, text: str) -> None:
    assert isinstance(FileFinder(str(root)).find(text), Misplaced)


@pytest.mark.parametrize("text", ["../a.png", "../inner.png"])
def test_links_that_stay_inside_are_fine(root: Path, text: str) -> None:
    found = FileFinder(str(root)).find(text)
    assert isinstance(found, FoundFile)
    assert found.path == str(root / "a.png")


def bomb(path: Path, side: int = 60000) -> Path:
    """A PNG file of a few kilobytes that would be 3.6 gigabytes of pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(1 << 20), 9)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b""))
    return path


def test_an_image_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    limit = data_config(tmp_path, tmp_path).max_pixels
    with pytest.raises(DataError, match=r"bomb.png: 60000 x 60000 pixels are more than data.max_pixels=100000000"):
        read_image(bomb(tmp_path / "bomb.png"), 1, limit)


@pytest.mark.parametrize("is_mask", [False, True])
def test_so_is_one_among_images_and_masks_that_are_probed(tmp_path: Path, is_mask: bool) -> None:
    path = bomb(tmp_path / "bomb.png")
    found = path.stat()
    key = ProbeKey(FoundFile(str(path), found.st_size, found.st_mtime_ns), is_mask)
    facts = probe_files([key], tmp_path / "cache", 10**8, 1, NoProgress())
    assert facts[key].too_large


def test_a_drawing_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text('<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>')
    with pytest.raises(DataError, match="is none of PNG"):
        read_image(tmp_path / "a.png", 1, 10**8)


def test_only_the_first_of_many_frames_is_decoded(tmp_path: Path) -> None:
    from PIL import Image

    frames = [Image.fromarray(noise(seed)) for seed in range(20)]
    frames[0].save(tmp_path / "a.tif", save_all=True, append_images=frames[1:])
    assert (read_image(tmp_path / "a.tif", 1, 10**4)[:, :, 0] == noise(0)).all()


@pytest.mark.parametrize("umask", [0o002, 0o027, 0o077])
def test_files_are_written_with_the_user_s_umask(tmp_path: Path, umask: int) -> None:

    code = (
        f"import os; os.umask({umask}); from pathlib import Path; from usaggr.files import write_atomic; "
        f"write_atomic(Path({str(tmp_path)!r}) / 'new' / 'a.json', 'x')"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert (tmp_path / "new" / "a.json").stat().st_mode & 0o777 == 0o666 & ~umask
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o777 & ~umask
