import csv
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from tests.data.factories import tiny_data
from usaggr.config.compose import compose_study
from usaggr.config.study import TrainingConfig
from usaggr.data.batches.batches import SubsetBatches
from usaggr.data.batches.cache import build_or_open
from usaggr.data.batches.run_data import RunData, select_run_data
from usaggr.data.batches.streams import compute_stream_length, make_stream
from usaggr.errors import RunError
from usaggr.metrics.scores import score_tasks
from usaggr.models.build_network import build_network
from usaggr.models.network import MultiTaskNetwork
from usaggr.results.predictions import read_predictions
from usaggr.results.run_directory import RunDirectory
from usaggr.results.run_result import RunResult
from usaggr.results.spec import Placement
from usaggr.sweep.planning.study_plan import Plan, PlannedRun, make_plan
from usaggr.training.optimizer import make_optimizer
from usaggr.training.run import execute_run, make_intervals, score_trivial_predictors


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("training")
    tiny_data(folder / "data", n=30)
    return folder


def plan_of(folder: Path, *overrides: str) -> Plan:
    fixed = ["data=fmuia", f"data.root={folder / 'data'}", "data.image_size=32", f"outputs={folder / 'outputs'}"]
    small = ["scales=[1.0]", "seeds=[0]", "training.budget=24 examples", "training.min_examples=1"]
    return make_plan(compose_study("demo", [*fixed, *small, *overrides]))


def pick(plan: Plan, block: str) -> tuple[PlannedRun, RunData]:
    run = next(run for run in plan.runs if run.spec.block == block)
    return run, select_run_data(plan.manifest, run.spec, build_or_open(plan.manifest.dataset, run.study.data))


def execute(plan: Plan, block: str, directory: Path) -> RunResult:
    run, data = pick(plan, block)
    directory.mkdir(parents=True)
    execute_run(run.spec, directory, run.study, Placement(threads=1), data)
    return RunDirectory(directory).read_result()


@dataclass(frozen=True)
class Trained:
    """Run of all tasks, which tests only read."""

    plan: Plan
    directory: Path
    result: RunResult


@pytest.fixture(scope="module")
def trained(folder: Path) -> Trained:
    pairs = "data.subject_patterns={seg: 's[0-9]+', reg: 's[0-9]+'}"  # two samples per subject, for other tasks one
    plan = plan_of(folder, "training.keep_weights=scored", "training.validations=2", pairs)
    directory = folder / "trained"
    return Trained(plan, directory, execute(plan, "unified", directory))


def test_a_run_leaves_all_that_the_contract_asks_for(trained: Trained) -> None:
    plan, result = trained.plan, trained.result
    names = {path.name for path in trained.directory.iterdir()}
    assert {"result.json", "predictions.parquet", "curve.csv", "weights"} <= names
    assert {t: list(s) for t, s in result.scores.items()} == {
        "seg": ["dsc", "hd", "hd95", "nsd"],
        "cls": ["auc", "accuracy", "balanced_accuracy", "f1_macro", "f1_weighted", "mcc"],
        "det": ["iou"],
        "reg": ["mre", "mre_relative"],
    }
    assert {t: list(s) for t, s in result.trivial.items()} == {t: list(s) for t, s in result.scores.items()}
    assert result.examples == {"seg": 24, "cls": 24, "det": 24, "reg": 24}
    for task_id in plan.manifest.dataset.tasks:
        tested = plan.manifest.by_subset[task_id, "test"]
        subjects = {sample.subject_id for sample in tested}
        assert (result.n_test[task_id], result.n_subjects[task_id]) == (len(tested), len(subjects))
        assert result.n_train[task_id] == len(plan.manifest.by_subset[task_id, "train"])
    assert result.n_subjects["seg"] < result.n_test["seg"]
    assert result.cost.parameters > 1000


def test_a_runs_time_is_recorded_by_phase(trained: Trained) -> None:
    result = trained.result
    times = result.timings
    assert {"network", "streams", "trivial", "fit", "train", "validation", "test", "write"} <= set(times)
    assert all(seconds > 0 for seconds in times.values())
    assert times["train"] + times["validation"] < times["fit"]
    phase_seconds = sum(times[name] for name in ("network", "streams", "trivial", "fit", "test", "write"))
    assert phase_seconds < result.cost.seconds
    assert result.cost.train_seconds == times["train"]
    assert result.cost.samples_per_second == pytest.approx(sum(result.examples.values()) / times["train"])


