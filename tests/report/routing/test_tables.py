"""Tables of routing contain the shares of finished runs and means over seeds; damaged files are named with a reason."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import jensenshannon

from tests.report.routings import Shares, by_kind
from tests.report.sweeps import CATALOGUE, FakeSweep, level
from usaggr.analysis.collect import collect
from usaggr.analysis.compare_study import compare_study
from usaggr.report.build import build_report
from usaggr.report.routing.tables import (
    ROUTING_COLUMNS,
    SIMILARITY_COLUMNS,
    RoutingTables,
    make_routing,
    make_routing_rows,
    make_routing_table,
    make_similarity_table,
)
from usaggr.results.spec import RunSpec

TASKS = ("breast_2cls", "breast_lesion", "fetal_femur")


def scorer(task: str, block: tuple[str, ...], scale: float | int, seed: int) -> dict[str, float]:
    return level(CATALOGUE[task], 0.4)


def of_seed(run: RunSpec) -> Shares:
    """Route clinical groups to different experts, less distinctly with a higher seed."""
    shares = by_kind([CATALOGUE[task].clinical_group for task in run.tasks], seed=run.seed)
    even = np.full_like(shares, 1 / shares.shape[-1])
    weight = 1 - 0.2 * run.seed
    return weight * shares + (1 - weight) * even


def without_experts_in_plain(run: RunSpec) -> Shares | None:
    return None if run.variant == "plain" else of_seed(run)


def finished(folder: Path, **changes: object) -> FakeSweep:
    usual = {"tasks": TASKS, "router": of_seed}
    return FakeSweep(folder / "study", **{**usual, **changes}).finish(scorer)  # type: ignore[arg-type]


def routing(sweep: FakeSweep) -> RoutingTables:
    return make_routing(compare_study(collect([sweep.directory])))


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[FakeSweep, RoutingTables]:
    """Return a sweep with three seeds and its routing, which tests share and must not change."""
    sweep = finished(tmp_path_factory.mktemp("routing"))
    return sweep, routing(sweep)


def routing_file(sweep: FakeSweep, block: str = "unified", seed: int = 0) -> Path:
    (path,) = sweep.directory.glob(f"runs/{block}*-k{seed}-*/routing.csv")
    return path


def test_each_run_has_a_row_for_each_grouping_task_block_and_expert(swept: tuple[FakeSweep, RoutingTables]) -> None:
    sweep, table = swept[0], make_routing_table(swept[1].runs)
    assert tuple(table.columns) == ROUTING_COLUMNS
    assert len(table) == 3 * 3 * 3 * 2 * 4  # groupings, seeds, tasks, transformer blocks, experts
    of_run = table[(table["grouping"] == "unified") & (table["seed"] == 1)]
    (run,) = [run for run, groupings in sweep.runs() if groupings == ("unified",) and run.seed == 1]
    assert set(of_run["run_id"]) == {run.run_id}
    assert of_run["share"].to_numpy().reshape(3, 2, 4) == pytest.approx(of_seed(run), abs=1e-6)
    assert set(of_run["block"]) == {3, 4}
    assert set(of_run["expert"]) == {1, 2, 3, 4}


def test_a_dead_expert_is_dead_in_all_rows_of_its_run_and_in_no_other_run(tmp_path: Path) -> None:
    def one_dead_expert(run: RunSpec) -> Shares:
        shares = np.full((len(run.tasks), 2, 4), 0.25)
        if len(run.tasks) == 3 and run.seed == 1:
            shares[:, 0] = [0.01, 0.33, 0.33, 0.33]
        return shares

    table = make_routing_table(routing(finished(tmp_path, router=one_dead_expert)).runs)
    dead = table[table["dead"]]
    assert set(dead[["grouping", "seed", "block", "expert"]].itertuples(index=False, name=None)) == {
        ("unified", 1, 3, 1)
    }
    assert set(dead["task"]) == set(TASKS)


def test_similarity_is_averaged_over_seeds_and_only_within_runs(swept: tuple[FakeSweep, RoutingTables]) -> None:
    sweep, table = swept[0], make_similarity_table(swept[1].similarities)
    assert tuple(table.columns) == SIMILARITY_COLUMNS
    assert set(table["grouping"]) == {"clinical", "unified"}
    clinical = table[table["grouping"] == "clinical"]
    assert clinical[["task_a", "task_b"]].to_numpy().tolist() == [["breast_2cls", "breast_lesion"]]
    expected = []
    for seed in range(3):
        (run,) = [run for run, groupings in sweep.runs() if groupings == ("unified",) and run.seed == seed]
        shares = of_seed(run)
        expected.append(1 - np.mean([jensenshannon(shares[0, b], shares[2, b], base=2) for b in range(2)]))
    pair = table[(table["grouping"] == "unified") & (table["task_b"] == "fetal_femur")].iloc[0]
    assert pair["similarity"] == pytest.approx(np.mean(expected), abs=1e-5)
    assert pair["sd"] == pytest.approx(np.std(expected, ddof=1), abs=1e-5)
    assert pair["sd"] > 0.01
    assert pair["seeds"] == 3


def test_similarity_does_not_depend_on_the_numbers_of_the_experts(tmp_path: Path) -> None:
    def renumbered(run: RunSpec) -> Shares:
        return by_kind([CATALOGUE[task].clinical_group for task in run.tasks], seed=run.seed)

    similarities = routing(finished(tmp_path, router=renumbered)).similarities
    assert max(row.sd for row in similarities) < 1e-9


@pytest.mark.usefixtures("without_figures")
def test_runs_with_experts_have_tables_whose_deviation_is_empty_for_one_seed(tmp_path: Path) -> None:
    tables = build_report([finished(tmp_path, seeds=(4,)).directory]) / "tables"
    assert pd.read_csv(tables / "routing_similarity.csv")["sd"].isna().all()
    read = pd.read_csv(tables / "routing.csv")
    assert read["dead"].dtype == bool
    assert read.groupby(["grouping", "task", "block"])["share"].sum().to_numpy() == pytest.approx(1, abs=1e-5)


@pytest.mark.usefixtures("without_figures")
def test_without_routing_there_are_no_tables_and_no_errors(tmp_path: Path) -> None:
    sweep = finished(tmp_path, router=None)
    assert (routing(sweep).runs, routing(sweep).errors) == ((), ())
    assert not list((build_report([sweep.directory]) / "tables").glob("routing*"))


@pytest.mark.usefixtures("without_figures")
def test_models_of_a_single_task_have_no_table_of_similarity(tmp_path: Path) -> None:
    tables = build_report([finished(tmp_path, groupings=("task_specific",)).directory]) / "tables"
    assert (tables / "routing.csv").exists()
    assert not (tables / "routing_similarity.csv").exists()


def test_variants_without_experts_have_no_routing_and_no_error(tmp_path: Path) -> None:
    made = routing(finished(tmp_path, variants={"plain": [], "base": []}, router=without_experts_in_plain))
    assert made.list_variants() == ("base",)
    assert made.errors == ()


def test_a_missing_file_is_an_error_of_runs_with_experts(tmp_path: Path) -> None:
    sweep = finished(tmp_path)
    routing_file(sweep, seed=1).unlink()
    made = routing(sweep)
    assert [(run.row.seed, reason) for run, reason in made.errors] == [(1, "has no routing.csv")]
    lines = [row for routed in made.runs for row in make_routing_rows(routed)]
    assert {row.seed for row in lines if row.grouping == "unified"} == {0, 2}


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda text: "", "it is empty"),
        (lambda text: text.rsplit("\n", 2)[0], "not one row for each task"),
        (lambda text: text + text.splitlines()[1] + "\n", "not one row for each task"),
        (lambda text: text.replace("fetal_femur", "lung"), "not one row for each task"),
        (lambda text: text.replace("share", "chair"), "no 'share'"),
        (lambda text: text.replace("0.775", "0.575"), "shares do not sum to 1"),
        (lambda text: text.replace("0.775000", "nan"), "share is not between 0 and 1"),
        (lambda text: text.replace("0.775", "-0.775"), "share is not between 0 and 1"),
        (lambda text: text.replace("0.775000", "much"), "could not convert string to float: 'much'"),
        (lambda text: text[:200], "cannot be used"),
    ],
)
def test_a_damaged_file_is_named_with_the_reason(tmp_path: Path, damage: object, reason: str) -> None:
    sweep = finished(tmp_path, seeds=(0,), groupings=("unified",))
    path = routing_file(sweep)
    path.write_text(damage(path.read_text()))  # type: ignore[operator]
    made = routing(sweep)
    ((_, error),) = made.errors
    assert reason in error
    assert made.runs == ()


def test_a_file_that_is_not_text_is_an_error(tmp_path: Path) -> None:
    sweep = finished(tmp_path, seeds=(0,), groupings=("unified",))
    routing_file(sweep).write_bytes(b"\xff\xfe\x00task,\n1")
    assert len(routing(sweep).errors) == 1


def test_a_variant_is_shown_by_its_largest_block_and_scale(tmp_path: Path) -> None:
    made = routing(finished(tmp_path, scales=(0.25, 1.0), seeds=(2, 1)))
    shown = made.select_runs("base")
    assert [(routed.tasks, routed.run.row.scale, routed.run.row.seed) for routed in shown] == [
        (TASKS, 1.0, 1),
        (TASKS, 1.0, 2),
    ]
    assert made.select_runs("other") == ()


def test_the_number_of_experts_per_token_is_read_from_the_runs(swept: tuple[FakeSweep, RoutingTables]) -> None:
    routed = swept[1].select_runs("base")[0]
    assert (routed.top_k, routed.experts, routed.blocks) == (2, 4, (3, 4))
