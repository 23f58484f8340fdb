"""A run that was interrupted and resumed has the numbers of one that never stopped, byte by byte."""

import errno
import hashlib
import io
import json
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

from tests.data.factories import tiny_data
from tests.training.test_run import pick, plan_of
from usaggr import stopping
from usaggr.data.batches.batches import Batch
from usaggr.results.run_directory import RunDirectory
from usaggr.results.spec import Placement
from usaggr.stopping import RunInterrupted
from usaggr.sweep.planning.study_plan import Plan
from usaggr.training import resume
from usaggr.training import run as run_room
from usaggr.training.checkpoint import CheckpointFile
from usaggr.training.module import MultiTaskModule
from usaggr.training.run import execute_run

COMMON = ("training.budget=24 examples", "training.validations=2", "training.keep_weights=scored", "model.dropout=0.3")
"""Dropout draws random numbers in each step, so that the state of the generator must be restored."""
STEPS = 12
"""Steps of the block `unified` here: 4 tasks with 24 examples in batches of 8; each of the two intervals has 6."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("resume")
    tiny_data(folder / "data", n=30)
    return folder


def train(plan: Plan, directory: Path) -> None:
    run, data = pick(plan, "unified")
    directory.mkdir(parents=True, exist_ok=True)
    stopping.withdraw_request()
    RunDirectory(directory).clear()
    torch.rand(7)  # random numbers drawn earlier in the process must not matter
    execute_run(run.spec, directory, run.study, Placement(threads=1), data)


def train_with_stops(plan: Plan, directory: Path, stops: Sequence[int], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Train with requests to stop at steps counted over all attempts; return the message of each stopped attempt."""
    messages = []
    original = resume.CheckpointCallback.on_train_batch_end
    for stop in [*stops, None]:

        def ask(self: resume.CheckpointCallback, *args: object, stop: int | None = stop) -> None:
            if self._position.steps_done + 1 == stop:
                stopping.request_stop()
            original(self, *args)  # type: ignore[arg-type]

        monkeypatch.setattr(resume.CheckpointCallback, "on_train_batch_end", ask)
        if stop is None:
            train(plan, directory)
        else:
            with pytest.raises(RunInterrupted) as caught:
                train(plan, directory)
            assert not (directory / "result.json").exists()
            messages.append(str(caught.value))
    monkeypatch.setattr(resume.CheckpointCallback, "on_train_batch_end", original)
    return messages


def digest(directory: Path) -> dict[str, str]:
    """Return hashes of everything that a run writes, except time and memory."""
    digests = {}
    for path in sorted(path for path in directory.rglob("*") if path.is_file()):
        content = path.read_bytes()
        if path.name == "result.json":
            result = json.loads(content)
            content = json.dumps({k: v for k, v in result.items() if k not in ("cost", "timings", "sha256")}).encode()
        digests[str(path.relative_to(directory))] = hashlib.sha256(content).hexdigest()
    return digests


@pytest.fixture(scope="module")
def uninterrupted(folder: Path) -> dict[tuple[str, ...], dict[str, str]]:
    return {}


def expected(
    plan: Plan, folder: Path, kind: tuple[str, ...], uninterrupted: dict[tuple[str, ...], dict[str, str]]
) -> dict[str, str]:
    if kind not in uninterrupted:
        train(plan, folder / "whole" / "-".join(kind))
        uninterrupted[kind] = digest(folder / "whole" / "-".join(kind))
    return uninterrupted[kind]


# The first step, the last of an interval (within its validation), inside an interval, the last of all, and several.
STOPS = [[1], [6], [9], [12], [2, 5, 9], [5, 6, 7, 12]]
KINDS = [("tiny", "last"), ("tiny", "best"), ("m2dino_tiny", "last"), ("m2dino_tiny", "best")]
QUICK = [(("tiny", "last"), [1]), (("m2dino_tiny", "best"), [5, 6, 7, 12])]


@pytest.mark.parametrize(
    ("kind", "stops"),
    [
        pytest.param(
            kind, stops, id=f"{'-'.join(kind)}-{stops}", marks=() if (kind, stops) in QUICK else pytest.mark.slow
        )
        for kind in KINDS
        for stops in STOPS
    ],
)
def test_a_stopped_and_resumed_run_is_the_same_byte_by_byte(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    uninterrupted: dict[tuple[str, ...], dict[str, str]],
    kind: tuple[str, str],
    stops: list[int],
) -> None:
    plan = plan_of(folder, f"model={kind[0]}", f"training.score_weights={kind[1]}", *COMMON)
    messages = train_with_stops(plan, tmp_path / "run", stops, monkeypatch)
    # A validation is interrupted, and repeated together with the step before it.
    stop_steps = [stop - 1 if stop in (6, STEPS) else stop for stop in stops]
    assert messages == [f"stopped at step {step} of {STEPS}" for step in stop_steps]
    assert digest(tmp_path / "run") == expected(plan, folder, kind, uninterrupted)
    assert not (tmp_path / "run" / "checkpoint").exists()


def stopped(plan: Plan, directory: Path, monkeypatch: pytest.MonkeyPatch, step: int = 4) -> Path:
    """Checkpoint of a run that was stopped once."""
    with monkeypatch.context() as patch:
        original = resume.CheckpointCallback.on_train_batch_end

        def ask(self: resume.CheckpointCallback, *args: object) -> None:
            if self._position.steps_done + 1 == step:
                stopping.request_stop()
            original(self, *args)  # type: ignore[arg-type]

        patch.setattr(resume.CheckpointCallback, "on_train_batch_end", ask)
        with pytest.raises(RunInterrupted):
            train(plan, directory)
    return directory / "checkpoint" / "state.bin"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def rewrite(path: Path, **changes: object) -> None:
    head, content = path.read_bytes().split(b"\n", 1)
    path.write_bytes(json.dumps({**json.loads(head), **changes}).encode() + b"\n" + content)


