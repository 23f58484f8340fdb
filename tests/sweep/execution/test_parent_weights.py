"""A parent's weights reach its children; parents that were trained without keeping weights are trained again."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from tests.sweep import fakes
from usaggr.errors import RunError
from usaggr.results.contract import PARENT, WEIGHTS
from usaggr.results.run_directory import RunDirectory
from usaggr.sweep.execution.loop import Loop
from usaggr.sweep.execution.parent_weights import ASIDE, find_weightless, provide_parent_weights, set_weightless_aside
from usaggr.sweep.execution.status_line import SweepLine
from usaggr.sweep.planning.study_plan import PlannedRun


def family(folder: Path) -> tuple[PlannedRun, PlannedRun]:
    """Return a parent and its child of a second stage."""
    study = fakes.study(folder)
    parent = fakes.planned(study, 0)
    child = fakes.planned(study, 1, parent=parent.spec.run_id)
    return parent, replace(child, spec=replace(child.spec, window={fakes.TASK.id: (5, 9)}))


def finish(run: PlannedRun, weights: bytes | None) -> None:
    run.directory.mkdir(parents=True)
    if weights is not None:
        (run.directory / WEIGHTS).parent.mkdir()
        (run.directory / WEIGHTS).write_bytes(weights)
        (run.directory / WEIGHTS).with_suffix(".sha256").write_text("known")
    RunDirectory(run.directory).write_result(fakes.RESULT)


def test_a_child_has_its_parents_weights_until_it_is_done(tmp_path: Path) -> None:
    parent, child = family(tmp_path)
    finish(parent, b"weights")
    provide_parent_weights(parent, child)
    provide_parent_weights(parent, child)
    parent_folder = child.directory / PARENT
    assert {path.name: path.read_bytes() for path in parent_folder.iterdir()} == {
        "scored.safetensors": b"weights",
        "scored.sha256": b"known",
    }
    RunDirectory(child.directory).clear()
    assert parent_folder.is_dir()
    RunDirectory(child.directory).write_result(fakes.RESULT)
    assert not parent_folder.exists()
    assert (parent.directory / WEIGHTS).read_bytes() == b"weights"
    provide_parent_weights(parent, child)
    assert not parent_folder.exists()


def test_weights_are_copied_where_the_disk_has_no_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*names: object) -> None:
        raise OSError("not supported")

    monkeypatch.setattr("os.link", no_links)
    parent, child = family(tmp_path)
    finish(parent, b"weights")
    provide_parent_weights(parent, child)
    assert (child.directory / PARENT / "scored.safetensors").read_bytes() == b"weights"


def test_a_child_fails_with_the_reason_if_its_parents_weights_are_missing(tmp_path: Path) -> None:
    parent, child = family(tmp_path)
    finish(parent, None)
    with pytest.raises(RunError, match=r"its parent .* has no weights/scored\.safetensors, because"):
        provide_parent_weights(parent, child)
    states = {parent.spec.run_id: parent.read_state(), child.spec.run_id: child.read_state()}
    loop = Loop([parent, child], [child], states, attempts=2)
    out = io.StringIO()
    assert loop._take_next(SweepLine(Console(file=out, width=500), 2)) is None
    assert "has no weights/scored.safetensors" in out.getvalue()
    assert "has no weights/scored.safetensors" in loop.failures[child.spec.run_id]
    assert child.read_state() == "failed"


def test_a_parent_without_weights_is_trained_again_only_if_a_child_needs_it(tmp_path: Path) -> None:
    parent, child = family(tmp_path)
    finish(parent, None)
    assert find_weightless([parent]) == []
    assert find_weightless([parent, child]) == [parent]
    (message,) = set_weightless_aside([parent, child])
    assert message.startswith(f"{parent.directory.name}: done, but without the weights")
    assert parent.read_state() == "pending"
    assert (parent.directory / ASIDE).is_file()


def test_a_parent_whose_children_are_done_is_left_as_it_is(tmp_path: Path) -> None:
    parent, child = family(tmp_path)
    finish(parent, None)
    finish(child, None)
    assert list(set_weightless_aside([parent, child])) == []
    assert parent.read_state() == "done"
