"""Figures of routing show each task's shares, entropy and similarity, and mark dead experts and even shares."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from tests.report.figure_factories import inside, texts
from tests.report.routings import Shares, by_kind
from tests.report.sweeps import CATALOGUE, FakeSweep, level
from usaggr.analysis.collect import Collection, collect
from usaggr.analysis.compare_study import compare_study
from usaggr.report.figure_files import use_figure_style
from usaggr.report.routing.shares_figure import describe_entropy, describe_shares, draw_entropy, draw_shares
from usaggr.report.routing.similarity_figure import describe_similarity, draw_similarity
from usaggr.report.routing.tables import RoutingTables, average_similarity, make_routing
from usaggr.results.spec import RunSpec

TASKS = ("fetal_femur", "breast_lesion", "breast_2cls", "fetal_head")
ROWS = ["breast_2cls", "breast_lesion", "fetal_femur", "fetal_head"]
"""Tasks sorted by clinical group, type and id."""


def planted(run: RunSpec) -> Shares:
    """Route evenly in transformer block 3, with expert 2 dead, and by clinical group in block 4."""
    shares = by_kind([CATALOGUE[task].clinical_group for task in run.tasks], seed=run.seed)
    shares[:, 0] = [0.33, 0.01, 0.33, 0.33]
    return shares


def read(folder: Path, **changes: object) -> tuple[Collection, RoutingTables]:
    usual = {"tasks": TASKS, "groupings": ("task_specific", "unified"), "router": planted}
    sweep = FakeSweep(folder / "s", **{**usual, **changes})  # type: ignore[arg-type]
    collection = collect([sweep.finish(lambda task, *_: level(CATALOGUE[task], 0.4)).directory])
    return collection, make_routing(compare_study(collection))


def groups(collection: Collection) -> dict[str, str]:
    return {name: facts.task.clinical_group for name, facts in collection.data.tasks.items()}


def facts(collection: Collection) -> list:  # type: ignore[type-arg]
    return [collection.data.tasks[task].task for task in collection.tasks]


def shares_of(collection: Collection, routing: RoutingTables) -> Figure:
    figure = draw_shares(routing.select_runs("base")[0], collection.tasks, groups(collection))
    assert figure is not None
    figure.draw_without_rendering()
    return figure


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Collection, RoutingTables]:
    return read(tmp_path_factory.mktemp("routing"))


def blocks(figure: Figure) -> list[Axes]:
    return [axes for axes in figure.axes if axes.get_title().startswith("block")]


def mesh(axes: Axes) -> QuadMesh:
    (quad_mesh,) = [artist for artist in axes.collections if isinstance(artist, QuadMesh)]
    return quad_mesh


def values(axes: Axes) -> np.ndarray:
    array = mesh(axes).get_array()
    assert array is not None
    return np.ma.getdata(array)


def test_shares_have_one_panel_per_transformer_block_with_tasks_by_clinical_group(
    made: tuple[Collection, RoutingTables],
) -> None:
    figure = shares_of(*made)
    assert [axes.get_title() for axes in blocks(figure)] == ["block 3", "block 4"]
    assert [label.get_text() for label in blocks(figure)[0].get_yticklabels()] == ROWS
    assert texts(figure.axes[0]) == ["breast", "obstetrics"]
    assert [label.get_text() for label in blocks(figure)[0].get_xticklabels()] == ["1", "2", "3", "4"]


def test_shares_are_those_of_the_first_seeds_run(made: tuple[Collection, RoutingTables]) -> None:
    first = made[1].select_runs("base")[0]
    assert first.run.row.seed == 0
    order = [first.tasks.index(task) for task in ROWS]
    for block, axes in enumerate(blocks(shares_of(*made))):
        assert values(axes).reshape(4, 4) == pytest.approx(first.share[order, block])


def test_an_even_share_is_white_and_marked_on_the_color_scale(made: tuple[Collection, RoutingTables]) -> None:
    figure = shares_of(*made)
    drawn = mesh(blocks(figure)[1])
    low, even, high = drawn.to_rgba(np.array([0.05, 0.25, 0.6]))[:, :3]
    assert even.min() > 0.94
    assert low[0] > low[2] + 0.3  # brown
    assert high[2] > high[1] + 0.1  # violet
    bar = figure.axes[-1]
    assert "0.25 even" in [label.get_text() for label in bar.get_xticklabels()]
    assert any(set(np.asarray(line.get_xdata(), dtype=float)) == {0.25} for line in bar.lines)


def test_nearly_even_shares_are_pale(tmp_path: Path) -> None:
    def nearly_even(run: RunSpec) -> Shares:
        return np.tile([0.26, 0.24, 0.25, 0.25], (len(run.tasks), 2, 1))

    drawn = mesh(blocks(shares_of(*read(tmp_path, router=nearly_even)))[0])
    assert drawn.to_rgba(np.array([0.24, 0.26]))[:, :3].min() > 0.88


def test_a_dead_expert_has_a_cross_above_its_column_and_an_entry_in_the_legend(
    made: tuple[Collection, RoutingTables],
) -> None:
    figure = shares_of(*made)
    first, second = blocks(figure)
    ((x, mark),) = [(text.get_position()[0], text.get_text()) for text in first.texts]
    assert (x, mark) == (1.0, "×")
    assert not second.texts
    assert "× dead" in figure.get_supxlabel()


def test_without_dead_experts_the_legend_has_no_entry_for_them(tmp_path: Path) -> None:
    figure = shares_of(*read(tmp_path, router=lambda run: by_kind(["a"] * len(run.tasks))))
    assert "dead" not in figure.get_supxlabel()


def test_shares_of_models_of_a_single_task_are_not_drawn(tmp_path: Path) -> None:
    collection, routing = read(tmp_path, groupings=("task_specific",))
    assert draw_shares(routing.select_runs("base")[0], collection.tasks, groups(collection)) is None
    assert draw_similarity(routing.select_runs("base"), facts(collection)) is None
    assert draw_entropy((), collection.tasks, groups(collection)) is None


def test_entropies_have_one_dot_per_seed_and_their_mean(made: tuple[Collection, RoutingTables]) -> None:
    collection, routing = made
    runs = routing.select_runs("base")
    figure = draw_entropy(runs, collection.tasks, groups(collection))
    assert figure is not None
    first = blocks(figure)[0]
    assert len(first.lines) == 4 + 1  # three seeds and their mean, and a line between two clinical groups
    dots, mean = first.lines[:3], first.lines[3]
    order = [runs[0].tasks.index(task) for task in ROWS]
    for line, run in zip(dots, runs, strict=True):
        assert line.get_xdata() == pytest.approx(run.entropy[order, 0])
    assert mean.get_xdata() == pytest.approx(np.mean([run.entropy[order, 0] for run in runs], axis=0))
    low, high = first.get_xlim()
    assert low < min(run.entropy.min() for run in runs)
    assert high > 1


def matrix_of(figure: Figure) -> Axes:
    return figure.axes[1]


def test_similar_tasks_are_neighbors_in_the_matrix(made: tuple[Collection, RoutingTables]) -> None:
    collection, routing = made
    figure = draw_similarity(routing.select_runs("base"), facts(collection))
    assert figure is not None
    names = [label.get_text() for label in matrix_of(figure).get_xticklabels()]
    assert {frozenset(names[:2]), frozenset(names[2:])} == {frozenset(ROWS[:2]), frozenset(ROWS[2:])}
    row_labels = [label.get_text() for label in matrix_of(figure).get_yticklabels()]
    assert f"{names[0]}   {CATALOGUE[names[0]].clinical_group}, {CATALOGUE[names[0]].type}" == row_labels[0]
    array = np.ma.getdata(mesh(matrix_of(figure)).get_array()).reshape(4, 4)
    assert array[0, 1] == pytest.approx(1)
    assert array[0, 2] < 0.8
    assert array == pytest.approx(array.T)


def test_the_leaves_of_the_dendrogram_are_the_rows_of_the_matrix(made: tuple[Collection, RoutingTables]) -> None:
    figure = draw_similarity(made[1].select_runs("base"), facts(made[0]))
    assert figure is not None
    branches = figure.axes[0]
    assert len(branches.lines) == 3
    assert {0.0, 1.0, 2.0, 3.0} <= {float(y) for line in branches.lines for x, y in line.get_xydata() if x == 0}
    largest_distance = 1 - average_similarity(made[1].select_runs("base")).min()
    assert max(float(x) for line in branches.lines for x in line.get_xdata()) == pytest.approx(
        largest_distance, abs=1e-6
    )
    assert branches.get_ylim() == matrix_of(figure).get_ylim()


def test_the_similarities_of_a_small_matrix_are_written_legibly_into_its_cells(
    made: tuple[Collection, RoutingTables],
) -> None:
    figure = draw_similarity(made[1].select_runs("base"), facts(made[0]))
    assert figure is not None
    axes = matrix_of(figure)
    assert len(axes.texts) == 4 * 3
    for text in axes.texts:
        x, y = (round(coordinate) for coordinate in text.get_position())
        face = mesh(axes).to_rgba(np.ma.getdata(mesh(axes).get_array()).reshape(4, 4)[y, x][None])[0]
        text_luminance, cell_luminance = (
            0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2] for color in (to_rgba(text.get_color()), face)
        )
        assert abs(text_luminance - cell_luminance) > 0.4


@pytest.mark.parametrize(("experts", "count"), [(4, 27), (8, 27), (16, 5)])
def test_nothing_is_cut_off(tmp_path: Path, experts: int, count: int) -> None:
    def large(run: RunSpec) -> Shares:
        shares = by_kind([CATALOGUE[t].type for t in run.tasks], 6, experts, noise=0.5, seed=run.seed)
        shares[:, 1, 0] = 0.001
        return shares / shares.sum(axis=-1, keepdims=True)

    tasks = tuple(CATALOGUE)[:count]
    collection, routing = read(tmp_path, tasks=tasks, groupings=("unified",), reference="unified", router=large)
    runs = routing.select_runs("base")
    with use_figure_style():
        drawn = (
            draw_shares(runs[0], collection.tasks, groups(collection)),
            draw_entropy(runs, collection.tasks, groups(collection)),
            draw_similarity(runs, facts(collection)),
        )
        for figure in drawn:
            assert figure is not None
            assert inside(figure)
            assert figure.get_figwidth() < 13


def test_captions_state_the_numbers_of_the_figures(made: tuple[Collection, RoutingTables]) -> None:
    runs = made[1].select_runs("base")
    shares_caption = describe_shares(runs[0])
    assert runs[0].run.row.run_id in shares_caption
    assert "White is an even share, 0.25" in shares_caption
    assert "The largest share is 0.78: breast_2cls, expert " in shares_caption
    assert "of block 4. 1 of 8 experts is dead (×)." in shares_caption
    assert "0.37 in block 4" not in describe_entropy(runs)
    by_block = np.mean([run.entropy for run in runs], axis=(0, 1))
    assert f"{by_block[0]:.2f} in block 3, {by_block[1]:.2f} in block 4" in describe_entropy(runs)
    caption = describe_similarity(runs)
    assert "mean over 3 seeds" in caption
    assert (
        "The most similar tasks are breast_2cls and breast_lesion (1.00), the least similar tasks are breast_2cls and "
        in caption
    )


def test_the_caption_of_two_tasks_states_their_single_similarity(tmp_path: Path) -> None:
    _, routing = read(tmp_path, tasks=TASKS[:2], seeds=(3,))
    caption = describe_similarity(routing.select_runs("base"))
    assert "seed 3. The similarity is 0." in caption
    assert "least" not in caption
