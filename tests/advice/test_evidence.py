"""Tests of the evidence in finished sweeps: which cells count, in which unit, and why others do not."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.advice.factories import evidence_of, finished
from tests.report.sweeps import FakeSweep, level
from usaggr.advice.evidence import EvidenceCell, find_sweeps, get_margin_unit, read_sweep, read_sweeps
from usaggr.analysis.collect import collect
from usaggr.errors import ConfigError, RunError
from usaggr.progress import NoProgress
from usaggr.report.tables import make_tables
from usaggr.tasks import CATALOGUE

FEW = ("cervix", "lung", "FUGC")


def read(*directories: Path) -> list[tuple[EvidenceCell, ...]]:
    return [sweep.cells for sweep in read_sweeps(directories, NoProgress())]


def select(cells: tuple[EvidenceCell, ...], task: str, grouping: str = "unified") -> EvidenceCell:
    (match,) = [cell for cell in cells if (cell.task.id, cell.grouping) == (task, grouping)]
    return match


def test_cells_agree_with_the_comparison(gaining: Path) -> None:
    cells = evidence_of(gaining).cells
    table = make_tables(collect([gaining])).comparison.verdict_table
    row = table[(table["task"] == "lung") & (table["grouping"] == "unified") & table["main"]].iloc[0]
    cell = select(cells, "lung")
    assert (cell.delta, cell.delta_low, cell.delta_high) == (row["delta"], row["delta_low"], row["delta_high"])
    assert (cell.verdict, cell.metric, cell.n_train, cell.seeds) == (row["verdict"], "dsc", 100, 3)
    assert len(cell.shares_with) == 4
    assert cell.effect is not None
    assert (cell.effect.value, cell.effect.margin) == (pytest.approx(cell.delta), 0.02)
    assert (cell.effect.low, cell.effect.high) == pytest.approx((cell.delta_low, cell.delta_high))
    assert not cell.unusable


def test_effects_of_distances_are_relative_to_the_reference(gaining: Path) -> None:
    """MRE is 40 without sharing and 30 with it: an improvement by a quarter."""
    cells = evidence_of(gaining).cells
    cell = select(cells, "FUGC")
    assert get_margin_unit("mre") == "relative"
    assert cell.delta == pytest.approx(10, abs=1)
    assert cell.effect is not None
    assert cell.effect.value == pytest.approx(0.25, abs=0.03)
    assert cell.effect.margin == 0.10
    assert cell.effect.low < cell.effect.value < cell.effect.high


def test_a_reference_near_zero_gives_no_relative_change(tmp_path: Path) -> None:
    sweep = FakeSweep(tmp_path / "a", tasks=("FUGC", "IUGC", "lung"), subjects=30, spread=0.5)
    rng = np.random.default_rng(0)

    def score(task: str, block: tuple[str, ...], scale: float | int, seed: int) -> dict[str, float]:
        skill = 1.0 - (0.002 if seed else 0.03) if task == "FUGC" else 0.6 + 0.01 * float(rng.standard_normal())
        return level(CATALOGUE[task], skill)

    sweep.finish(score)
    (cells,) = read(tmp_path / "a")
    assert select(cells, "FUGC").effect is None
    assert select(cells, "FUGC").unusable == "the reference's mean is too close to 0 for a relative change"
    assert select(cells, "IUGC").effect is not None


def test_tasks_with_their_own_model_are_no_evidence(equal: Path) -> None:
    cells = evidence_of(equal).cells
    clinical = {cell.task.id for cell in cells if cell.grouping == "clinical"}
    assert clinical == {"cervix", "fetal_head", "FUGC"}


def test_one_seed_and_collapsed_models_do_not_count(tmp_path: Path) -> None:
    finished(tmp_path / "one", {}, tasks=FEW, seeds=(0,))
    finished(tmp_path / "dead", {"unified": -0.7}, tasks=FEW)
    (single_seed,), (dead,) = read(tmp_path / "one"), read(tmp_path / "dead")
    assert {cell.unusable for cell in single_seed} == {"one seed"}
    cell = select(dead, "lung")
    assert (cell.unusable, cell.invalid) == ("the shared model collapsed", True)
    assert not select(dead, "FUGC", "clinical").unusable


def test_tasks_with_unequal_exposure_do_not_count(tmp_path: Path) -> None:
    sweep = FakeSweep(tmp_path / "a", subjects=20, spread=0.02)
    sweep.write_plan()
    for run, _ in sweep.runs():
        scores = {task: level(CATALOGUE[task], 0.5 + 0.01 * run.seed * len(run.tasks)) for task in run.tasks}
        notes = {task: ["not equally exposed (sqrt)"] for task in run.tasks} if len(run.tasks) == 3 else {}
        sweep.write_run(run, scores, notes=notes)
    (cells,) = read(tmp_path / "a")
    assert {cell.unusable for cell in cells if cell.grouping == "unified"} == {"not equally exposed"}
    assert {cell.unusable for cell in cells if cell.grouping == "clinical"} != {"not equally exposed"}


@pytest.mark.parametrize(("budget", "why"), [("extra", "trained on more examples (budget: extra)"), ("equal", "")])
def test_staged_groupings_count_only_with_an_equal_number_of_examples(tmp_path: Path, budget: str, why: str) -> None:
    groupings = ("task_specific", "unified", "later")
    blocks = {"later": {"one": ("FUGC", "cervix"), "two": ("lung",)}}
    finished(tmp_path / "a", {}, tasks=FEW, groupings=groupings, partitions=blocks)
    path = tmp_path / "a" / "groupings.yaml"
    content = yaml.safe_load(path.read_text())
    content["later"] |= {"parent": "unified", "share": 0.5, "budget": budget}
    path.write_text(yaml.safe_dump(content))
    (cells,) = read(tmp_path / "a")
    cervix = select(cells, "cervix", "later")
    assert (cervix.unusable, cervix.mode) == (why, "later")
    # The second stage of a single task shares nothing.
    assert not [cell for cell in cells if (cell.task.id, cell.grouping) == ("lung", "later")]


def test_folders_of_one_study_are_joined_and_others_are_not(tmp_path: Path) -> None:
    finished(tmp_path / "a", {}, tasks=FEW, seeds=(0, 1))
    finished(tmp_path / "b", {}, tasks=FEW, seeds=(2, 3))
    finished(tmp_path / "c", {}, tasks=FEW, seeds=(0,), content_hash="e" * 64)
    sweeps = find_sweeps([tmp_path / "a", tmp_path / "c", tmp_path / "b", tmp_path / "a"])
    assert [[source.directory.name for source in sweep] for sweep in sweeps] == [["a", "b"], ["c"]]
    joined = read_sweep(sweeps[0], NoProgress())
    assert joined.seeds == (0, 1, 2, 3)
    assert {cell.seeds for cell in joined.cells} == {4}


# Sweeps that are refused


def test_a_folder_that_is_no_sweep_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"nothing: no study.yaml in it; give a folder that `usaggr sweep` wrote"):
        read(tmp_path / "nothing")


def test_a_sweep_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    finished(tmp_path / "a", {}, tasks=FEW, seeds=(0,), data={"schema_version": 99})
    with pytest.raises(RunError, match="schema_version 99 is newer than this tool's"):
        read(tmp_path / "a")


def test_a_sweep_without_finished_runs_is_refused(tmp_path: Path) -> None:
    FakeSweep(tmp_path / "a").write_plan()
    with pytest.raises(RunError, match="a: no run is finished, so there is no evidence"):
        read(tmp_path / "a")


def test_a_sweep_without_a_finished_comparison_is_refused(tmp_path: Path) -> None:
    sweep = FakeSweep(tmp_path / "a")
    sweep.finish(lambda task, *_: level(CATALOGUE[task], 0.5), skip=lambda run: len(run.tasks) > 1)
    with pytest.raises(RunError, match="no task has finished runs of one seed both with and without a shared model"):
        read(tmp_path / "a")


def test_a_sweep_with_a_shared_reference_is_refused(tmp_path: Path) -> None:
    finished(tmp_path / "a", {}, tasks=FEW, seeds=(0,), reference="unified")
    with pytest.raises(ConfigError, match="the reference is unified, whose models serve several tasks"):
        read(tmp_path / "a")
