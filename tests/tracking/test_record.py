"""What runs and sweeps share of trackers: calls that do no harm, where MLflow is, and what is missing."""

import importlib.util
import threading
import time
from pathlib import Path

import pytest

from usaggr.config.compose import compose_study
from usaggr.config.study import StudyConfig
from usaggr.errors import ConfigError
from usaggr.tracking.record import Aside, Record, check_logger, mlflow_location, one_line, read_record, to_preload


def study(*overrides: str) -> StudyConfig:
    return compose_study("demo", overrides)


def without(monkeypatch: pytest.MonkeyPatch, *missing: str) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in missing else found(name))


def test_calls_are_made_in_their_order_by_another_thread() -> None:
    aside, made = Aside("test"), list[tuple[int, int]]()
    for number in range(20):
        aside.put(lambda number=number: made.append((number, threading.get_ident())))  # type: ignore[misc]
    aside.close(10)
    assert [number for number, _ in made] == list(range(20))
    assert {thread for _, thread in made} != {threading.get_ident()}
    assert aside.problem is None


def test_after_a_fault_nothing_more_is_called_and_the_first_fault_is_told() -> None:
    aside, made = Aside("test"), list[str]()

    def fail() -> None:
        raise SystemExit("no\nserver")

    aside.put(fail)
    assert not aside.wait(10)
    aside.put(lambda: made.append("late"))
    aside.close(10)
    assert (made, aside.problem) == ([], "SystemExit: no server")


def test_a_call_that_hangs_holds_nobody_up_for_longer_than_the_patience() -> None:
    aside, over = Aside("test"), threading.Event()
    made: list[str] = []
    aside.put(lambda: over.wait(60))
    aside.put(lambda: made.append("late"))
    start = time.monotonic()
    aside.close(0.05)
    assert time.monotonic() - start < 30  # it is given up, not waited for
    assert aside.problem == "no answer within 0.05 seconds"
    over.set()
    aside._thread.join(10)
    assert made == []


def test_passwords_are_never_told() -> None:
    said = one_line(ValueError("no answer from https://me:secret@host:5000/api and postgresql://a:b@db/x"))
    assert said == "ValueError: no answer from https://host:5000/api and postgresql://db/x"


def test_a_long_reason_is_cut() -> None:
    assert len(one_line(ValueError("x" * 1000))) == 300


def test_mlflow_is_where_the_study_or_else_the_environment_or_else_the_results_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    plain = study("logger=mlflow", f"outputs={tmp_path}")
    assert mlflow_location(plain) == f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://here:5000")
    assert mlflow_location(plain) == "http://here:5000"
    assert mlflow_location(study("logger=mlflow", "logger.location='http://there:1'")) == "http://there:1"


@pytest.mark.parametrize("logger", ["tensorboard", "mlflow", "wandb"])
def test_a_missing_package_is_named_with_the_extra_that_brings_it(logger: str, monkeypatch: pytest.MonkeyPatch) -> None:
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
    assert to_preload(study("logger=mlflow", "logger.location='http://there:1'")) == ("mlflow.tracking",)


def test_nodes_that_see_no_files_of_the_sweep_need_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    apart = ("executor=ray", "executor.shared=false", "logger=mlflow")
    with pytest.raises(ConfigError, match=r"^logger.location: the nodes of executor.shared=false do not see sqlite:"):
        check_logger(study(*apart))
    check_logger(study(*apart, "logger.location='http://there:1'"))
    check_logger(study("executor=ray", "executor.shared=true", "logger=mlflow"))


def test_a_record_is_read_as_it_was_written_and_half_of_one_is_none(tmp_path: Path) -> None:
    record = Record("mlflow", "http://there:1", "abc", "no answer")
    record.write(tmp_path)
    assert read_record(tmp_path) == record
    (tmp_path / "tracking.json").write_text('{"logger": "mlf')
    assert read_record(tmp_path) is None


def test_no_logger_has_no_interval(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"logger.every is a key of csv, tensorboard, mlflow, wandb, not of none"):
        study("logger.every=5")
