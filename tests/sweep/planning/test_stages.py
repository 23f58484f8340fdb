"""Staged strategies: their runs with parents, windows and settings, and the configurations that are refused."""

import io
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tests.data.factories import tiny_data
from usaggr.config.compose import compose_study
from usaggr.errors import ConfigError
from usaggr.results.plan import read_plan
from usaggr.results.spec import compute_fingerprint
from usaggr.sweep.inspect.plan_console import print_plan
from usaggr.sweep.planning.stages import Stage
from usaggr.sweep.planning.study_plan import Plan, PlannedRun, make_plan, write_plan

BUDGET = "training.budget=100 examples"
GROUPS = "data.clinical_groups={seg: one, cls: one, det: two, reg: three}"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_data(tmp_path_factory.mktemp("staged") / "data", n=30)


def plan_of(root: Path, *overrides: str, files: dict[str, str] | None = None) -> Plan:
    """Return the plan of a study of four tasks; `files` are the user's grouping files by name."""
    conf_folder = root.parent / "conf"
    conf_folder.mkdir(exist_ok=True)
    for name, text in (files or {}).items():
        path = conf_folder / "grouping" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    fixed = ["data=fmuia", f"data.root={root}", "data.image_size=32", f"outputs={root.parent / 'outputs'}", "seeds=[0]"]
    short = [BUDGET, "training.min_examples=10", GROUPS]
    return make_plan(compose_study("demo", [*fixed, *short, "scales=[1.0]", *overrides], conf_folder))


def runs_of(plan: Plan, grouping: str) -> list[PlannedRun]:
    return [run for run in plan.runs if grouping in run.groupings]


def parent_of(plan: Plan, run: PlannedRun) -> PlannedRun:
    return next(candidate for candidate in plan.runs if candidate.spec.run_id == run.spec.parent)


def refusal(root: Path, text: str, *overrides: str) -> str:
    with pytest.raises(ConfigError) as error:
        plan_of(root, "groupings=[task_specific,mine]", *overrides, files={"mine": text})
    return str(error.value)


# Windows


@given(st.integers(2, 10_000), st.floats(0.01, 0.99))
def test_two_stages_of_an_equal_budget_cover_the_stream_without_overlap(length: int, share: float) -> None:
    first = Stage(("a",), share)
    second = Stage(("a",), share, first)
    (begin, cut), (resumed, end) = first.compute_window(length), second.compute_window(length)
    assert (begin, end) == (0, length)
    assert cut == resumed
    assert 0 < cut < length
    assert abs(cut - share * length) <= 1


@given(st.integers(2, 10_000), st.floats(0.01, 0.99))
def test_a_second_stage_on_top_is_as_long_as_under_an_equal_budget(length: int, share: float) -> None:
    extra = Stage(("a",), share, Stage(("a",))).compute_window(length)
    equal = Stage(("a",), share, Stage(("a",), share)).compute_window(length)
    assert extra[0] == length
    assert extra[1] - extra[0] == equal[1] - equal[0]


def test_one_example_cannot_be_cut_in_two(root: Path) -> None:
    text = "by: task\nparent: unified\n"
    message = refusal(root, text, "training.budget=1 examples", "training.min_examples=1")
    assert "a stream of 1 example cannot be trained in two stages" in message


# Plans


def test_under_an_equal_budget_the_first_stage_is_a_separate_run_and_no_cell(root: Path) -> None:
    plan = plan_of(root, "groupings=[task_specific,unified,staged_task]")
    children = runs_of(plan, "staged_task")
    assert [run.spec.tasks for run in children] == [("cls",), ("det",), ("reg",), ("seg",)]
    parents = {parent_of(plan, run).spec.run_id: parent_of(plan, run) for run in children}
    (parent,) = parents.values()
    assert parent.groupings == ()
    assert parent.spec.tasks == ("cls", "det", "reg", "seg")
    assert parent.spec.block == "unified.first"
    assert parent.spec.window == dict.fromkeys(parent.spec.tasks, (0, 50))
    assert children[0].spec.window == {"cls": (50, 100)}
    assert (parent.examples, children[0].examples) == (200, 50)
    assert plan.runs.index(parent) < plan.runs.index(children[0])


