"""Tests of figure files: their names, their chapters, and the same bytes for the same results."""

import shutil
from pathlib import Path

import pytest

from tests.report.sweeps import FakeSweep, level
from usaggr.analysis.collect import collect
from usaggr.report.build import build_report
from usaggr.report.figure_files import write_figures
from usaggr.report.figures import FigureFile
from usaggr.report.tables import make_tables
from usaggr.tasks import CATALOGUE

TASKS = ("breast_lesion", "breast_2cls", "fetal_femur")


def scorer(task: str, block: tuple[str, ...], scale: float | int, seed: int) -> dict[str, float]:
    return level(CATALOGUE[task], 0.4 + 0.1 * scale + 0.02 * seed - 0.03 * len(block))


def sweep(
    folder: Path, formats: tuple[str, ...] = ("svg", "png"), scales: tuple[float, ...] = (0.25, 1.0), **changes: object
) -> FakeSweep:
    settings = {"report": {"confidence": 0.95, "formats": list(formats)}}
    made = FakeSweep(folder / "study", scales=scales, settings=settings, spread=0.05, **changes)  # type: ignore[arg-type]
    made.finish(scorer)
    for run, _ in made.runs():
        metrics = {"breast_lesion": "dsc", "breast_2cls": "auc", "fetal_femur": "mre"}
        names = [f"{task}:{metrics[task]}" for task in run.tasks]
        lines = [",".join(["progress", *names]), ",".join(["1.0", *["0.6"] * len(names)])]
        (made.directory / "runs" / run.run_id / "curve.csv").write_text("\n".join(lines))
    return made


def written(made: FakeSweep, folder: Path) -> tuple[FigureFile, ...]:
    collection = collect([made.directory])
    return write_figures(make_tables(collection), folder)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[FakeSweep, Path, tuple[FigureFile, ...]]:
    folder = tmp_path_factory.mktemp("figures")
    made = sweep(folder)
    return made, folder / "drawn", written(made, folder / "drawn")


def test_each_figure_is_there_in_each_format_and_no_other_file(
    drawn: tuple[FakeSweep, Path, tuple[FigureFile, ...]],
) -> None:
    _, folder, files = drawn
    assert {path.name for path in folder.iterdir()} == {f"{f.name}.{end}" for f in files for end in ("svg", "png")}
    assert all(path.stat().st_size > 3000 for path in folder.iterdir())


def test_each_chapter_has_its_figures(drawn: tuple[FakeSweep, Path, tuple[FigureFile, ...]]) -> None:
    by_slot: dict[str, list[str]] = {}
    for file in drawn[2]:
        by_slot.setdefault(file.slot, []).append(file.name)
    assert by_slot == {
        "answer": ["delta_heatmap", "forest-1", "forest-0.25"],
        "cost": ["score_against_cost"],
        "scale": ["score_against_scale"],
        "types": ["sensitivity"],
        "groups": ["consistency"],
        **{f"task:{task}": [f"curve-{task}"] for task in TASKS},
    }


def test_each_figure_has_a_title_and_a_description_for_those_who_cannot_see_it(
    drawn: tuple[FakeSweep, Path, tuple[FigureFile, ...]],
) -> None:
    assert drawn[2]
    for file in drawn[2]:
        assert file.title
        assert len(file.description) > 60


def test_the_same_results_give_the_same_figures(
    drawn: tuple[FakeSweep, Path, tuple[FigureFile, ...]], tmp_path: Path
) -> None:
    made, folder, files = drawn
    assert written(made, tmp_path / "again") == files
    for path in folder.iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()


@pytest.mark.usefixtures("undrawn")
def test_variants_have_figures_of_their_own(tmp_path: Path) -> None:
    made = sweep(
        tmp_path, formats=("png",), tasks=TASKS[:2], scales=(1.0,), seeds=(0,), variants={"base": [], "slow": []}
    )
    names = {file.name: file.title for file in written(made, tmp_path / "drawn")}
    assert names.pop("variants") == "Variants compared with base"
    assert {name.rsplit("-", 1)[1] for name in names} == {"base", "slow"}
    assert names["delta_heatmap-slow"].endswith(", variant slow")


@pytest.mark.usefixtures("undrawn")
def test_damaged_curves_leave_out_only_their_own_figures(tmp_path: Path) -> None:
    made = sweep(tmp_path, formats=("png",), tasks=TASKS[:2], scales=(1.0,), seeds=(0,))
    for path in made.directory.rglob("curve.csv"):
        path.write_bytes(b"\xff\xfe\x00progress,\n1")
    names = {file.name for file in written(made, tmp_path / "drawn")}
    assert "score_against_scale" in names
    assert not any(name.startswith("curve-") for name in names)


def test_without_a_finished_run_there_are_no_figures(tmp_path: Path) -> None:
    made = sweep(tmp_path, tasks=TASKS[:1], scales=(1.0,), seeds=(0,))
    shutil.rmtree(made.directory / "runs")
    assert written(made, tmp_path / "drawn") == ()
    assert not (tmp_path / "drawn").exists()


@pytest.mark.usefixtures("undrawn")
def test_without_a_comparison_there_are_only_figures_of_scores(tmp_path: Path) -> None:
    made = sweep(tmp_path, formats=("png",), groupings=("task_specific",), scales=(1.0,), seeds=(0,))
    names = {file.name for file in written(made, tmp_path / "alone")}
    assert names == {"score_against_scale", *(f"curve-{task}" for task in TASKS)}
    plan = made.directory / "plan.csv"
    plan.write_text(plan.read_text().splitlines()[0] + "\n")
    assert written(made, tmp_path / "nothing planned") == ()


@pytest.mark.usefixtures("undrawn")
def test_a_report_is_built_next_to_the_runs(tmp_path: Path) -> None:
    sweep = FakeSweep(tmp_path / "study", variants={"base": [], "slow": []}).finish(scorer)
    report = build_report([sweep.directory])
    assert report == sweep.directory / "report"
    names = sorted(str(path.relative_to(report)) for path in report.rglob("*") if path.is_file())
    figures = [name for name in names if name.startswith("figures/")]
    for name in ("delta_heatmap", "score_against_scale"):
        assert {f"figures/{name}-{variant}.png" for variant in ("base", "slow")} <= set(figures)
    pages = {"index.html", "report.md", *(f"tables/{name}.csv" for name in ("comparison", "scores", "summary"))}
    assert pages <= set(names)
    assert {"tables/data.tex", "tables/groupings.tex", "tables/use-s1-slow.tex"} <= set(names)
    text, html = ((report / name).read_text() for name in ("report.md", "index.html"))
    assert all(f"({figure})" in text for figure in figures)
    assert html.count("<img") == len(figures)
    assert not list(sweep.directory.glob("report.*"))