def test_scores_can_be_computed_from_the_stored_predictions(trained: Trained) -> None:
    plan, result = trained.plan, trained.result
    table = read_predictions(trained.directory / "predictions.parquet")
    assert len(table) == sum(result.n_test.values())
    predictions = [dict(row) for row in table.to_dict("records")]
    again, _ = score_tasks(list(plan.manifest.dataset.tasks.values()), predictions)
    for task_id, scores in result.scores.items():
        main = next(iter(scores))
        assert again[task_id][main] == pytest.approx(scores[main], abs=1e-12)


def test_the_same_run_twice_gives_the_same_numbers(trained: Trained, tmp_path: Path) -> None:
    torch.manual_seed(99)  # random numbers drawn earlier in the process must not matter
    first, second = trained.result, execute(trained.plan, "unified", tmp_path / "second")
    assert (first.scores, first.validation, first.trivial) == (second.scores, second.validation, second.trivial)
    assert (trained.directory / "curve.csv").read_text() == (tmp_path / "second" / "curve.csv").read_text()


def test_another_seed_gives_other_numbers(folder: Path, tmp_path: Path) -> None:
    plan = plan_of(folder, "training.validations=1")
    other = plan_of(folder, "seeds=[1]", "training.validations=1")
    assert execute(plan, "reg", tmp_path / "a").scores != execute(other, "reg", tmp_path / "b").scores


def test_a_tasks_stream_is_the_same_under_every_grouping(folder: Path) -> None:
    plan = plan_of(folder)
    for run in plan.runs:
        _, data = pick(plan, run.spec.block)
        intervals, lengths = make_intervals(run.spec, run.study, data)
        draws = [draw for interval in intervals for batch in interval.draws_by_batch for draw in batch]
        for task_id in run.spec.tasks:
            length = compute_stream_length("24 examples", 1, len(data.train[task_id]))
            alone = make_stream(task_id, run.spec.train_samples[task_id], 0, length)
            assert [draw for draw in draws if draw.task_id == task_id] == alone
            assert lengths[task_id] == length


def test_a_loss_that_is_not_finite_ends_the_run_with_its_reason(folder: Path, tmp_path: Path) -> None:
    plan = plan_of(folder, "training.learning_rate=1e30", "training.gradient_clip=null")
    with pytest.raises(RunError, match=r"training loss is (nan|inf) at step \d+ of \d+ .*learning_rate"):
        execute(plan, "reg", tmp_path / "run")
    assert not (tmp_path / "run" / "result.json").exists()


def test_the_curve_has_one_row_per_validation_and_ends_with_the_run(folder: Path, tmp_path: Path) -> None:
    plan = plan_of(folder, "training.validations=3")
    result = execute(plan, "seg", tmp_path / "run")
    with (tmp_path / "run" / "curve.csv").open(newline="") as file:
        curve = list(csv.DictReader(file))
    assert [float(row["progress"]) for row in curve] == pytest.approx([1 / 3, 2 / 3, 1])
    assert float(curve[-1]["seg:dsc"]) == pytest.approx(result.validation["seg"]["dsc"], abs=1e-5)


