"""training.keep_weights=auto keeps the weights of a plan if all together are under 10 GB."""

import io
import json
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from tests.sweep import fakes
from tests.sweep.scripted import ScriptedExecutor
from usaggr.config.compose import compose_study
from usaggr.config.study import StudyConfig
from usaggr.models.weight_sizes import WeightSizes
from usaggr.results.contract import WEIGHTS
from usaggr.results.run_directory import RunDirectory
from usaggr.sweep import kept_weights
from usaggr.sweep.inspect.planned_networks import NetworkSizes
from usaggr.sweep.kept_weights import KeptWeights, decide_after_check, decide_kept_weights, list_lacking
from usaggr.sweep.network_checks import make_network_key
from usaggr.sweep.planning.study_plan import Plan
from usaggr.sweep.sweep import run_sweep

GIGABYTE = 1000**3
Usage = namedtuple("Usage", "total used free")


@pytest.fixture(autouse=True)
def _free_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_weights.shutil, "disk_usage", lambda path: Usage(0, 0, 55 * GIGABYTE))


def study(tmp_path: Path, keep: str = "auto", *overrides: str) -> StudyConfig:
    return fakes.study(tmp_path, f"training.keep_weights={keep}", *overrides)


def plan_of(*studies: StudyConfig) -> Plan:
    return fakes.plan(studies[0], *(fakes.planned(config, seed) for seed, config in enumerate(studies)))


def sizes_of(config: StudyConfig, shared: int, head: int = 0) -> NetworkSizes:
    return {make_network_key(config.model, config.data.input_size): WeightSizes(shared, {fakes.TASK.id: head})}


@pytest.mark.parametrize(("size", "keeps"), [(5 * GIGABYTE - 1, True), (5 * GIGABYTE, False)])
def test_the_limit_is_ten_gigabytes_of_all_planned_runs(tmp_path: Path, size: int, keeps: bool) -> None:
    config = study(tmp_path)
    plan = plan_of(config, config)
    decision = decide_kept_weights(plan, sizes_of(config, size - 1000, head=1000))
    assert [decision.keeps(run) for run in plan.runs] == [keeps, keeps]
    resolved = decision.resolve(config)
    assert resolved.training.keep_weights == ("scored" if keeps else "none")
    assert resolved.model_copy(update={"training": config.training}) == config, "nothing else changes"


def test_variants_of_different_sizes_are_added_up(tmp_path: Path) -> None:
    small, large = study(tmp_path), study(tmp_path, "auto", "model=m2dino_tiny")
    plan = plan_of(small, small, large)
    sizes = {**sizes_of(small, GIGABYTE), **sizes_of(large, 7 * GIGABYTE)}
    decision = decide_kept_weights(plan, sizes)
    assert sorted(decision.automatic) == [GIGABYTE, GIGABYTE, 7 * GIGABYTE]
    assert decision.describe() == (
        "weights: kept of 3 runs x 1 to 7 GB = 9 GB, less than 10 GB (training.keep_weights=auto); 55 GB are free on "
        "this disk"
    )
    more = plan_of(small, small, small, large)
    assert decide_kept_weights(more, sizes).describe() == (
        "weights: not kept of 4 runs x 1 to 7 GB = 10 GB, not less than 10 GB (training.keep_weights=auto; scored "
        "keeps them); 55 GB are free on this disk"
    )


@pytest.mark.parametrize(("size", "text"), [(999_499_999, "999 MB"), (999_500_000, "1 GB"), (1_000_000_000, "1 GB")])
def test_sizes_of_almost_a_gigabyte_are_written_without_an_exponent(tmp_path: Path, size: int, text: str) -> None:
    config = study(tmp_path)
    decision = decide_kept_weights(plan_of(config), sizes_of(config, size))
    assert f"kept of 1 run x {text} = {text}, less than 10 GB" in decision.describe()


def test_a_block_of_more_tasks_has_more_heads(tmp_path: Path) -> None:
    config = study(tmp_path)
    plan = plan_of(config)
    spec = replace(plan.runs[0].spec, tasks=("a", "b"))
    shared = replace(plan, runs=(*plan.runs, replace(plan.runs[0], spec=spec)))
    key = make_network_key(config.model, config.data.input_size)
    sizes = {key: WeightSizes(100, {fakes.TASK.id: 10, "a": 3, "b": 4})}
    assert decide_kept_weights(shared, sizes).automatic == (110, 107)


