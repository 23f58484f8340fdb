import dataclasses
import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from tests.data.factories import tiny_data
from usaggr.config.compose import compose_study
from usaggr.metrics.names import METRICS
from usaggr.results.run_directory import RunDirectory
from usaggr.results.run_result import Cost, RunResult
from usaggr.statistics.moderated_variances import plan_prior_df
from usaggr.statistics.power import count_seeds_from_sds, estimate_auc_variance, find_smallest_difference
from usaggr.sweep.inspect.detectable_difference import ASSUMED_AUC, DetectableDifference, compute_detectable_differences
from usaggr.sweep.inspect.plan_console import print_detectable_differences
from usaggr.sweep.planning.study_plan import Plan, PlannedRun, make_plan


def prior_df(cells: int) -> float:
    """Return the degrees of freedom that are expected from other cells: one task under several groupings has none."""
    return float(plan_prior_df(np.full(cells, 2.0), np.arange(cells))[0])


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_data(tmp_path_factory.mktemp("compute_detectable_differences") / "data", n=180)


def plan_of(root: Path, folder: Path, *overrides: str) -> Plan:
    fixed = ["data=fmuia", f"data.root={root}", "data.image_size=32", f"outputs={folder}", "scales=[1.0]"]
    groups = "data.clinical_groups={seg: one, cls: one, det: two, reg: three}"
    return make_plan(compose_study("demo", [*fixed, groups, *overrides]))


def by_task(plan: Plan) -> dict[str, DetectableDifference]:
    return {task.task: task for task in compute_detectable_differences(plan)}


def finish(run: PlannedRun, plan: Plan, scores: dict[str, float], **more: object) -> None:
    tasks = plan.manifest.dataset.tasks
    values = {t: {METRICS[tasks[t].type][0].name: scores[t]} for t in run.spec.tasks}
    counts = dict.fromkeys(run.spec.tasks, 1)
    cost = Cost(1.0, 1.0, 1.0, 1.0, 1)
    run.directory.mkdir(parents=True, exist_ok=True)
    directory = RunDirectory(run.directory)
    directory.write_spec(run.spec)
    directory.write_result(RunResult(values, values, values, values, counts, counts, counts, counts, cost))


def scores_of(run: PlannedRun, spread: float) -> dict[str, float]:
    """Return scores by task; those of the unified model differ by the seed's noise."""
    noise = {0: -1.0, 1: 0.0, 2: 1.0}[run.spec.seed] * spread * (len(run.spec.tasks) > 1)
    return {"seg": 0.8 + noise, "cls": 0.9 + noise, "det": 0.7 + noise, "reg": 10.0 * (1 + noise)}


def test_before_any_run_the_assumptions_of_the_study_are_used(root: Path, tmp_path: Path) -> None:
    assumed = ("report.assumed_seed_sd=0.03", "report.assumed_subject_sd=0.06")
    by_name = by_task(plan_of(root, tmp_path, *assumed))
    seg = by_name["seg"]
    assert (seg.is_measured, seg.margin, seg.reason) == (False, 0.02, "")
    # seg and cls are judged together under two groupings, all four under one.
    assert {task.family for task in by_name.values()} == {4}
    oracle = find_smallest_difference(0.03, 0.06, 0.0, 3, seg.subjects, [0.05 / 4, 0.05], prior_df=prior_df(2))
    assert (seg.corrected, seg.uncorrected) == pytest.approx(tuple(oracle))


def test_a_task_of_its_own_metric_has_no_other_cells(root: Path, tmp_path: Path) -> None:
    det = by_task(plan_of(root, tmp_path))["det"]
    assert det.corrected == pytest.approx(float(find_smallest_difference(0.015, 0.1, 0.0, 3, det.subjects, 0.05 / 4)))


def test_a_distance_is_judged_as_a_fraction_of_the_references_mean(root: Path, tmp_path: Path) -> None:
    assert by_task(plan_of(root, tmp_path, "report.relative_margin=0.2"))["reg"].margin == 0.2


def test_an_auc_varies_over_subjects_by_its_classes(root: Path, tmp_path: Path) -> None:
    plan = plan_of(root, tmp_path)
    labels = [s.label for s in plan.manifest.by_subset["cls", "test"]]
    variances = [estimate_auc_variance(ASSUMED_AUC, labels.count(c), len(labels) - labels.count(c)) for c in range(3)]
    # The mean of three AUCs; any two have correlation 1/2, as have the AUCs of two models.
    sd = np.sqrt(np.mean(variances) * (3 + 6 * 0.5) / 9 * len(labels))
    task = by_task(plan)["cls"]
    assert task.subjects == len(labels)
    assert task.corrected == pytest.approx(
        float(find_smallest_difference(0.015, sd, 0.0, 3, len(labels), 0.05 / 4, prior_df=prior_df(2)))
    )