def test_the_best_weights_are_scored_and_kept_and_dropout_is_off_when_they_are(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    best = ["training.validations=3", "training.score_weights=best", "training.learning_rate=0.05"]
    plan = plan_of(folder, *best, "training.keep_weights=scored", "model.dropout=0.3")
    skills = iter((0.1, 0.3, 0.2))
    monkeypatch.setattr("usaggr.training.validation_curve.compute_mean_skill", lambda *_: next(skills))
    result = execute(plan, "cls", tmp_path / "run")
    curve = pd.read_csv(tmp_path / "run" / "curve.csv")
    assert result.validation["cls"]["auc"] == pytest.approx(curve["cls:auc"][1], abs=1e-5)
    scored = predicted_by_kept_weights(plan, "cls", tmp_path / "run")
    stored = read_predictions(tmp_path / "run" / "predictions.parquet").set_index("sample_id")["probs"]
    assert scored.keys() == set(stored.index)
    for sample_id, probabilities in scored.items():
        assert probabilities == pytest.approx(stored[sample_id], abs=1e-5)


def predicted_by_kept_weights(plan: Plan, task_id: str, directory: Path) -> dict[str, np.ndarray]:
    """Return probabilities of a run's test samples, from a new network with the stored weights."""
    _, data = pick(plan, task_id)
    network = build_network(plan.study.model, list(data.tasks.values()), 0).eval()
    network.load_state_dict(load_file(directory / "weights" / "scored.safetensors"))
    predictions = {}
    with torch.inference_mode():
        for batch in SubsetBatches(data.test, data.cache, 4):
            probabilities = network(batch.images, batch.batch_indices)[task_id].softmax(dim=1).numpy()
            predictions |= {s.sample_id: p for s, p in zip(batch.samples, probabilities, strict=True)}
    return predictions


def test_no_interval_is_empty_with_fewer_batches_than_validations(folder: Path) -> None:
    plan = plan_of(folder, "training.validations=50")
    run, data = pick(plan, "cls")
    intervals, _ = make_intervals(run.spec, run.study, data)
    assert [len(interval) for interval in intervals] == [1, 1, 1]  # 24 examples in batches of 8


def test_the_trivial_predictor_is_fitted_on_the_runs_own_training_samples(folder: Path) -> None:
    plan = plan_of(folder)
    _, data = pick(plan, "reg")
    train, test = data.train["reg"][:3], data.test
    trivial = score_trivial_predictors(plan.study, replace(data, train={"reg": train}))
    constant = np.mean([sample.points for sample in train], axis=0)  # all images have one size
    distances = [np.linalg.norm(constant - np.asarray(sample.points), axis=1).mean() for sample in test]
    assert trivial.test["reg"]["mre"] == pytest.approx(np.mean(distances))


def test_a_result_has_the_trivial_scores_as_means_over_subjects(folder: Path) -> None:
    plan = plan_of(folder)
    _, data = pick(plan, "reg")
    # The first three test samples are of one patient, so that each counts a third.
    test = [replace(sample, subject_id="p") if i < 3 else sample for i, sample in enumerate(data.test)]
    trivial = score_trivial_predictors(plan.study, replace(data, test=test))
    constant = np.mean([sample.points for sample in data.train["reg"]], axis=0)
    distances = [np.linalg.norm(constant - np.asarray(sample.points), axis=1).mean() for sample in test]
    assert trivial.test_by_subject["reg"]["mre"] == pytest.approx(np.mean([np.mean(distances[:3]), *distances[3:]]))
    assert trivial.test["reg"]["mre"] == pytest.approx(np.mean(distances))


def test_a_csv_logger_writes_the_training_loss(folder: Path, tmp_path: Path) -> None:
    plan = plan_of(folder, "logger=csv", "logger.every=1")
    execute(plan, "cls", tmp_path / "run")
    with (tmp_path / "run" / "logs" / "metrics.csv").open(newline="") as file:
        assert sum(bool(row["training_loss"]) for row in csv.DictReader(file)) == 3


def test_the_weight_of_a_task_scales_its_loss(folder: Path, tmp_path: Path) -> None:
    plan = plan_of(folder, "training.task_weights={reg: 0.0}", "training.weight_decay=0.0")
    run, data = pick(plan, "reg")
    (tmp_path / "run").mkdir()
    execute_run(run.spec, tmp_path / "run", run.study, Placement(threads=1), data)
    with (tmp_path / "run" / "curve.csv").open(newline="") as file:
        curve = list(csv.DictReader(file))
    # Without a gradient nothing is learned: the validation loss stays the same.
    assert {row["reg:val_loss"] for row in curve} == {curve[0]["reg:val_loss"]}


def test_a_result_is_not_written_for_a_score_that_is_not_a_number(trained: Trained, tmp_path: Path) -> None:
    broken = replace(trained.result, scores={"det": {"iou": float("nan")}})
    (tmp_path / "broken").mkdir()
    with pytest.raises(RunError, match="iou of det is nan"):
        RunDirectory(tmp_path / "broken").write_result(broken)
    assert json.loads((trained.directory / "result.json").read_text())["schema_version"] == 1


def test_a_run_of_experts_says_how_they_are_used(folder: Path, tmp_path: Path) -> None:
    result = execute(plan_of(folder, "model=m2dino_tiny", "training.validations=2"), "unified", tmp_path / "run")
    table = pd.read_csv(tmp_path / "run" / "routing.csv")
    assert len(table) == 4 * 3 * 4  # tasks, blocks, experts
    assert set(table["task"]) == set(result.scores)
    patches = (32 // 8) ** 2 + 1
    assert (table["tokens"] == table["task"].map(result.n_test) * patches).all()
    assert table.groupby(["task", "block"])["share"].sum().to_list() == pytest.approx([1] * 12, abs=1e-4)
    curve = pd.read_csv(tmp_path / "run" / "curve.csv")
    assert curve["expert_entropy"].between(0, 1).all()
    assert curve["dead_experts"].between(0, 12).all()


def test_a_run_without_experts_says_nothing_of_them(folder: Path, tmp_path: Path, trained: Trained) -> None:
    adapters = ("model=m2dino_tiny", "model.conditioning=lora", "training.validations=1")
    execute(plan_of(folder, *adapters), "unified", tmp_path / "run")
    for directory in (tmp_path / "run", trained.directory):
        assert not (directory / "routing.csv").exists()
        assert not any("expert" in name for name in pd.read_csv(directory / "curve.csv").columns)


def test_the_result_counts_parameters_in_all_trained_and_active(folder: Path, tmp_path: Path) -> None:
    plan = plan_of(folder, "model=m2dino_tiny", "model.freeze=backbone", "training.validations=1")
    cost = execute(plan, "unified", tmp_path / "run").cost
    assert cost.trained_parameters is not None
    assert cost.active_parameters is not None
    assert cost.trained_parameters < cost.parameters
    assert cost.active_parameters < cost.parameters


def test_runs_of_transformers_train_in_half_precision_and_frozen(folder: Path, tmp_path: Path) -> None:
    half = ["training.precision=bf16-mixed", "model.freeze=early", "model.layer_decay=0.8"]
    few = ["training.budget=8 examples", "training.validations=1"]
    result = execute(plan_of(folder, "model=m2dino_tiny", *half, *few), "unified", tmp_path / "run")
    assert set(result.scores) == {"seg", "cls", "det", "reg"}


@pytest.mark.parametrize("model", ["tiny", "m2dino_tiny"])
def test_the_fast_path_scores_as_the_plain_one(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    # Adam's steps do not depend on the size of the gradient: rounding errors can change them by as much as the rate.
    few = ["training.budget=16 examples", "training.validations=2"]
    common = [f"model={model}", "training.learning_rate=1e-5", *few]
    fast = plan_of(folder, *common, "training.resident=true", "training.channels_last=true")
    slow = plan_of(folder, *common, "training.resident=false", "training.channels_last=false")
    assert {run.spec.fingerprint for run in fast.runs} == {run.spec.fingerprint for run in slow.runs}
    result = execute(fast, "unified", tmp_path / "fast")
    with monkeypatch.context() as patch:
        patch.setattr("usaggr.training.module.make_optimizer", plain_optimizer)
        expected = execute(slow, "unified", tmp_path / "slow")
    for task_id, main in {"seg": "dsc", "det": "iou", "reg": "mre"}.items():
        assert result.scores[task_id][main] == pytest.approx(expected.scores[task_id][main], abs=1e-3, rel=1e-3)
    predictions = [read_predictions(tmp_path / name / "predictions.parquet") for name in ("fast", "slow")]
    # On noise the probabilities of classes are almost equal: they are compared, and not their ranks.
    probabilities = [table[table["task_id"] == "cls"]["probs"].to_list() for table in predictions]
    assert np.allclose(probabilities[0], probabilities[1], atol=1e-3)
    losses = [pd.read_csv(tmp_path / name / "curve.csv").filter(like="loss") for name in ("fast", "slow")]
    pd.testing.assert_frame_equal(losses[0], losses[1], rtol=1e-4, atol=1e-4)


def plain_optimizer(network: MultiTaskNetwork, training: TrainingConfig) -> torch.optim.Optimizer:
    """Make AdamW without the fused implementation."""
    groups = make_optimizer(network, training).param_groups
    plain_groups = [{key: group[key] for key in ("params", "lr", "weight_decay")} for group in groups]
    return torch.optim.AdamW(plain_groups, foreach=False, fused=False)


def test_weights_of_a_network_with_channels_last_are_kept_as_others(folder: Path, tmp_path: Path) -> None:
    stored = {}
    for last in ("true", "false"):
        still = ["training.keep_weights=scored", "training.learning_rate=1e-6", "training.validations=1"]
        plan = plan_of(folder, f"training.channels_last={last}", *still)
        execute(plan, "det", tmp_path / last)
        stored[last] = load_file(tmp_path / last / "weights" / "scored.safetensors")
    assert stored["true"].keys() == stored["false"].keys()
    for name, tensor in stored["false"].items():
        assert torch.allclose(stored["true"][name], tensor, atol=1e-4), name


@pytest.mark.slow
def test_a_compiled_run_scores_as_one_that_is_not(folder: Path, tmp_path: Path) -> None:
    losses = {}
    for name in ("true", "false"):
        plan = plan_of(folder, f"training.compile={name}", "training.learning_rate=1e-4", "training.validations=2")
        execute(plan, "cls", tmp_path / name)
        losses[name] = pd.read_csv(tmp_path / name / "curve.csv").filter(like="loss")
    pd.testing.assert_frame_equal(losses["true"], losses["false"], rtol=1e-3, atol=1e-3)