def test_with_extra_budget_the_first_stage_is_the_run_of_the_parents_grouping(root: Path) -> None:
    plan = plan_of(root, "groupings=[task_specific,unified,staged_task_extra]")
    (unified,) = runs_of(plan, "unified")
    assert unified.spec.window is None
    children = runs_of(plan, "staged_task_extra")
    assert {run.spec.parent for run in children} == {unified.spec.run_id}
    assert children[0].spec.window == {"cls": (100, 150)}
    assert len(plan.runs) == 9


def test_the_parents_grouping_need_not_be_in_the_study(root: Path) -> None:
    plan = plan_of(root, "groupings=[task_specific,staged_task_extra]")
    parent = parent_of(plan, runs_of(plan, "staged_task_extra")[0])
    assert parent.groupings == ()
    with_unified = plan_of(root, "groupings=[task_specific,unified,staged_task_extra]")
    assert parent.spec.fingerprint == runs_of(with_unified, "unified")[0].spec.fingerprint
    assert plan.runs_without_sharing == len(plan.runs) == 9


def test_staged_groupings_change_no_fingerprint_of_runs_in_one_stage(root: Path) -> None:
    before = {run.spec.fingerprint for run in plan_of(root, "groupings=[task_specific,unified]").runs}
    after = plan_of(root, "groupings=[task_specific,unified,staged_task,staged_task_extra]")
    assert before == {run.spec.fingerprint for run in after.runs if run.spec.window is None}


def test_the_settings_of_a_stage_change_its_fingerprint(root: Path) -> None:
    def prints(text: str) -> set[str]:
        return {
            run.spec.fingerprint
            for run in plan_of(root, "groupings=[task_specific,mine]", files={"mine": text}).runs
            if run.spec.window is not None
        }

    usual = prints("by: task\nparent: unified\n")
    assert usual == prints("by: task\nparent: unified\nshare: 0.5\nbudget: equal\noverrides: []\n")
    assert usual.isdisjoint(prints("by: task\nparent: unified\nshare: 0.4\n"))
    assert usual.isdisjoint(prints("by: task\nparent: unified\nbudget: extra\n"))
    assert usual.isdisjoint(prints("by: task\nparent: clinical\n"))
    slow = prints("by: task\nparent: unified\noverrides: [training.learning_rate=3e-4]\n")
    assert len(usual & slow) == 1  # the first stage, which overrides do not change


def test_a_window_changes_the_fingerprint_and_its_absence_does_not() -> None:
    arguments = ({"a": 1}, ("t",), {"t": ("x",)}, "0", 0, None, "parent")
    unstaged, windows = (
        compute_fingerprint(*arguments),
        [compute_fingerprint(*arguments, {"t": w}) for w in ((0, 5), (5, 9))],
    )
    assert len({unstaged, *windows}) == 3
    assert unstaged == compute_fingerprint(*arguments, None)


def test_groupings_with_equal_first_stages_share_parents_and_equal_blocks(root: Path) -> None:
    plan = plan_of(root, "groupings=[task_specific,staged_task,staged_type,staged_clinical]")
    assert sum(run.groupings == () for run in plan.runs) == 1
    shared = {run.spec.tasks for run in runs_of(plan, "staged_task") if "staged_clinical" in run.groupings}
    assert shared == {("det",), ("reg",)}


def test_a_stages_overrides_come_after_the_variants(root: Path) -> None:
    plan = plan_of(
        root,
        "groupings=[task_specific,mine]",
        "+variants.slow=['training.learning_rate=1e-4','training.batch_size=4']",
        files={"mine": "by: task\nparent: unified\noverrides: [training.learning_rate=7e-4]\n"},
    )
    rates = {
        (run.spec.variant, bool(run.groupings)): (run.study.training.learning_rate, run.study.training.batch_size)
        for run in plan.runs
        if run.spec.window is not None
    }
    base = plan.study.training
    assert rates == {
        ("base", False): (base.learning_rate, base.batch_size),
        ("base", True): (7e-4, base.batch_size),
        ("slow", False): (1e-4, 4),
        ("slow", True): (7e-4, 4),
    }
    for run in runs_of(plan, "mine"):
        assert parent_of(plan, run).spec.variant == run.spec.variant


