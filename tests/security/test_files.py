"""Weights and checkpoints that contain code, indexes that lead out of the root, images that would fill the memory."""

import hashlib
import io
import json
import os
import pickle
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import pytest
import torch
import yaml
from torch import nn

from tests.data.factories import data_config, disc, write_image
from tests.security.test_images import png, size, zero_pixels
from usaggr.data.read.file_facts import FileFacts, ProbeKey, probe_files
from usaggr.data.read.images import read_image
from usaggr.data.read.index import IndexRow, read_index
from usaggr.data.read.index_tasks import parse_declaration
from usaggr.data.read.paths import FileFinder, ListedFile, UnusablePath
from usaggr.data.read.validation import validate_rows
from usaggr.errors import ConfigError, DataError, RunError
from usaggr.models.weight_files import read_tensors
from usaggr.progress import NoProgress
from usaggr.results.integrity import read_yaml
from usaggr.results.run_settings import read_fingerprint, read_model
from usaggr.training.checkpoint import CheckpointFile, Position


class CodeInPickle:
    """An object that creates a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("zipped", [True, False])
def test_weights_run_no_code(tmp_path: Path, zipped: bool) -> None:
    content = {"state_dict": nn.Linear(2, 2).state_dict(), "extra": CodeInPickle(tmp_path / "ran")}
    if zipped:
        torch.save(content, tmp_path / "a.pt")
    else:
        (tmp_path / "a.pt").write_bytes(pickle.dumps(content, 2))
    with pytest.raises(ConfigError, match="neither safetensors nor a torch state dict"):
        read_tensors(tmp_path / "a.pt")
    assert not (tmp_path / "ran").exists()
    if zipped:  # the attack works without the defense
        torch.load(tmp_path / "a.pt", weights_only=False)
        assert (tmp_path / "ran").exists()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a root (itself a link) with a link inside, and with links to a file and to a folder outside."""
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
    result = FileFinder(str(root)).find(text)
    assert isinstance(result, UnusablePath)
    assert result.kind == ("link_outside" if text in ("../file.png", "../folder/secret.png") else "path_outside")


@pytest.mark.parametrize("text", ["file:///etc/passwd", "http://example.org/x.png", "..\\a.png", "a\0.png"])
def test_other_forms_of_paths_lead_to_no_file(root: Path, text: str) -> None:
    assert isinstance(FileFinder(str(root)).find(text), UnusablePath)


@pytest.mark.parametrize("text", ["../a.png", "../inner.png"])
def test_links_that_stay_inside_are_followed(root: Path, text: str) -> None:
    result = FileFinder(str(root)).find(text)
    assert isinstance(result, ListedFile)
    assert result.path == str(root / "a.png")


def bomb(path: Path, side: int = 60000) -> Path:
    """Write a PNG file of a few kilobytes that would become 3.6 gigabytes of pixels."""
    path.write_bytes(png(size(side), zero_pixels(1 << 20)))
    return path


def test_an_image_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    limit = data_config(tmp_path, tmp_path).max_pixels
    with pytest.raises(
        DataError, match=r"bomb.png: has 60000 x 60000 pixels \(height x width\), more than data.max_pixels=100000000"
    ):
        read_image(bomb(tmp_path / "bomb.png"), 1, limit)


@pytest.mark.parametrize("is_mask", [False, True])
def test_an_image_bomb_among_probed_images_and_masks_is_refused(tmp_path: Path, is_mask: bool) -> None:
    path = bomb(tmp_path / "bomb.png")
    status = path.stat()
    key = ProbeKey(ListedFile(str(path), status.st_size, status.st_mtime_ns), is_mask)
    facts = probe_files([key], tmp_path / "cache", 10**8, 1, NoProgress())
    assert facts[key].too_large


