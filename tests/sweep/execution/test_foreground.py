"""One run in the foreground: which run is meant, and what is left when it ends or fails."""

from pathlib import Path

import pytest

from tests.data.factories import tiny_data
from usaggr.config.compose import compose_study
from usaggr.errors import ConfigError, RunError
from usaggr.progress import NoProgress
from usaggr.results.run_directory import RunDirectory
from usaggr.sweep.execution.foreground import choose_run, train_run
from usaggr.sweep.planning.study_plan import Plan, make_plan

SMALL = (
    "data=fmuia", "data.image_size=32", "seeds=[0,1]", "scales=[0.5,1.0]", "training.batch_size=8",
    "groupings=[task_specific,unified]", "training.budget=16 examples", "training.min_examples=16",
)  # fmt: skip


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    root = tiny_data(tmp_path / "data", n=24)
    return make_plan(compose_study("demo", [*SMALL, f"data.root={root}", f"outputs={tmp_path / 'outputs'}"]))


def finish(plan: Plan, index: int) -> None:
    directory = plan.runs[index].directory
    directory.mkdir(parents=True)
    (directory / "result.json").write_text("{}")


def test_the_first_unfinished_run_is_chosen(plan: Plan) -> None:
    assert choose_run(plan, None, None, None, None) is plan.runs[0]
    finish(plan, 0)
    assert choose_run(plan, None, None, None, None) is plan.runs[1]


def test_block_scale_seed_and_variant_choose(plan: Plan) -> None:
    spec = choose_run(plan, "unified", 1.0, 1, "base").spec
    assert (spec.block, spec.scale, spec.seed, spec.variant) == ("unified", 1.0, 1, "base")


def test_options_that_match_no_run_are_refused_with_the_existing_values(plan: Plan) -> None:
    with pytest.raises(ConfigError) as error:
        choose_run(plan, "unifed", None, None, None)
    assert str(error.value) == "--block: unknown 'unifed', did you mean 'unified'? Allowed: cls, det, reg, seg, unified"
    with pytest.raises(ConfigError, match=r"--scale: unknown '0.3'.* Allowed: 0.5, 1.0"):
        choose_run(plan, None, 0.3, None, None)
    with pytest.raises(ConfigError, match=r"--seed: unknown '7'.* Allowed: 0, 1"):
        choose_run(plan, None, None, 7, None)


def test_a_run_that_is_done_is_not_trained_again(plan: Plan) -> None:
    finish(plan, 0)
    spec = plan.runs[0].spec
    with pytest.raises(ConfigError, match=f"to train a run again, remove its directory: {spec.run_id}"):
        choose_run(plan, spec.block, spec.scale, spec.seed, None)


@pytest.mark.slow
def test_a_trained_run_is_done_as_one_of_a_sweep_is(plan: Plan) -> None:
    run = choose_run(plan, "unified", 1.0, 0, None)
    train_run(plan, run, NoProgress())
    assert run.read_state() == "done"
    assert set(RunDirectory(run.directory).read_result().scores) == {"cls", "det", "reg", "seg"}
    assert (run.directory / "run.yaml").is_file()
    assert (run.directory / "predictions.parquet").is_file()


@pytest.mark.slow
def test_an_error_is_recorded_and_raised(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("on purpose")

    monkeypatch.setattr("usaggr.training.run.execute_run", fail)
    run = plan.runs[0]
    with pytest.raises(ZeroDivisionError, match="on purpose"):
        train_run(plan, run, NoProgress())
    assert run.read_state() == "failed"
    status = RunDirectory(run.directory).read_status()
    assert status is not None
    assert str(status.error).startswith("ZeroDivisionError: on purpose\n")
    assert "Traceback" in str(status.error)


@pytest.mark.slow
def test_a_run_that_another_process_trains_is_left_to_it(plan: Plan) -> None:
    run = plan.runs[0]
    with RunDirectory(run.directory).claim(1), pytest.raises(RunError, match="another process trains it"):
        train_run(plan, run, NoProgress())
