"""From finished sweeps to advice: planted differences give the right answer, and every answer shows its cells."""

import json
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from tests.advice.factories import TASKS, cell, evidence_of, finished, new, sweep_of
from usaggr.advice.advice_files import as_json, print_advice, write_advice
from usaggr.advice.advise import Advice, advise, without_task
from usaggr.advice.document import advice_document
from usaggr.advice.new_data import NewData
from usaggr.advice.sharing_modes import NewTask
from usaggr.document.markdown import render_markdown

DATA = ("thyroid_nodule", "carotid_artery", "cervix_multi", "fetal_plane_cls")


def data(*tasks: NewTask) -> NewData:
    return NewData("clinic", "/data/clinic", tasks or tuple(new(t) for t in DATA), "", ())


def advice_of(folder: Path, deltas: dict[str, float], asked: NewData | None = None, **fields: object) -> Advice:
    finished(folder, deltas, **fields)  # type: ignore[arg-type]
    return advice_from(folder, asked)


def advice_from(folder: Path, asked: NewData | None = None) -> Advice:
    return advise(asked or data(), [evidence_of(folder)])


def kinds(advice: Advice) -> dict[str, str]:
    return {task.new.task.id: task.kind for task in advice.tasks}


# Planted differences


def test_a_gain_in_all_tasks_of_a_type_is_predicted_for_another_one(gaining: Path) -> None:
    advice = advice_from(gaining)
    (first, *_, plane) = advice.tasks
    assert kinds(advice)["thyroid_nodule"] == "share"
    assert first.best is not None
    assert (first.best.answer.way, first.best.shares_with) == ("unified", tuple(sorted(set(DATA) - {"thyroid_nodule"})))
    assert first.best.answer.prediction is not None
    assert first.best.answer.prediction.mean == pytest.approx(0.06, abs=0.01)  # of skill .1 where DSC has room for .6
    assert {c.task.type for c in first.best.answer.cells} == {"segmentation"}
    assert (plane.kind, {way.answer.why for way in plane.ways}) == (
        "not known", {"no classification task was trained this way"}
    )  # fmt: skip


def test_a_loss_in_all_tasks_of_a_type_is_predicted_for_another_one(tmp_path: Path) -> None:
    advice = advice_of(tmp_path / "a", {"unified": -0.2}, groupings=("task_specific", "unified"))
    assert kinds(advice)["carotid_artery"] == "do not share"


def test_no_difference_is_no_loss(equal: Path) -> None:
    advice = advice_from(equal)
    assert kinds(advice)["thyroid_nodule"] == "may share"


def test_a_gain_of_one_way_wins_over_the_loss_of_another(tmp_path: Path) -> None:
    advice = advice_of(
        tmp_path / "a",
        {"task_type": 0.1, "unified": -0.2},
        groupings=("task_specific", "task_type", "unified"),
        partitions={"task_type": {"regression": ("FUGC",), "segmentation": TASKS[:4]}},
    )
    first = advice.tasks[0]
    assert (first.kind, first.best and first.best.answer.way) == ("share", "task_type")
    assert first.best is not None
    assert first.best.shares_with == ("carotid_artery", "cervix_multi")
    assert {way.answer.way: way.answer.verdict for way in first.ways} == {"task_type": "gain", "unified": "loss"}


def test_ways_under_which_a_task_stands_alone_are_named_and_not_advised(equal: Path) -> None:
    advice = advice_from(equal)
    first = advice.tasks[0]
    assert first.alone == ("clinical",)
    assert [way.answer.way for way in first.ways] == ["unified"]


def test_a_grouping_of_own_blocks_is_carried_over_by_likeness(tmp_path: Path) -> None:
    mine = {"one": ("cervix", "fetal_head", "lung"), "two": ("FUGC", "breast_lesion")}
    advice = advice_of(
        tmp_path / "a",
        {"mine": 0.1},
        data(new("fetal_head"), new("cervix_multi"), new("lung"), new("thyroid_nodule")),
        groupings=("task_specific", "mine"),
        partitions={"mine": mine},
    )
    head, _, lung, nodule = advice.tasks
    assert (head.kind, head.best and head.best.shares_with) == ("share", ("cervix_multi", "lung"))
    assert (lung.kind, lung.best and lung.best.shares_with) == ("share", ("cervix_multi", "fetal_head"))
    assert (nodule.kind, nodule.ways[0].answer.why) == ("not known", "its blocks hold no such task")


def test_verdicts_that_flip_between_scales_are_told(tmp_path: Path) -> None:
    advice = advice_of(
        tmp_path / "a",
        {"unified@0.2": 0.15, "unified@1": -0.2},
        scales=(0.2, 1.0),
        groupings=("task_specific", "unified"),
    )
    (way,) = advice.tasks[0].ways
    assert [(step.n_train, step.verdict) for step in way.steps] == [(20, "gain"), (100, "loss")]
    assert "thyroid_nodule (100 here), AU: gain from about 20 training samples on, loss from about 100" in terminal(
        advice
    )


