from pathlib import Path
from typing import Any

import pytest

from tests.report.figure_factories import compared
from tests.report.sweeps import FakeSweep
from usaggr.analysis.collect import CollectedRun, collect
from usaggr.analysis.recommendations import Recommendation
from usaggr.document.elements import Document
from usaggr.document.markdown import render_markdown
from usaggr.errors import ConfigError, RunError
from usaggr.inference.model_selection import (
    RunFilter,
    find_best_seed,
    get_recommended,
    select_grouping,
    select_models,
    select_recommended,
)
from usaggr.report.answer.chapter import write_answer
from usaggr.report.material import Material
from usaggr.report.tables import make_tables
from usaggr.results.plan import PlanRow
from usaggr.results.run_result import Cost, RunResult
from usaggr.results.spec import RunSpec
from usaggr.tasks import CATALOGUE

FEMUR, LESION = "fetal_femur", "breast_lesion"


def score(task: str, block: tuple[str, ...], scale: float | int, seed: int) -> dict[str, float]:
    """Study in which sharing improves lesions, with any other task, and harms femurs."""
    shared = len(block) > 1
    distance = 10 + 8 * (len(block) == 3) + 0.01 * seed
    dice = 0.5 + 0.2 * shared + 0.01 * len(block) + 0.001 * seed
    values = {
        LESION: {"dsc": dice, "hd": 20.0, "hd95": 10.0, "nsd": 0.5},
        FEMUR: {"mre": distance, "mre_relative": distance / 100},
        "breast_2cls": {"auc": 0.6},
    }
    return values[task]


def keep_weights(sweep: FakeSweep) -> FakeSweep:
    for run in (sweep.directory / "runs").iterdir():
        (run / "weights").mkdir()
        (run / "weights" / "scored.safetensors").write_bytes(b"weights")
    return sweep


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> FakeSweep:
    made = FakeSweep(
        tmp_path_factory.mktemp("choosing") / "study",
        scales=(0.5, 1.0),
        spread=0.02,
        subjects=12,
        tasks=(LESION, FEMUR, "breast_2cls"),
    )
    return keep_weights(made.finish(score))


def test_a_grouping_gives_the_largest_scale_and_the_first_seed(sweep: FakeSweep) -> None:
    choice = select_grouping(sweep.directory, "clinical", RunFilter())
    names = {task: model.run.name for task, model in choice.models.items()}
    assert {task: name.rpartition("-")[0] for task, name in names.items()} == {
        "breast_2cls": "breast-s1-k0",
        LESION: "breast-s1-k0",
        FEMUR: f"{FEMUR}-s1-k0",
    }
    assert set(choice.runs.values()) == {("breast_2cls", LESION), (FEMUR,)}


def test_scale_seed_and_variant_are_chosen(sweep: FakeSweep) -> None:
    choice = select_grouping(sweep.directory, "unified", RunFilter(0.5, 2, "base"))
    assert [run.name.rpartition("-")[0] for run in choice.runs] == ["unified-s0.5-k2"]


def test_the_recommended_models_are_those_of_the_report(sweep: FakeSweep) -> None:
    choice = select_recommended(sweep.directory, RunFilter())
    assert choice.models[LESION].grouping == "unified"
    assert choice.models[LESION].reason == "AU: gain; seed 2"  # the best seed on the validation set
    assert choice.models[FEMUR].grouping == "task_specific"
    collection = collect([sweep.directory])
    answer = write_answer(Material(make_tables(collection)))
    assert answer is not None
    report = render_markdown(Document("Report", (), (answer,)))
    assert "`usaggr predict --recommended` uses TS for tasks that are undecided or have no verdict" in report
    table = report[report.index("What to use for each task, all training samples") :]
    of_task = {
        line.split("|")[1].strip(): line.split("|")[4].strip() for line in table.splitlines()[:12] if "|" in line
    }
    assert of_task[LESION] == "AU"


def recommendation(kind: Any, grouping: str | None) -> Recommendation:
    return Recommendation("lung", kind, grouping, None)


