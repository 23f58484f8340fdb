"""Staged groupings in the report: compared with one stage, first stages counted and costed, and no cells themselves."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from tests.report.sweeps import FakeSweep, level
from usaggr.analysis.collect import Collection, collect
from usaggr.document.elements import Document, TextTable, tables_of
from usaggr.errors import RunError
from usaggr.report.build import build_report
from usaggr.report.material import Material
from usaggr.report.staged.chapter import write_staged
from usaggr.report.staged.tables import STAGED_COLUMNS, make_staged
from usaggr.report.tables import make_tables
from usaggr.results.spec import RunSpec
from usaggr.tasks import CATALOGUE

TASKS = ("breast_lesion", "breast_2cls", "fetal_femur")
PLANTED = {"task_specific": 0.5, "unified": 0.55, "staged_task": 0.7, "staged_task_extra": 0.75}


def digest(*words: object) -> str:
    return hashlib.sha256(repr(words).encode()).hexdigest()


@dataclass
class StagedSweep(FakeSweep):
    """Specialists from the unified model's weights; streams of one stage have 500 examples."""

    staged: dict[str, str] = field(default_factory=dict)
    """Grouping: budget."""

    def runs(self) -> list[tuple[RunSpec, tuple[str, ...]]]:
        plain = tuple(name for name in self.groupings if name not in self.staged)
        own = {name: getattr(self, name) for name in ("directory", "tasks", "seeds", "partitions")}
        found = {run.fingerprint: (run, held) for run, held in FakeSweep(groupings=plain, **own).runs()}
        for grouping, budget in self.staged.items():
            for seed in self.seeds:
                whole = self.spec("unified", tuple(sorted(self.tasks)), 1.0, seed)
                cut = {"block": "unified.first", "window": dict.fromkeys(self.tasks, (0, 250))}
                parent = whole if budget == "extra" else replace(whole, fingerprint=digest("first", seed), **cut)
                found.setdefault(parent.fingerprint, (parent, ()))
                for task in self.tasks:
                    window = {task: (500, 750) if budget == "extra" else (250, 500)}
                    child = replace(self.spec(task, (task,), 1.0, seed), block=f"{grouping}.{task}", window=window)
                    child = replace(child, parent=parent.run_id, fingerprint=digest(grouping, task, seed))
                    found[child.fingerprint] = (child, (grouping,))
        return list(found.values())

    def written(self, skip: Callable[[RunSpec], bool] = lambda run: False) -> "StagedSweep":
        self.write_plan()
        path = self.directory / "groupings.yaml"
        content = yaml.safe_load(path.read_text())
        for name, budget in self.staged.items():
            content[name] = {"parent": "unified", "share": 0.5, "budget": budget, **content[name]}
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        for run, held in self.runs():
            if skip(run):
                continue
            scores = {}
            for task in run.tasks:
                noise = np.random.default_rng([int(run.fingerprint[:8], 16), TASKS.index(task)]).normal(0, 0.002)
                scores[task] = level(CATALOGUE[task], PLANTED.get(held[0] if held else "", 0.3) + noise)
            windows = run.window or dict.fromkeys(run.tasks, (0, 500))
            self.write_run(run, scores, examples={task: end - first for task, (first, end) in windows.items()})
        return self


def sweep_of(folder: Path, *groupings: str) -> StagedSweep:
    named = groupings or ("task_specific", "unified", "staged_task", "staged_task_extra")
    budgets = {"staged_task": "equal", "staged_task_extra": "extra"}
    staged = {name: budgets[name] for name in named if name in budgets}
    blocks = {name: {task: (task,) for task in TASKS} for name in staged}
    return StagedSweep(folder, tasks=TASKS, groupings=named, partitions=blocks, staged=staged)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Material:
    """A sweep with two staged groupings, all runs done."""
    collection = collect([sweep_of(tmp_path_factory.mktemp("staged") / "whole").written().directory])
    return Material(make_tables(collection))


@pytest.fixture
def collected(whole: Material) -> Collection:
    return whole.collection


def chapter(material: Material) -> Document:
    written = write_staged(material)
    return Document("", sections=() if written is None else (written,))


def table_of(document: Document, name: str) -> TextTable:
    return next(table for table in tables_of(document) if table.name == name)


def shown(cell: object) -> str:
    return str(getattr(cell, "text", cell))


def test_first_stages_are_no_cells_and_are_known_by_their_children(whole: Material, collected: Collection) -> None:
    assert len(collected.first_stages) == 3
    assert all(run.row.groupings for run in collected.runs)
    assert set(whole.tables.scores["block"]).isdisjoint({"unified.first"})
    child = next(run for run in collected.runs if run.row.groupings == ("staged_task",))
    assert [stage.row.block for stage in collected.stages(child)] == ["unified.first", child.row.block]
    extra = next(run for run in collected.runs if run.row.groupings == ("staged_task_extra",))
    assert collected.stages(extra)[0].row.groupings == ("unified",)
    assert collected.unplanned == 0


