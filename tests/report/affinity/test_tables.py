"""Planted affinities are compared with planted changes; affinities of other data or studies are refused."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from tests.report.affinities import write_affinities
from tests.report.sweeps import FakeSweep, level
from usaggr.analysis.collect import collect
from usaggr.analysis.compare_study import compare_study
from usaggr.document.elements import Document
from usaggr.document.markdown import render_markdown
from usaggr.report.affinity.chapter import write_affinity
from usaggr.report.affinity.tables import AFFINITY_COLUMNS, make_affinity, rank_correlation
from usaggr.report.build import build_report
from usaggr.report.material import Material
from usaggr.report.tables import Tables, make_tables
from usaggr.results.affinity import FOLDER
from usaggr.tasks import CATALOGUE

TASKS = ("breast_lesion", "breast_2cls", "fetal_femur", "fetal_head", "FUGC", "lung", "lung_2cls")
GAINS = {task: 0.02 * place - 0.05 for place, task in enumerate(TASKS)}
"""Change of each task's skill in a shared model."""
CHAPTER = "Did affinity predict the effect of sharing?"


def sweep_of(folder: Path, **settings: object) -> FakeSweep:
    """Return a finished sweep in which tasks gain by GAINS if they share a model."""

    def score(task: str, block: tuple[str, ...], scale: float | int, seed: int) -> dict[str, float]:
        return level(CATALOGUE[task], 0.5 + (GAINS[task] if len(block) > 1 else 0.0))

    usual: dict[str, object] = {"tasks": TASKS, "seeds": (0, 1)}
    return FakeSweep(folder, **{**usual, **settings}).finish(score)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[FakeSweep, Tables]:
    """A sweep, and its tables except those of affinity."""
    sweep = sweep_of(tmp_path_factory.mktemp("affinity") / "sweep")
    return sweep, make_tables(collect([sweep.directory]))


def text_of(sweep: FakeSweep, tables: Tables) -> str:
    """Return the text of the chapter; empty without one."""
    affinity = make_affinity(compare_study(collect([sweep.directory])))
    chapter = write_affinity(Material(Tables(tables.comparison, {make_affinity: affinity})))
    return "" if chapter is None else render_markdown(Document("report", (), (chapter,)))


def true_gain(source: str, target: str, seed: int) -> float:
    """Return each task's gain, independent of the source, plus an effect of the seed that cancels."""
    return GAINS[target] + (0.001 if seed else -0.001)


def test_predicted_and_measured_changes_equal_those_by_hand(swept: tuple[FakeSweep, Tables]) -> None:
    sweep, _ = swept
    values = {("breast_2cls", "breast_lesion"): 0.3, ("lung", "breast_lesion"): -0.1}
    write_affinities(sweep.directory, TASKS, {"lookahead": lambda a, b, seed: values.get((a, b), 0.0)})
    points = make_affinity(compare_study(collect([sweep.directory]))).points
    row = {(point.grouping, point.task): point for point in points}
    assert row["clinical", "breast_lesion"].predicted == pytest.approx(0.3)
    assert row["unified", "breast_lesion"].predicted == pytest.approx((0.3 - 0.1) / 6)
    assert row["clinical", "breast_lesion"].block_tasks == "breast_2cls;breast_lesion"
    # dice .7 alone, .7 + .6 x gain in a block; distances are better when lower.
    assert row["clinical", "breast_lesion"].relative == pytest.approx(0.6 * GAINS["breast_lesion"] / 0.7)
    assert row["clinical", "fetal_femur"].relative == pytest.approx(100 * GAINS["fetal_femur"] / 50)
    assert row["clinical", "fetal_femur"].seeds == 2
    assert {point.grouping for point in points} == {"clinical", "unified"}
    assert len(points) == 2 * len(TASKS)


def test_affinities_equal_to_the_gains_rank_them_and_their_negatives_rank_them_backwards(
    swept: tuple[FakeSweep, Tables],
) -> None:
    sweep, tables = swept
    write_affinities(
        sweep.directory, TASKS, {"lookahead": true_gain, "gradient": lambda a, b, seed: -true_gain(a, b, seed)}
    )
    ranks = {row.measure: row for row in make_affinity(compare_study(collect([sweep.directory]))).ranks}
    assert ranks["lookahead"].rho > 0.9
    assert ranks["lookahead"].low > 0
    assert ranks["gradient"].rho == pytest.approx(-ranks["lookahead"].rho)
    assert ranks["gradient"].high < 0
    assert ranks["lookahead"].tasks == len(TASKS)
    text = text_of(sweep, tables)
    assert "tasks with higher affinity gained more" in text
    assert "tasks with higher affinity gained *less*" in text
    assert "arXiv:2301.02873" in text


def test_random_affinities_are_not_distinguishable_from_chance(
    swept: tuple[FakeSweep, Tables],
) -> None:
    sweep, tables = swept
    rng = np.random.default_rng(4)
    noise = {(a, b): rng.normal() for a in TASKS for b in TASKS}
    write_affinities(sweep.directory, TASKS, {"features": lambda a, b, seed: noise[a, b]})
    (row,) = make_affinity(compare_study(collect([sweep.directory]))).ranks
    assert row.low < 0 < row.high
    assert "not distinguishable from chance" in text_of(sweep, tables)