def test_leaving_a_task_out_predicts_it_from_the_others(gaining: Path) -> None:
    sweep = evidence_of(gaining)
    held = []
    for task_id in ("breast_lesion", "cervix", "fetal_head", "lung"):
        (own,) = [c for c in sweep.cells if (c.task.id, c.grouping) == (task_id, "unified")]
        advice = advise(data(new(task_id), new("IUGC")), [without_task(sweep, task_id)])
        way = next(way for way in advice.tasks[0].ways if way.answer.way == "unified")
        assert own not in way.answer.cells
        assert way.answer.prediction is not None
        low, high = way.answer.prediction.low, way.answer.prediction.high
        held.append(own.delta_low <= high and low <= own.delta_high)
        assert high - low < 0.2
    assert all(held)


# Words


def terminal(advice: Advice) -> str:
    console = Console(width=200, file=StringIO())
    with console.capture() as shown:
        print_advice(advice, console)
    return shown.get()


GOLDEN = """\
┏━━━━━━━━━━━━━━━━━┳━━━━━━━━━┳━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┓
┃ task            ┃ n_train ┃ advice      ┃ because                                                   ┃
┡━━━━━━━━━━━━━━━━━╇━━━━━━━━━╇━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┩
│ thyroid_nodule  │     100 │ ▲ share     │ AU: FUGC, fetal_plane_cls                                 │
│                 │         │             │ DSC +0.050 [+0.042, +0.058]: 6 tasks of its type, 6 cells │
│ fetal_plane_cls │     100 │ – not known │ AU: no classification task was trained this way           │
│ FUGC            │      12 │ – not known │ AU: no regression task was trained this way               │
└─────────────────┴─────────┴─────────────┴───────────────────────────────────────────────────────────┘
3 tasks: 1 share and 2 not known.
2 undecided cells that speak of these tasks, the fewest seeds first:
  carotid_artery, AU, 100 training samples: 3 seeds, 5 needed
  ovary_tumor, AU, 100 training samples: 3 seeds, 9 needed
  usaggr sweep outputs/a/study.yaml 'seeds=[0,1,2,3,4]'
  usaggr sweep outputs/a/study.yaml 'seeds=[0,1,2,3,4,5,6,7,8]'
"""


def example() -> Advice:
    tasks = ("breast_lesion", "cervix", "fetal_head", "lung")
    cells = [cell(t, 0.05, verdict="gain") for t in tasks]
    cells += [cell(t, 0.04, 0.05, seeds_needed=n) for t, n in (("ovary_tumor", 9), ("carotid_artery", 5))]
    return advise(data(new(), new("fetal_plane_cls"), new("FUGC", 12)), [sweep_of(*cells)])


def test_what_the_terminal_shows() -> None:
    said = [line.rstrip() for line in terminal(example()).splitlines()]
    assert said == GOLDEN.splitlines()


def test_the_page_shows_each_answer_with_its_cells() -> None:
    text = render_markdown(advice_document(example()))
    assert "3 tasks: 1 share and 2 not known." in text
    assert "**6 cells that count**" in text
    evidence = text[text.index("## What it rests on") : text.index("## What could be trained")]
    for task in ("breast_lesion", "cervix", "fetal_head", "lung", "ovary_tumor", "carotid_artery"):
        assert f"| outputs/a | {task} | AU |" in evidence
    assert "`usaggr sweep outputs/a/study.yaml 'seeds=[0,1,2,3,4]'`" in text


def test_files_hold_the_same_advice(tmp_path: Path) -> None:
    advice = example()
    markdown, page, numbers = write_advice(advice, tmp_path / "new" / "advice")
    content = json.loads(numbers.read_text())
    assert content == json.loads(json.dumps(as_json(advice)))
    assert [task["advice"] for task in content["tasks"]] == ["share", "not known", "not known"]
    first = content["tasks"][0]["ways"][0]
    assert (first["verdict"], len(first["cells"]), first["predicted"]["unit"]) == ("gain", 6, "points")
    assert [one["seeds_needed"] for one in content["undecided"]] == [5, 9]
    assert "thyroid_nodule" in markdown.read_text()
    assert "<script src" not in page.read_text()


def test_names_from_data_do_no_harm_on_the_page(tmp_path: Path) -> None:
    asked = NewData("<b>x</b>", "/data/<script>alert(1)</script>", (new(),), "", ("a `remark` | with marks",))
    advice = advise(asked, [sweep_of(cell(), folders=("outputs/`a`",))])
    _, page, _ = write_advice(advice, tmp_path)
    assert "<script>alert" not in page.read_text()
    assert "<b>x</b>" not in page.read_text()