def test_explicit_values_keep_their_meaning_and_count(tmp_path: Path) -> None:
    config, parent, without = study(tmp_path), study(tmp_path, "scored"), study(tmp_path, "none")
    plan = plan_of(config, parent, without)
    decision = decide_kept_weights(plan, sizes_of(config, 6 * GIGABYTE))
    assert [decision.keeps(run) for run in plan.runs] == [False, True, False]
    assert "; kept of the 1 run x 6 GB = 6 GB that others start from or whose variant says so" in decision.describe()
    scored = decide_kept_weights(plan_of(parent, parent), sizes_of(config, 60 * GIGABYTE))
    assert scored.describe() == (
        "weights: kept of 2 runs x 60 GB = 120 GB (training.keep_weights=scored); 55 GB are free on this disk, too "
        "little; training.keep_weights=none needs none"
    )
    none = decide_kept_weights(plan_of(without), {})
    assert none.describe() == "weights: none are kept (training.keep_weights=none)"


def test_weights_of_unknown_size_are_not_kept(tmp_path: Path) -> None:
    decision = decide_kept_weights(plan_of(study(tmp_path)), {})
    assert not decision.keeps_automatic
    assert "not kept, because the size of the networks is not known" in decision.describe()


@pytest.mark.parametrize(
    ("executor", "keeps"),
    [("ray", False), ("local", True), ("slurm", True)],
)
def test_weights_that_ray_could_not_send_from_a_node_are_not_kept(tmp_path: Path, executor: str, keeps: bool) -> None:
    shared = ["executor.shared=false"] if executor == "ray" else []
    config = compose_study("demo", [f"outputs={tmp_path}", f"executor={executor}", *shared])
    decision = decide_kept_weights(plan_of(config), sizes_of(config, 2 * 2**30))
    assert decision.keeps_automatic == keeps
    assert ("nodes of Ray send at most 2.147 GB of a run (executor.shared=false)" in decision.describe()) == (not keeps)


def test_finished_runs_count_so_that_later_sweeps_decide_the_same(tmp_path: Path) -> None:
    config = study(tmp_path)
    plan = plan_of(config, config)
    first = decide_kept_weights(plan, sizes_of(config, 4 * GIGABYTE))
    for run in plan.runs:
        (run.directory / WEIGHTS).parent.mkdir(parents=True)
        RunDirectory(run.directory).write_result(fakes.RESULT)
    (plan.runs[0].directory / WEIGHTS).touch()
    second = decide_kept_weights(plan, sizes_of(config, 4 * GIGABYTE))
    assert (first.missing, second.missing) == (8 * GIGABYTE, 4 * GIGABYTE)
    assert second.keeps_automatic == first.keeps_automatic
    assert list_lacking(plan, second) == [plan.runs[1]]
    assert plan.runs[1].read_state() == "done"


def test_a_sweep_says_what_it_keeps_and_executors_get_no_auto(tmp_path: Path) -> None:
    plan = plan_of(study(tmp_path), study(tmp_path, "none"))
    executor, out = ScriptedExecutor(), io.StringIO()

    def check(*_: object) -> KeptWeights:
        return decide_kept_weights(plan, sizes_of(plan.study, 71_300_000))

    run_sweep(
        plan, console=Console(file=out, width=200), executor=executor, check=check,
        prepare=lambda plan, runs, progress: lambda run: None, build_report=lambda directories: directories[0],
    )  # fmt: skip
    assert {job.spec.seed: job.study.training.keep_weights for job in executor.submitted} == {0: "scored", 1: "none"}
    assert "weights: kept of 1 run x 71.3 MB = 71.3 MB, less than 10 GB" in out.getvalue()


def test_the_sizes_of_a_check_are_stored_for_later_plans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_of(study(tmp_path, "auto", f"data.cache_dir={tmp_path / 'cache'}"))
    sizes = sizes_of(plan.study, 1_000_000)
    first = decide_after_check(plan, plan.runs, sizes)
    (file,) = (tmp_path / "cache" / "networks").iterdir()
    assert json.loads(file.read_text()) == {"shared": 1_000_000, "by_task": {fakes.TASK.id: 0}}
    monkeypatch.setattr("subprocess.run", None)  # no process is started
    assert decide_after_check(plan, plan.runs, sizes) == first
    assert first.keeps_automatic