def test_a_vector_drawing_is_not_read_as_an_image(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text('<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>')
    with pytest.raises(DataError, match="is none of PNG"):
        read_image(tmp_path / "a.png", 1, 10**8)


@pytest.mark.parametrize("folder", [False, True])
def test_an_index_file_does_not_lead_out_of_the_root(root: Path, folder: bool) -> None:
    secret = root.parent / "outside" / "secret.csv"
    secret.write_text("image_path,task_name,task_id,num_classes,mask\n../a.png,classification,t,2,0\n")
    assert len(read_rows(root, secret.read_text())) == 1
    if folder:
        shutil.rmtree(root / "csv_files")
        (root / "csv_files").symlink_to(secret.parent)
    else:
        (root / "csv_files" / "a.csv").unlink()
        (root / "csv_files" / "a.csv").symlink_to(secret)
    with pytest.raises(DataError, match=r"is a link to .*, outside the root"):
        read_index(root)


def read_rows(root: Path, text: str) -> list[IndexRow]:
    (root / "csv_files" / "a.csv").write_text(text)
    return read_index(root)[0]


@pytest.mark.parametrize("path", ["../../outside/secret.png", "../file.png", "../folder/secret.png", "/etc/passwd"])
@pytest.mark.parametrize("column", ["image_path", "mask_path"])
def test_neither_images_nor_masks_of_an_index_are_read_from_elsewhere(root: Path, column: str, path: str) -> None:
    cells = {"image_path": "../a.png", "mask_path": "../inner.png", "task_name": "segmentation", "task_id": "t",
             "num_classes": "2", column: path}  # fmt: skip
    declared_rows = [
        (row, parse_declaration(row)[0]) for row in read_rows(root, f"{','.join(cells)}\n{','.join(cells.values())}\n")
    ]
    read: list[ProbeKey] = []

    def probe(keys: Iterable[ProbeKey]) -> dict[ProbeKey, FileFacts]:
        read.extend(keys)
        return {key: FileFacts("x", 64, 64, "", False, (0, 1)) for key in read}

    samples, errors, _ = validate_rows(declared_rows, root, data_config(root, root), probe)
    assert samples == []
    kind = "link_outside" if path in ("../file.png", "../folder/secret.png") else "path_outside"
    assert [(error.column, error.kind) for error in errors] == [(column, kind)]
    assert len(read) == 1


def test_a_checkpoint_with_a_correct_header_and_hash_runs_no_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = CheckpointFile(tmp_path, "f", "32-true")
    file.write(Position(0, 1, 1), {"a": torch.zeros(2)})
    path = next(path for path in (tmp_path / "checkpoint").iterdir())
    head = json.loads(path.read_bytes().partition(b"\n")[0])
    for content in (pickle.dumps(CodeInPickle(tmp_path / "ran"), 2), to_bytes({"a": CodeInPickle(tmp_path / "ran")})):
        file.write(Position(0, 1, 1), {"a": torch.zeros(2)})
        head["sha256"] = hashlib.sha256(content).hexdigest()
        path.write_bytes(json.dumps(head).encode() + b"\n" + content)
        assert file.read() is None
        assert "torch cannot read it" in capsys.readouterr().out
        assert not (tmp_path / "ran").exists()
        assert not path.exists()
    torch.load(io.BytesIO(content), weights_only=False)
    assert (tmp_path / "ran").exists(), "the attack does not work without the defense either"


def to_bytes(content: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.mkdir ['{ran}']", "!!python/object/new:os.mkdir ['{ran}']"])
def test_tags_in_a_stored_run_create_no_objects(tmp_path: Path, tag: str) -> None:
    run, ran = tmp_path / "runs" / "a", tmp_path / "ran"
    run.mkdir(parents=True)
    text = f"schema_version: 1\nfingerprint: {'a' * 64}\nsettings: {tag.format(ran=ran)}\n"
    (run / "run.yaml").write_text(text)
    assert read_model(run) == {}
    assert read_fingerprint(run) == "a" * 64
    with pytest.raises(RunError, match="cannot be read"):
        read_yaml(run / "run.yaml", "")
    assert not ran.exists()
    with suppress(Exception):
        yaml.unsafe_load(text)
    assert ran.exists(), "the attack does not work without the defense either"