def test_planted_differences_from_one_stage_are_found(whole: Material) -> None:
    rows = whole.tables.of(make_staged)
    found = {(row.grouping, row.against): row for row in rows}
    for (grouping, against), row in found.items():
        assert row.delta_skill == pytest.approx(PLANTED[grouping] - PLANTED[against], abs=0.005)
        assert row.low < row.delta_skill < row.high
        assert row.p_adjusted >= row.p
    kinds = {pair: row.kin for pair, row in found.items()}
    assert kinds == {
        ("staged_task", "task_specific"): "same blocks",
        ("staged_task", "unified"): "parent",
        ("staged_task_extra", "task_specific"): "same blocks",
        ("staged_task_extra", "unified"): "parent",
    }


def test_what_the_study_lacks_is_not_compared_with(tmp_path: Path) -> None:
    collection = collect([sweep_of(tmp_path / "few", "task_specific", "staged_task").written().directory])
    assert [row.against for row in make_tables(collection).of(make_staged)] == ["task_specific"]
    one_stage = collect([sweep_of(tmp_path / "none", "task_specific", "unified").written().directory])
    tables = make_tables(one_stage)
    assert tables.of(make_staged) == ()
    assert chapter(Material(tables)).sections == ()


def test_examples_time_and_models_are_those_of_all_stages(whole: Material) -> None:
    table = table_of(chapter(whole), "stages-base-s1")
    rows = {shown(row[0]): [shown(cell) for cell in row[1:]] for row in table.rows}
    columns = ["budget", "examples a task", "models", "first stages"]
    assert list(table.columns[1:5]) == columns
    assert rows["TS"][:4] == ["equal", "500", "3", "0"]
    assert rows["staged_task"][:4] == ["equal", "500", "3", "1"]
    assert rows["staged_task_extra"][:4] == ["more: 1.5 times", "750", "3", "1"]
    # 10 s a task and stage: three seeds of three tasks, and the three first stages of three tasks.
    assert rows["staged_task"][-1] == rows["staged_task_extra"][-1] == "0:03:00"
    summary = whole.tables.comparison.summary.set_index("grouping")["train_seconds"]
    assert summary.to_dict() == {
        "task_specific": 90.0,
        "unified": 90.0,
        "staged_task": 180.0,
        "staged_task_extra": 180.0,
    }


@pytest.mark.usefixtures("without_figures")
def test_the_chapter_says_which_groupings_have_more_budget(tmp_path: Path) -> None:
    report = build_report([sweep_of(tmp_path / "said").written().directory])
    page = (report / "report.md").read_text()
    assert "**staged_task_extra**: first the whole of AU" in page
    assert "**More budget**: 1.5 times the examples of one stage." in page
    assert "3 first stages of staged groupings, no model of any grouping, besides: 3 done." in page
    assert "this may be the examples' doing" in page
    table = pd.read_csv(report / "tables" / "staged.csv")
    assert tuple(table.columns) == STAGED_COLUMNS
    assert set(table["is"]) == {"same blocks", "parent"}


def test_a_sweep_in_progress_is_reported_with_its_holes(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path / "half")
    sweep.written(skip=lambda run: run.seed == 2 or run.block == "staged_task.fetal_femur")
    collection = collect([sweep.directory])
    rows = make_tables(collection).of(make_staged)
    assert {row.grouping: (row.seeds, row.tasks, row.note) for row in rows} == {
        "staged_task": (2, 2, "without fetal_femur; no predictions of some runs: seeds alone"),
        "staged_task_extra": (2, 3, "no predictions of some runs: seeds alone"),
    }


def test_folders_with_other_seeds_are_joined_with_their_first_stages(tmp_path: Path) -> None:
    one, two = sweep_of(tmp_path / "one"), replace(sweep_of(tmp_path / "two"), seeds=(3, 4))
    collection = collect([one.written().directory, two.written().directory])
    assert len(collection.first_stages) == 5
    assert all(len(collection.stages(r)) == 2 for r in collection.runs if r.row.groupings[0].startswith("staged"))


def test_a_run_without_a_grouping_that_nothing_starts_from_is_refused(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path / "wrong").written()
    path = sweep.directory / "plan.csv"
    lines = [line for line in path.read_text().splitlines() if "staged_task." not in line]
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(RunError, match=r"unified\.first.* is of a grouping or variant that study\.yaml does not have"):
        collect([sweep.directory])
