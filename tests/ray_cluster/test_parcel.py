"""Run directories as tar archives: sent and refused files, and the order in which files appear."""

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


def make_archive(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def make_file(name: str, content: bytes = b"x") -> tuple[tarfile.TarInfo, bytes]:
    return tarfile.TarInfo(name), content


def make_member(name: str, kind: bytes, target: str = "") -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member, b""


@pytest.mark.parametrize(
    "member",
    [
        make_file("/etc/evil"),
        make_file("../evil"),
        make_file("weights/../../evil"),
        make_file("."),
        make_member("evil", tarfile.SYMTYPE, "/etc/passwd"),
        make_member("evil", tarfile.LNKTYPE, "good"),
        make_member("evil", tarfile.FIFOTYPE),
        make_member("evil", tarfile.CHRTYPE),
        make_member("evil", tarfile.DIRTYPE),
    ],
    ids=lambda member: f"{member[0].name} {member[0].type!r}",
)
def test_an_archive_with_other_members_than_files_inside_is_refused(
    tmp_path: Path, member: tuple[tarfile.TarInfo, bytes]
) -> None:
    run = tmp_path / "deep" / "run"
    run.mkdir(parents=True)
    before = sorted(path.name for path in tmp_path.rglob("*"))
    with pytest.raises(RunError, match="refused"):
        unpack(make_archive(make_file("good"), member), run)
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def test_an_archive_that_is_too_large_or_has_too_many_files_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = make_archive(make_file("a", b"123"), make_file("b", b"123"))
    monkeypatch.setattr(parcel, "MAX_BYTES", 5)
    with pytest.raises(RunError, match="5 bytes"):
        extract(two, tmp_path)
    (tmp_path / "c").write_bytes(b"123456")
    with pytest.raises(RunError, match=r"training\.keep_weights"):
        pack(tmp_path)
    monkeypatch.setattr(parcel, "MAX_BYTES", 6)
    monkeypatch.setattr(parcel, "MAX_FILES", 1)
    with pytest.raises(RunError, match="1 files"):
        extract(two, tmp_path)


@pytest.mark.parametrize("cut", [100, 700, 1300])
def test_an_incomplete_archive_leaves_the_run_unchanged(tmp_path: Path, cut: int) -> None:
    (tmp_path / "curve.csv").write_text("old")
    packed = make_archive(make_file("a", b"1" * 600), make_file("curve.csv", b"1" * 600))
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


def test_a_returned_run_replaces_older_files_and_appends_to_the_log(tmp_path: Path) -> None:
    remote, local = tmp_path / "there", tmp_path / "here"
    for folder in (remote, local):
        (folder / "weights").mkdir(parents=True)
        for name in ("log.txt", "curve.csv", f"weights/{folder.name}"):
            (folder / name).write_text(f"{folder.name}\n")
    (remote / "result.json").write_text(json.dumps(asdict(RESULT)))
    run = RunDirectory(local)
    with run.claim(1) as mine:
        assert mine
        unpack(pack(remote), local)
    assert (local / "log.txt").read_text() == "here\nthere\n"
    assert (local / "curve.csv").read_text() == "there\n"
    assert [path.name for path in (local / "weights").iterdir()] == ["there"]
    assert run.read_result() == RESULT
    status = run.read_status()
    assert status is not None
    assert status.state == "done"


def test_a_result_appears_last_and_an_invalid_one_never(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrived: list[str] = []
    rename = Path.replace

    def record(path: Path, target: Path) -> Path:
        arrived.append(Path(target).name)
        return rename(path, target)

    monkeypatch.setattr(Path, "replace", record)
    content = json.dumps(asdict(RESULT)).encode()
    unpack(make_archive(make_file("result.json", content), make_file("a"), make_file("z/z")), tmp_path)
    assert arrived == ["a", "z", "result.json"]
    (tmp_path / "result.json").unlink()
    with pytest.raises(RunError, match="cannot be read"):
        unpack(make_archive(make_file("result.json", content[:50]), make_file("a")), tmp_path)
    assert not (tmp_path / "result.json").exists()