def test_rank_correlation_equals_scipys_and_its_bootstrap_draws_tasks_and_not_points() -> None:
    rng = np.random.default_rng(1)
    tasks, predicted = [f"t{i % 6}" for i in range(18)], rng.normal(size=18)
    measured = np.round(predicted + rng.normal(size=18), 1)  # with ties
    rho, low, high = rank_correlation(tasks, predicted, measured, 0.95)
    assert rho == pytest.approx(spearmanr(predicted, measured).statistic)
    assert low < rho < high
    # Repeated points add no tasks, so the interval stays; drawing single points would make it narrower.
    twice = rank_correlation(tasks * 2, np.tile(predicted, 2), np.tile(measured, 2), 0.95)
    assert twice[0] == pytest.approx(rho)
    assert twice[2] - twice[1] == pytest.approx(high - low, rel=0.1)


def test_few_tasks_have_no_correlation(tmp_path: Path) -> None:
    tasks = ("breast_lesion", "breast_2cls", "fetal_femur")
    sweep = sweep_of(tmp_path / "sweep", tasks=tasks)
    write_affinities(sweep.directory, tasks, {"lookahead": true_gain})
    (row,) = make_affinity(compare_study(collect([sweep.directory]))).ranks
    assert np.isnan(row.rho)
    assert "at least 4 tasks with different values are needed" in text_of(
        sweep, make_tables(collect([sweep.directory]))
    )


def test_without_a_file_there_is_no_chapter(tmp_path: Path, swept: tuple[FakeSweep, Tables]) -> None:
    sweep = sweep_of(tmp_path / "sweep")
    affinity = make_affinity(compare_study(collect([sweep.directory])))
    assert (affinity.head, affinity.refused, len(affinity.points)) == (None, "", 0)
    assert text_of(sweep, swept[1]) == ""


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        ({"content_hash": "e" * 64}, "was estimated on other data than the report"),
        ({"split_hash": "e" * 64}, "was estimated with another split"),
        ({"study": "another"}, "belongs to the study another, the report to sweep"),
        ({"variant": "wide"}, "was estimated for the variant wide, which sweep lacks"),
    ],
)
def test_affinities_of_other_data_or_studies_are_refused_with_the_reason(
    swept: tuple[FakeSweep, Tables], head: dict[str, object], reason: str
) -> None:
    sweep, tables = swept
    write_affinities(sweep.directory, TASKS, {"lookahead": true_gain}, **head)
    affinity = make_affinity(compare_study(collect([sweep.directory])))
    assert reason in affinity.refused
    assert affinity.points == ()
    text = text_of(sweep, tables)
    assert reason in text
    assert "run usaggr affinity to estimate them again" in text


@pytest.mark.parametrize(
    "content", ["", "measure,source\nlookahead,a\n", "measure,source,target,seed,value\nx,a,b,0,1\n"]
)
def test_a_file_that_is_no_table_of_affinities_is_refused(swept: tuple[FakeSweep, Tables], content: str) -> None:
    sweep, _ = swept
    write_affinities(sweep.directory, TASKS, {"lookahead": true_gain})
    (sweep.directory / FOLDER / "affinity.csv").write_text(content)
    affinity = make_affinity(compare_study(collect([sweep.directory])))
    assert affinity.points == ()
    assert "affinity.csv: " in affinity.refused


def test_tasks_that_were_left_out_are_named(
    swept: tuple[FakeSweep, Tables],
) -> None:
    sweep, _ = swept
    write_affinities(sweep.directory, TASKS[:5], {"lookahead": true_gain})
    assert "lacks the tasks lung, lung_2cls" in make_affinity(compare_study(collect([sweep.directory]))).refused


@pytest.mark.usefixtures("undrawn")
def test_the_report_has_the_table_and_the_figure_and_follows_new_affinities(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path / "sweep", tasks=TASKS[:4], seeds=(0,), groupings=("task_specific", "unified"))
    write_affinities(sweep.directory, TASKS[:4], {"lookahead": true_gain, "features": lambda a, b, seed: float(len(a))})
    report = build_report([sweep.directory])
    table = pd.read_csv(report / "tables" / "affinity.csv")
    assert list(table.columns) == list(AFFINITY_COLUMNS)
    assert (report / "figures" / "affinity.png").is_file()
    page = (report / "report.md").read_text()
    assert "figures/affinity.png" in page
    assert CHAPTER in page
    assert (report / "tables" / "affinity.tex").is_file()


def test_the_prediction_for_a_shared_reference_is_subtracted(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path / "sweep", reference="unified")
    write_affinities(sweep.directory, TASKS, {"lookahead": lambda a, b, seed: 1.0 if b == "breast_lesion" else 0.0})
    points = make_affinity(compare_study(collect([sweep.directory]))).points
    (point,) = [point for point in points if (point.grouping, point.task) == ("clinical", "breast_lesion")]
    assert point.predicted == pytest.approx(0.0)  # 1 in the block, 1 in the reference
