"""Trackers: calls in the background, MLflow's location, and missing packages."""

import importlib.util
import threading
import time
from pathlib import Path

import pytest

from usaggr.config.compose import compose_study
from usaggr.config.study import StudyConfig
from usaggr.errors import ConfigError
from usaggr.tracking.record import (
    BackgroundCalls,
    Record,
    check_logger,
    describe_error,
    find_mlflow_location,
    list_modules_to_preload,
    read_record,
)


def study(*overrides: str) -> StudyConfig:
    return compose_study("demo", overrides)


def without(monkeypatch: pytest.MonkeyPatch, *missing: str) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in missing else find_spec(name))


def test_calls_are_made_in_order_by_another_thread() -> None:
    calls, made = BackgroundCalls("test"), list[tuple[int, int]]()
    for number in range(20):
        calls.put(lambda number=number: made.append((number, threading.get_ident())))  # type: ignore[misc]
    calls.close(10)
    assert [number for number, _ in made] == list(range(20))
    assert {thread for _, thread in made} != {threading.get_ident()}
    assert calls.problem is None


def test_after_an_error_no_call_is_made_and_the_first_error_is_reported() -> None:
    calls, made = BackgroundCalls("test"), list[str]()

    def fail() -> None:
        raise SystemExit("no\nserver")

    calls.put(fail)
    assert not calls.wait(10)
    calls.put(lambda: made.append("late"))
    calls.close(10)
    assert (made, calls.problem) == ([], "SystemExit: no server")


def test_a_call_that_hangs_does_not_delay_the_caller_beyond_its_limit() -> None:
    calls, over = BackgroundCalls("test"), threading.Event()
    made: list[str] = []
    calls.put(lambda: over.wait(60))
    calls.put(lambda: made.append("late"))
    start = time.monotonic()
    calls.close(0.05)
    assert time.monotonic() - start < 30  # the call itself would take 60 s
    assert calls.problem == "no answer within 0.05 seconds"
    over.set()
    calls._thread.join(10)
    assert made == []


def test_passwords_are_never_reported() -> None:
    message = describe_error(ValueError("no answer from https://me:secret@host:5000/api and postgresql://a:b@db/x"))
    assert message == "ValueError: no answer from https://host:5000/api and postgresql://db/x"


def test_a_long_reason_is_cut_to_300_characters() -> None:
    assert len(describe_error(ValueError("x" * 1000))) == 300


def test_mlflow_s_location_comes_from_the_study_then_the_environment_then_the_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    plain = study("logger=mlflow", f"outputs={tmp_path}")
    assert find_mlflow_location(plain) == f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://here:5000")
    assert find_mlflow_location(plain) == "http://here:5000"
    assert find_mlflow_location(study("logger=mlflow", "logger.location='http://there:1'")) == "http://there:1"


@pytest.mark.parametrize("logger", ["tensorboard", "mlflow", "wandb"])
def test_a_missing_package_is_named_with_its_extra(logger: str, monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, logger)
    with pytest.raises(ConfigError) as error:
        check_logger(study(f"logger={logger}"))
    assert str(error.value) == f"logger={logger} needs the package {logger}: pip install usaggr[{logger}]"


def test_a_database_needs_more_packages_than_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    without(monkeypatch, "sqlalchemy")
    with pytest.raises(
        ConfigError, match=r"^logger=mlflow needs the package sqlalchemy: pip install usaggr\[mlflow\]$"
    ):
        check_logger(study("logger=mlflow"))
    check_logger(study("logger=mlflow", "logger.location='http://there:1'"))
    assert list_modules_to_preload(study("logger=mlflow", "logger.location='http://there:1'")) == ("mlflow.tracking",)


def test_nodes_that_do_not_see_the_sweep_s_files_need_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    separate_files = ("executor=ray", "executor.shared=false", "logger=mlflow")
    with pytest.raises(ConfigError, match=r"^logger.location: with executor.shared=false the nodes do not see sqlite:"):
        check_logger(study(*separate_files))
    check_logger(study(*separate_files, "logger.location='http://there:1'"))
    check_logger(study("executor=ray", "executor.shared=true", "logger=mlflow"))


def test_a_record_is_read_as_written_and_a_damaged_one_is_none(tmp_path: Path) -> None:
    record = Record("mlflow", "http://there:1", "abc", "no answer")
    record.write(tmp_path)
    assert read_record(tmp_path) == record
    (tmp_path / "tracking.json").write_text('{"logger": "mlf')
    assert read_record(tmp_path) is None


def test_logger_none_has_no_interval(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"logger.every is a key of csv, tensorboard, mlflow, wandb, not of none"):
        study("logger.every=5")