def test_the_variance_of_an_auc_equals_that_in_simulation() -> None:
    rng = np.random.default_rng(0)
    shape = (4000, 40, 1), (4000, 1, 60)
    # Exponential scores are the model under which Hanley and McNeil's formula is exact.
    areas = (3.0 * rng.exponential(size=shape[0]) > rng.exponential(size=shape[1])).mean(axis=(1, 2))
    assert areas.mean() == pytest.approx(0.75, abs=0.005)
    assert areas.var() == pytest.approx(estimate_auc_variance(0.75, 40, 60), rel=0.07)


def test_finished_runs_determine_the_spread_over_seeds(root: Path, tmp_path: Path) -> None:
    plan = plan_of(root, tmp_path)
    for run in plan.runs:
        finish(run, plan, scores_of(run, 0.03))
    by_name = by_task(plan)
    assert all(task.is_measured for task in by_name.values())
    # The difference of a distance is divided by the reference's mean, 10.
    for task_id in ("seg", "reg"):
        task = by_name[task_id]
        oracle = find_smallest_difference(0.03, 0.1, 0.0, 3, task.subjects, 0.05 / 4)
        assert task.corrected == pytest.approx(float(oracle))


def test_the_variance_is_averaged_over_cells(root: Path, tmp_path: Path) -> None:
    plan = plan_of(root, tmp_path)
    for run in plan.runs:
        finish(run, plan, scores_of(run, 0.001 if run.spec.block == "one" else 0.1))
    seg = by_task(plan)["seg"]
    sd = np.sqrt((0.001**2 + 0.1**2) / 2)
    oracle = find_smallest_difference(sd, 0.1, 0.0, 3, seg.subjects, 0.05 / 4)
    assert seg.corrected == pytest.approx(float(oracle))


def test_two_finished_seeds_of_one_cell_are_too_few_to_measure(root: Path, tmp_path: Path) -> None:
    plan = plan_of(root, tmp_path, "groupings=[task_specific,unified]")
    for run in plan.runs:
        if run.spec.seed < 2:
            finish(run, plan, scores_of(run, 0.03))
    assert not any(task.is_measured for task in compute_detectable_differences(plan))


def test_a_damaged_result_is_ignored(root: Path, tmp_path: Path) -> None:
    plan = plan_of(root, tmp_path)
    for number, run in enumerate(plan.runs):
        finish(run, plan, scores_of(run, 0.03))
        damage = ["{", '{"schema_version": 1}', "null"][number % 3]
        (run.directory / "result.json").write_text(damage)
    assert not any(task.is_measured for task in compute_detectable_differences(plan))


def test_the_reported_seeds_are_enough_to_test_the_margin(root: Path, tmp_path: Path) -> None:
    plan = plan_of(root, tmp_path, "report.assumed_subject_sd=0.01")
    seg = by_task(plan)["seg"]
    assert seg.corrected > seg.margin
    assert seg.seeds == count_seeds_from_sds(0.02, 0.015, 0.01, 0.0, seg.subjects, 0.05 / 4, prior_df=prior_df(2))
    assert by_task(plan_of(root, tmp_path, "report.assumed_subject_sd=0.01", f"seeds={list(range(seg.seeds))}"))[
        "seg"
    ].corrected <= 0.02  # fmt: skip
    assert by_task(plan_of(root, tmp_path, "report.assumed_subject_sd=0.3"))["seg"].seeds is None


def test_tasks_without_a_verdict_have_a_reason_and_are_in_no_family(tmp_path: Path) -> None:
    by_name = by_task(plan_of(tiny_data(tmp_path / "some", n=120), tmp_path / "outputs"))
    assert by_name["cls"].reason == "fewer than 10 independent test subjects in the rarer class"
    assert np.isnan(by_name["cls"].corrected)
    assert by_name["cls"].seeds is None
    assert (by_name["seg"].reason, by_name["seg"].family) == ("", 3)
    by_name = by_task(plan_of(tiny_data(tmp_path / "few", n=20), tmp_path / "more_outputs"))
    assert {task.reason for task in by_name.values()} == {"fewer than 10 independent test subjects"}