def pickled(path: Path) -> None:
    """Replace the content by one that pickle would execute, with a valid hash."""
    content = pickle.dumps(Bomb(path.parents[1] / "executed"))
    path.write_bytes(path.read_bytes().split(b"\n", 1)[0] + b"\n" + content)
    rewrite(path, sha256=hashlib.sha256(content).hexdigest())


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "truncated": (cut, "SHA-256 differs"),
    "one bit flipped": (flip, "SHA-256 differs"),
    "empty": (empty, "first line is damaged"),
    "another run's": (lambda path: rewrite(path, fingerprint="f" * 64), "fingerprint is fff"),
    "a newer tool's": (lambda path: rewrite(path, schema_version=99), "schema_version is 99, the run's is 1"),
    "another precision's": (lambda path: rewrite(path, precision="16-mixed"), "precision is 16-mixed"),
    "of another place": (lambda path: rewrite(path, position={"part": 0, "batch": 3, "step": 9}), "other intervals"),
    "code": (pickled, "torch cannot read it"),
}


@pytest.mark.parametrize(
    "damage",
    [name if name == "one bit flipped" else pytest.param(name, marks=pytest.mark.slow) for name in DAMAGE],
)
def test_a_checkpoint_that_cannot_be_used_is_reported_and_the_run_starts_from_the_beginning(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    uninterrupted: dict[tuple[str, ...], dict[str, str]],
    damage: str,
) -> None:
    plan = plan_of(folder, "model=tiny", "training.score_weights=last", *COMMON)
    do, reason = DAMAGE[damage]
    do(stopped(plan, tmp_path / "run", monkeypatch))
    capsys.readouterr()
    train(plan, tmp_path / "run")
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "checkpoint" in line]
    assert reason in line
    assert "removed, the run starts from the beginning" in line
    assert digest(tmp_path / "run") == expected(plan, folder, ("tiny", "last"), uninterrupted)


def test_the_seconds_of_earlier_attempts_are_counted(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = plan_of(folder, *COMMON)
    path = stopped(plan, tmp_path / "run", monkeypatch, step=9)
    head, content = path.read_bytes().split(b"\n", 1)
    state = torch.load(io.BytesIO(content), weights_only=True)
    assert 0 < state["timings"]["train"] + state["timings"]["validation"] <= state["timings"]["fit"]
    state["timings"]["train"] += 1000
    state["seconds"] += 1000
    buffer = io.BytesIO()
    torch.save(state, buffer)
    path.write_bytes(head + b"\n" + buffer.getvalue())
    rewrite(path, sha256=hashlib.sha256(buffer.getvalue()).hexdigest())
    train(plan, tmp_path / "run")
    cost = RunDirectory(tmp_path / "run").read_result().cost
    assert cost.seconds > cost.train_seconds > 1000
    assert f"continues at step 9 of {STEPS}" in capsys.readouterr().out


def test_checkpoints_are_written_from_time_to_time_and_never_change_a_number(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    uninterrupted: dict[tuple[str, ...], dict[str, str]],
) -> None:
    plan = plan_of(folder, "model=tiny", "training.score_weights=last", "training.checkpoint=1e-9", *COMMON)
    written = []
    original = CheckpointFile.write
    monkeypatch.setattr(CheckpointFile, "write", lambda *args: (written.append(args[1].steps_done), original(*args))[1])
    train(plan, tmp_path / "run")
    assert written == list(range(1, STEPS + 1))
    assert digest(tmp_path / "run") == expected(plan, folder, ("tiny", "last"), uninterrupted)


def test_a_full_disk_costs_the_checkpoint_and_not_the_run(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = plan_of(folder, "training.checkpoint=1e-9", *COMMON)

    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(CheckpointFile, "write", full)
    train(plan, tmp_path / "run")
    assert RunDirectory(tmp_path / "run").read_state() == "done"
    assert f"no checkpoint at step 1 of {STEPS}: [Errno 28] No space left on device" in capsys.readouterr().out


def test_a_validation_is_interrupted_after_any_of_its_batches(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    uninterrupted: dict[tuple[str, ...], dict[str, str]],
) -> None:
    monkeypatch.setattr(run_room, "EVALUATION_BATCH", 2)
    plan = plan_of(folder, "model=tiny", "training.score_weights=best", *COMMON)
    kind = ("tiny", "best", "in twos")
    expected(plan, folder, kind, uninterrupted)
    original, validated = MultiTaskModule.validation_step, []

    def validate(self: MultiTaskModule, batch: Batch, index: int) -> None:
        validated.append(index)
        if len(validated) == 3:
            stopping.request_stop()
        original(self, batch, index)

    monkeypatch.setattr(MultiTaskModule, "validation_step", validate)
    with pytest.raises(RunInterrupted, match=f"stopped at step 5 of {STEPS}"):
        train(plan, tmp_path / "run")
    assert validated == [0, 1, 2]
    train(plan, tmp_path / "run")
    assert validated[3:7] == [0, 1, 2, 3]
    assert digest(tmp_path / "run") == expected(plan, folder, kind, uninterrupted)


def test_checkpoints_do_not_change_a_fingerprint(folder: Path) -> None:
    fingerprints = [
        {run.spec.fingerprint for run in plan_of(folder, f"training.checkpoint={minutes}").runs}
        for minutes in ("null", "10", "0.5")
    ]
    assert fingerprints[0] == fingerprints[1] == fingerprints[2]
