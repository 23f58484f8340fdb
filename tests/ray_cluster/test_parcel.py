"""Run directories as tars: what is sent, what is refused, and in what order files appear."""

import io
import json
import tarfile
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.sweep.fakes import RESULT
from usaggr.errors import RunError
from usaggr.results.run_directory import RunDirectory
from usaggr.sweep.executors.ray import parcel
from usaggr.sweep.executors.ray.parcel import extract, pack, unpack


def a_tar(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def a_file(name: str, content: bytes = b"x") -> tuple[tarfile.TarInfo, bytes]:
    return tarfile.TarInfo(name), content


def a_member(name: str, kind: bytes, to: str = "") -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, to
    return member, b""


@pytest.mark.parametrize(
    "member",
    [
        a_file("/etc/evil"),
        a_file("../evil"),
        a_file("weights/../../evil"),
        a_file("."),
        a_member("evil", tarfile.SYMTYPE, "/etc/passwd"),
        a_member("evil", tarfile.LNKTYPE, "good"),
        a_member("evil", tarfile.FIFOTYPE),
        a_member("evil", tarfile.CHRTYPE),
        a_member("evil", tarfile.DIRTYPE),
    ],
    ids=lambda member: f"{member[0].name} {member[0].type!r}",
)
def test_a_tar_with_anything_but_files_inside_is_refused(tmp_path: Path, member: tuple[tarfile.TarInfo, bytes]) -> None:
    run = tmp_path / "deep" / "run"
    run.mkdir(parents=True)
    before = sorted(path.name for path in tmp_path.rglob("*"))
    with pytest.raises(RunError, match="refused"):
        unpack(a_tar(a_file("good"), member), run)
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def test_a_tar_that_is_too_large_or_has_too_many_files_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = a_tar(a_file("a", b"123"), a_file("b", b"123"))
    monkeypatch.setattr(parcel, "MOST_BYTES", 5)
    with pytest.raises(RunError, match="5 bytes"):
        extract(two, tmp_path)
    (tmp_path / "c").write_bytes(b"123456")
    with pytest.raises(RunError, match=r"training\.keep_weights"):
        pack(tmp_path)
    monkeypatch.setattr(parcel, "MOST_BYTES", 6)
    monkeypatch.setattr(parcel, "MOST_FILES", 1)
    with pytest.raises(RunError, match="1 files"):
        extract(two, tmp_path)


@pytest.mark.parametrize("cut", [100, 700, 1300])
def test_what_is_no_whole_tar_leaves_the_run_as_it_was(tmp_path: Path, cut: int) -> None:
    (tmp_path / "curve.csv").write_text("old")
    packed = a_tar(a_file("a", b"1" * 600), a_file("curve.csv", b"1" * 600))
    with pytest.raises(RunError, match="refused"):
        unpack(packed[:cut], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["curve.csv"]


def test_links_and_the_claim_are_not_sent(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    for name in (".lock", "status.json", "log.txt", "curve.csv", "weights/scored.safetensors"):
        (tmp_path / name).write_text(name)
    (tmp_path / "link").symlink_to("/etc/passwd")
    with tarfile.open(fileobj=io.BytesIO(pack(tmp_path, without=("log.txt",)))) as tar:
        assert tar.getnames() == ["curve.csv", "weights/scored.safetensors"]


def test_a_run_that_comes_home_replaces_what_was_there_and_keeps_the_log(tmp_path: Path) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    for folder in (there, here):
        (folder / "weights").mkdir(parents=True)
        for name in ("log.txt", "curve.csv", f"weights/{folder.name}"):
            (folder / name).write_text(f"{folder.name}\n")
    (there / "result.json").write_text(json.dumps(asdict(RESULT)))
    run = RunDirectory(here)
    with run.claim(1) as mine:
        assert mine
        unpack(pack(there), here)
    assert (here / "log.txt").read_text() == "here\nthere\n"
    assert (here / "curve.csv").read_text() == "there\n"
    assert [path.name for path in (here / "weights").iterdir()] == ["there"]
    assert run.result() == RESULT
    status = run.status()
    assert status is not None
    assert status.state == "done"


def test_a_result_comes_last_and_a_broken_one_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrived: list[str] = []
    rename = Path.replace

    def noted(path: Path, to: Path) -> Path:
        arrived.append(Path(to).name)
        return rename(path, to)

    monkeypatch.setattr(Path, "replace", noted)
    whole = json.dumps(asdict(RESULT)).encode()
    unpack(a_tar(a_file("result.json", whole), a_file("a"), a_file("z/z")), tmp_path)
    assert arrived == ["a", "z", "result.json"]
    (tmp_path / "result.json").unlink()
    with pytest.raises(RunError, match="cannot be read"):
        unpack(a_tar(a_file("result.json", whole[:50]), a_file("a")), tmp_path)
    assert not (tmp_path / "result.json").exists()