def test_the_study_as_the_family_counts_the_cells_of_all_groupings_and_scales(root: Path, tmp_path: Path) -> None:
    """Unified is compared on four tasks and clinical on two, at two scales."""
    overrides = ("groupings=[task_specific,clinical,unified]", "scales=[0.5,1.0]")
    usual = by_task(plan_of(root, tmp_path, *overrides))["seg"]
    strict = by_task(plan_of(root, tmp_path, *overrides, "report.family=study"))["seg"]
    assert (usual.family, strict.family) == (4, 12)
    assert strict.corrected > usual.corrected
    assert strict.uncorrected == usual.uncorrected


def test_a_task_with_the_references_run_in_all_groupings_is_left_out(root: Path, tmp_path: Path) -> None:
    assert set(by_task(plan_of(root, tmp_path, "groupings=[task_specific,clinical]"))) == {"cls", "seg"}
    assert compute_detectable_differences(plan_of(root, tmp_path, "groupings=[task_specific]")) == ()


def printed_plan(plan: Plan) -> str:
    file = io.StringIO()
    print_detectable_differences(compute_detectable_differences(plan), plan.study, Console(file=file, width=200))
    return file.getvalue()


def test_the_plan_says_which_margins_can_be_decided_and_with_how_many_seeds(root: Path, tmp_path: Path) -> None:
    plan = plan_of(root, tmp_path, "report.assumed_subject_sd=0.01")
    printed, tasks = printed_plan(plan), by_task(plan)
    assert "smallest difference that 3 seeds can detect (80 % power)" in printed
    line = next(line for line in printed.splitlines() if " seg " in line)
    seg = tasks["seg"]
    assert [cell.strip() for cell in line.split("│")[2:-1]] == [
        "dsc", str(seg.subjects), f"{seg.corrected:.3f}", f"{seg.uncorrected:.3f}", "0.020", str(seg.seeds)
    ]  # fmt: skip
    assert f"{100 * tasks['reg'].corrected:.0f} %" in printed
    short = [t for t in tasks.values() if not t.reason and t.corrected > t.margin]
    judged = [t for t in tasks.values() if not t.reason]
    assert f"with 3 seeds the margin can be tested on {len(judged) - len(short)} of 4 tasks" in printed
    assert f"with about {max(t.seeds for t in short if t.seeds)} on" in printed
    assert "0.015 over seeds (report.assumed_seed_sd), 0.01 over subjects" in printed


def test_the_plan_says_which_tasks_get_no_verdict_and_how_much_is_measured(tmp_path: Path) -> None:
    plan = plan_of(tiny_data(tmp_path / "data", n=120), tmp_path / "outputs")
    assert "measured" not in printed_plan(plan)
    for run in plan.runs:
        finish(run, plan, scores_of(run, 0.03))
    printed = printed_plan(plan)
    assert "no verdict on cls: fewer than 10 independent test subjects in the rarer class" in printed
    assert "spread over seeds measured on the finished runs of 4 of 4 tasks" in printed
    assert "report.assumed_seed_sd" not in printed


def test_the_plan_never_shortens_task_names_on_a_narrow_terminal(root: Path, tmp_path: Path) -> None:
    plan, file = plan_of(root, tmp_path), io.StringIO()
    renamed = tuple(
        dataclasses.replace(task, task=f"name_as_long_as_{task.task}") for task in compute_detectable_differences(plan)
    )
    print_detectable_differences(renamed, plan.study, Console(file=file, width=80))
    assert all(task.task in file.getvalue() for task in renamed)
    assert max(len(line) for line in file.getvalue().splitlines()) <= 80


def test_the_plan_says_that_verdicts_of_one_and_two_seeds_are_provisional(root: Path, tmp_path: Path) -> None:
    assert "every verdict will be provisional" in printed_plan(plan_of(root, tmp_path, "seeds=[0]"))
    assert "two seeds hardly show how training varies" in printed_plan(plan_of(root, tmp_path, "seeds=[0,1]"))
    assert "provisional" not in printed_plan(plan_of(root, tmp_path, "seeds=[0,1,2]"))


def test_the_plan_says_if_no_grouping_can_be_compared(root: Path, tmp_path: Path) -> None:
    assert printed_plan(plan_of(root, tmp_path, "groupings=[task_specific]")).startswith("no grouping can be compared")
