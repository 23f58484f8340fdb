"""Removable files are listed with their sizes; planned results, running runs and files elsewhere are kept."""

import os
import re
import shutil
import time
from pathlib import Path

import pytest

from tests.report.sweeps import FakeSweep
from tests.report.test_build import scorer
from tests.sweep.inspect.test_status import study
from usaggr.errors import RunError
from usaggr.results.run_directory import STALE_SECONDS, RunDirectory
from usaggr.sweep.inspect.clean import Removable, describe_kept_weights, list_removable, remove


def give_weights(run: Path, size: int = 1000) -> Path:
    (run / "weights").mkdir()
    (run / "weights" / "scored.safetensors").write_bytes(b"0" * size)
    return run / "weights"


def kinds(items: list[Removable]) -> dict[str, str]:
    return {item.path.name: item.kind for item in items}


def test_finished_failed_and_stale_unplanned_runs_are_removable(tmp_path: Path) -> None:
    study(tmp_path, ("a", "done", None), ("b", "done", None), ("c", "failed", "x"), ("d", "stale", None), planned=1)
    items = list_removable(tmp_path)
    assert kinds(items) == {"b": "unplanned run", "c": "unplanned run", "d": "unplanned run"}
    assert remove(items) == sum(item.bytes for item in items) > 0
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["a"]
    assert list_removable(tmp_path) == []


def test_an_unplanned_run_that_is_running_is_left_alone(tmp_path: Path) -> None:
    a, b = study(tmp_path, ("a", "running", None), ("b", "failed", "x"), planned=0)
    with RunDirectory(b).claim(2):
        assert list_removable(tmp_path) == []
    assert a.exists()


def test_a_run_that_begins_after_the_listing_is_not_removed(tmp_path: Path) -> None:
    (run,) = study(tmp_path, ("a", "failed", "x"), planned=0)
    items = list_removable(tmp_path)
    assert len(items) == 1
    with RunDirectory(run).claim(2):
        assert remove(items) == 0
    assert (run / "run.yaml").exists()


def test_weights_are_removable_of_done_runs_only_and_the_result_stays(tmp_path: Path) -> None:
    finished, failed = study(tmp_path, ("a", "done", None), ("b", "failed", "x"))
    weights = give_weights(finished)
    give_weights(failed)
    assert list_removable(tmp_path) == []
    items = list_removable(tmp_path, weights=True)
    assert [(item.kind, item.path, item.bytes) for item in items] == [("weights", weights, 1000)]
    assert str(items[0]) == f"weights: {weights} (1000 B)"
    assert remove(items) == 1000
    assert (finished / "result.json").exists()


def test_weights_that_a_run_has_yet_to_start_from_are_kept(tmp_path: Path) -> None:
    parent, child = study(tmp_path, ("a", "done", None), ("b", "pending", None))
    give_weights(parent)
    plan = tmp_path / "plan.csv"
    fingerprint = plan.read_text().splitlines()[1].split(",")[8]
    plan.write_text(plan.read_text().replace("b,b,g,b,1.0,0,base,,", f"b,b,g,b,1.0,0,base,a-s1-k0-{fingerprint[:8]},"))
    assert list_removable(tmp_path, weights=True) == []
    (child / "result.json").write_text("{}")
    assert kinds(list_removable(tmp_path, weights=True)) == {"weights": "weights"}


@pytest.mark.parametrize(
    ("keep", "variants", "stay"),
    [
        ("auto", {"base": []}, True),
        ("scored", {"base": []}, True),
        (None, {"base": []}, True),
        ("none", {"base": []}, False),
        ("none", {"base": [], "kept": ["training.keep_weights=scored"]}, True),
    ],
)
def test_weights_that_the_study_wants_stay_when_unplanned_runs_go(
    tmp_path: Path, keep: str | None, variants: dict[str, list[str]], stay: bool
) -> None:
    settings = {} if keep is None else {"training": {"keep_weights": keep}}
    sweep = FakeSweep(tmp_path / "study", seeds=(0,), variants=variants, settings=settings).finish(scorer)
    planned = sweep.directory / "runs" / sweep.runs()[0][0].run_id
    unplanned = planned.parent / "of-another-study"
    shutil.copytree(planned, unplanned)
    text = (unplanned / "run.yaml").read_text()
    (unplanned / "run.yaml").write_text(re.sub(r"(?m)^seed: 0$", "seed: 9", re.sub(r"[0-9a-f]{64}", "0" * 64, text)))
    for run in (planned, unplanned):
        give_weights(run, size=3 * 2**20)
    items = list_removable(sweep.directory)
    weights = [] if stay else [("weights", planned / "weights", False)]
    assert [(item.kind, item.path, item.has_weights) for item in items if item.kind == "weights"] == weights
    assert [(item.path, item.has_weights) for item in items if item.kind == "unplanned run"] == [(unplanned, True)]
    assert any(str(item).endswith(" MiB, with its weights)") for item in items)
    lines = list(describe_kept_weights(sweep.directory, items))
    assert lines == (["weights of 1 run stay (3.0 MiB); --weights removes those of finished runs"] if stay else [])
    remove(items)
    assert (planned / "weights").exists() == stay
    assert (planned / "result.json").exists()
    assert not unplanned.exists()


def test_a_training_for_weights_that_could_continue_stays_unless_weights_are_to_go(tmp_path: Path) -> None:
    (run,) = study(tmp_path, ("a", "done", None))
    again = tmp_path / "retrained" / "a"
    shutil.copytree(run, again)
    (again / "result.json").unlink()
    assert list_removable(tmp_path) == []
    assert kinds(list_removable(tmp_path, weights=True)) == {"a": "retrained run"}
    give_weights(run)
    items = list_removable(tmp_path)
    assert [(item.kind, item.path) for item in items] == [("retrained run", again)]
    with RunDirectory(again).claim(2):
        assert list_removable(tmp_path) == []
    remove(items)
    assert not again.exists()
    assert (run / "weights").is_dir()


def test_temporary_files_are_removable_once_nobody_can_be_writing_them(tmp_path: Path) -> None:
    (run,) = study(tmp_path, ("a", "failed", "x"))
    old, young = run / ".status.json.12-34.tmp", tmp_path / ".plan.csv.12-34.tmp"
    for path in (old, young):
        path.write_text("x")
    os.utime(old, (time.time() - STALE_SECONDS - 10,) * 2)
    items = list_removable(tmp_path)
    assert kinds(items) == {old.name: "leftover"}
    assert remove(items) == 1
    assert young.exists()


def test_folders_that_no_sweep_made_are_not_offered(tmp_path: Path) -> None:
    study(tmp_path)
    (tmp_path / "runs" / "my notes").mkdir(parents=True)
    (tmp_path / "runs" / "my notes" / "a.txt").write_text("x")
    assert list_removable(tmp_path) == []


def test_links_are_not_followed_out_of_the_directory(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (inside,) = study(tmp_path / "study", ("a", "done", None), planned=0)
    inside.rename(outside)
    inside.symlink_to(outside)
    assert list_removable(tmp_path / "study") == []
    for path in (inside, outside):
        with pytest.raises(RunError, match="is not in"):
            remove([Removable("unplanned run", path, 1, tmp_path / "study")])
    assert (outside / "result.json").exists()


def test_a_directory_without_a_plan_is_refused(tmp_path: Path) -> None:
    study(tmp_path, ("a", "done", None))
    (tmp_path / "plan.csv").unlink()
    with pytest.raises(RunError, match=r"plan\.csv"):
        list_removable(tmp_path)