def test_the_reference_is_used_without_a_recommendation() -> None:
    assert get_recommended(recommendation("gain", "unified"), "task_specific")[0] == "unified"
    assert get_recommended(recommendation("fewer models", "clinical"), "task_specific")[0] == "clinical"
    assert get_recommended(recommendation("reference", "task_specific"), "task_specific")[0] == "task_specific"
    for kind in ("undecided", "no verdict"):
        assert get_recommended(recommendation(kind, None), "clinical") == ("clinical", f"CG, the reference: {kind}")
    assert get_recommended(None, "task_specific")[0] == "task_specific"


def test_the_reason_of_a_no_loss_states_which_failures_it_does_not_exclude() -> None:
    row = compared("breast_lesion", "unified", 0.0, verdict="no_loss", rarer_than=24)
    reason = get_recommended(Recommendation("breast_lesion", "fewer models", "unified", row), "task_specific")[1]
    assert reason == "AU: no loss, with fewer models, apart from failures rarer than 1 in 24"


def finished(seed: int, validation: dict[str, float] | None, test: float = 0.0) -> CollectedRun:
    row = PlanRow(f"r{seed}", FEMUR, ("task_specific",), (FEMUR,), 1.0, seed, "base", f"{seed}" * 64)
    if validation is None:
        return CollectedRun(row, "failed")
    scores = {FEMUR: {"mre": test}}
    cost = Cost(1.0, 1.0, 1.0, 1.0, 1)
    result = RunResult(scores, scores, {FEMUR: validation}, scores, {}, {}, {}, {}, cost)
    return CollectedRun(row, "done", Path(f"r{seed}"), result)


def test_the_best_seed_is_the_one_that_validation_says_and_never_the_test() -> None:
    task = CATALOGUE[FEMUR]
    runs = [finished(0, {"mre": 5.0}, test=1.0), finished(1, {"mre": 3.0}, test=9.0), finished(2, None)]
    best = find_best_seed(runs, task)
    assert best is not None
    assert best.row.seed == 1  # fewer pixels are better
    unscored = find_best_seed([finished(2, None), finished(3, {}), finished(4, {})], task)
    assert unscored is not None
    assert unscored.row.seed == 3
    assert find_best_seed([finished(2, None)], task) is None


def test_a_requested_seed_is_selected(sweep: FakeSweep) -> None:
    assert select_recommended(sweep.directory, RunFilter(seed=1)).models[LESION].reason.endswith("seed 1")


@pytest.mark.parametrize(
    ("grouping", "recommended", "run_filter", "message"),
    [
        (None, False, RunFilter(), "is a whole study: select its models by --grouping NAME or --recommended"),
        ("clinical", True, RunFilter(), "is a whole study"),
        ("clinicl", False, RunFilter(), "--grouping: unknown 'clinicl', did you mean 'clinical'"),
        ("clinical", False, RunFilter(scale=0.4), r"--scale: unknown '0.4'.*Allowed: 0.5, 1"),
        ("clinical", False, RunFilter(seed=7), "--seed: unknown '7'.*Allowed: 0, 1, 2"),
        (None, True, RunFilter(variant="slow"), "--variant: unknown 'slow'.*Allowed: base"),
    ],
)
def test_options_that_a_study_does_not_have_are_refused(
    sweep: FakeSweep, grouping: str | None, recommended: bool, run_filter: RunFilter, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        select_models(sweep.directory, grouping, recommended, run_filter)


def test_options_of_a_study_are_refused_for_one_run(sweep: FakeSweep, tmp_path: Path) -> None:
    run = next(path for path in (sweep.directory / "runs").iterdir() if (path / "run.yaml").is_file())
    with pytest.raises(ConfigError, match="is one run; --grouping"):
        select_models(run, "clinical", False, RunFilter())
    with pytest.raises(ConfigError, match="neither a run"):
        select_models(tmp_path, "clinical", False, RunFilter())


def test_runs_that_are_missing_or_have_no_weights_are_named(tmp_path: Path) -> None:
    def skip(run: RunSpec) -> bool:
        return run.block == "breast"

    sweep = FakeSweep(tmp_path / "study", seeds=(0,)).finish(score, skip)
    with pytest.raises(RunError, match=r"1 of 2 runs are not done \(breast-s1-k0"):
        select_grouping(sweep.directory, "clinical", RunFilter())
    with pytest.raises(RunError, match=r"no weights/scored\.safetensors.*training\.keep_weights=scored") as error:
        select_grouping(sweep.directory, "unified", RunFilter())
    assert "unified-s1-k0" in str(error.value)
    assert "\n" not in str(error.value)