def test_runs_that_others_start_from_keep_their_weights_and_no_others(root: Path) -> None:
    plan = plan_of(root, "groupings=[task_specific,unified,staged_task,staged_task_extra]")
    parents = {run.spec.parent for run in plan.runs} - {None}
    assert len(parents) == 2
    assert {run.spec.run_id for run in plan.runs if run.study.training.keep_weights == "scored"} == parents


def test_plan_and_groupings_are_written_with_parents(root: Path) -> None:
    plan = plan_of(root, "groupings=[task_specific,staged_task_extra,staged_task_frozen]", "name=written")
    write_plan(plan)
    parents = {row.run_id: row.parent for row in read_plan(plan.directory)}
    assert parents == {run.spec.run_id: run.spec.parent or "" for run in plan.runs}
    content = yaml.safe_load((plan.directory / "groupings.yaml").read_text())
    assert content["staged_task_extra"] == {
        "parent": "unified",
        "share": 0.5,
        "budget": "extra",
        "blocks": {name: [name] for name in ("cls", "det", "reg", "seg")},
    }
    assert content["staged_task_frozen"]["overrides"] == ["model.freeze=encoder"]
    assert set(content["task_specific"]) == {"blocks"}


def test_a_plan_shows_what_runs_start_from(root: Path) -> None:
    console = Console(width=250, record=True, file=io.StringIO())
    print_plan(plan_of(root, "groupings=[task_specific,staged_task]"), console)
    shown = console.export_text()
    assert "starts from" in shown
    assert shown.count("first stage, of no grouping") == 1
    assert sum("staged_task.cls" in line and "unified.first" in line for line in shown.splitlines()) == 1


# What is refused, in one line each


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "by: all\nparent: clinical\n",
            "block unified: its tasks are in 3 blocks of its parent clinical (one, ",
        ),
        ("by: task\nparent: nowhere\n", "grouping mine: parent: groupings: unknown 'nowhere'"),
        ("by: task\nparent: staged_task\n", "grouping mine: parent: staged_task is itself staged"),
        ("by: task\nparent: random\n", "grouping mine: parent: random is drawn at random"),
        ("by: task\nshare: 0.5\n", "`share:`, `budget:` and `overrides:` belong to `parent:`"),
        ("by: task\nparent: unified\nshare: 1.0\n", "share"),
        ("by: task\nparent: unified\nbudget: more\n", "budget"),
        ("like: clinical\nparent: unified\n", "`parent:` goes with `by:` or `blocks:`"),
        ("by: task\nparent: unified\noverrides: [training.budget=9 epochs]\n", "training.budget: a second stage may"),
        ("by: task\nparent: unified\noverrides: [model.decoder_channels=64]\n", "model.decoder_channels: a second"),
        ("by: task\nparent: unified\noverrides: [data.image_size=64]\n", "data.image_size: a second stage may change"),
        ("by: task\nparent: unified\noverrides: [training.learning_rat=1]\n", "grouping mine: overrides: training.lea"),
        ("by: task\nparent: unified\noverrides: [seeds=1]\n", "grouping mine: overrides: seeds"),
    ],
)
def test_an_invalid_grouping_file_is_refused_with_its_reason(root: Path, text: str, message: str) -> None:
    assert message in refusal(root, text)


def test_a_random_grouping_cannot_imitate_a_staged_one(root: Path) -> None:
    with pytest.raises(ConfigError, match="grouping lots: like: staged_task is staged"):
        plan_of(root, "groupings=[task_specific,staged_task,lots]", files={"lots": "like: staged_task\n"})


def test_other_sampling_than_equal_is_refused(root: Path) -> None:
    with pytest.raises(ConfigError, match=r"training\.sampling=sqrt: must be equal with the staged grouping"):
        plan_of(root, "groupings=[task_specific,staged_task]", "+variants.root=['training.sampling=sqrt']")
