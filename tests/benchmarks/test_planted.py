"""Tests of studies drawn from a pool of seeds and of their page, on simulated sweeps with known differences."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from scipy import stats

from benchmarks.evidence.worlds import GROUPINGS, World, draw_sweep
from benchmarks.planted import __main__ as benchmark
from benchmarks.planted import page, scale, structure
from benchmarks.planted.draws import (
    Draw,
    Judged,
    Truth,
    add_counts,
    draw_studies,
    estimate_truths,
    judge_draws,
    make_study,
)
from benchmarks.planted.figure import draw_figure
from benchmarks.planted.training import FOLDER, sum_cost
from usaggr.analysis.collect import CollectedRun, Collection
from usaggr.config.compose import compose_study
from usaggr.metrics.names import compute_improvement, get_main_metric
from usaggr.results.affinity import Measure
from usaggr.tasks import CATALOGUE

GAINS, LOSSES = ("unified", "lung"), ("unified", "ovary_tumor")


@pytest.fixture(scope="module")
def pool() -> Collection:
    """Twelve seeds at two scales; under the unified model one task gains .2 and one loses as much."""
    sweep = draw_sweep(World(seeds=12, subjects=40), {GAINS: 0.2, LOSSES: -0.2}, np.random.default_rng(0))
    return replace(sweep, study=replace(sweep.study, settings={"report": {"confidence": 0.95}}))


def test_seeds_and_components_are_drawn_with_replacement_and_equally_often(pool: Collection) -> None:
    draws = list(draw_studies(pool, 5, 2000, np.random.default_rng(0)))
    assert len(draws) == 2000
    assert all(list(draw.seeds) == sorted(draw.seeds) for draw in draws)
    # All five differ in 12! / 7! / 12^5 = 38 % of the draws.
    assert np.mean([len(set(draw.seeds)) == 5 for draw in draws]) == pytest.approx(0.382, abs=0.045)
    counts = Counter(seed for draw in draws for seed in draw.seeds)
    # 2000 x 5 / 12, with 4 standard deviations of a binomial count.
    assert all(abs(counts[seed] - 833) < 4 * np.sqrt(10_000 / 12 * 11 / 12) for seed in range(12))
    for draw in draws[:20]:
        for fold in pool.folds.values():
            assert np.isin(draw.components, fold.components).sum() == 40
        assert len(set(draw.components.tolist())) == pytest.approx(12 * 40 * (1 - np.exp(-1)), abs=40)
    with pytest.raises(ValueError, match="13 seeds cannot be drawn from 12"):
        list(draw_studies(pool, 13, 1, np.random.default_rng(0)))


def test_the_truth_is_the_mean_difference_over_all_seeds(pool: Collection) -> None:
    truth_by_cell = estimate_truths(pool)
    runs = {(run.row.tasks, run.row.scale, run.row.seed): run.result for run in pool.runs}
    everything = max((run.row.tasks for run in pool.runs), key=len)
    deltas = []
    for seed in range(12):
        shared, alone = runs[everything, 1.0, seed], runs[("lung",), 1.0, seed]
        assert shared is not None
        assert alone is not None
        deltas.append(shared.scores["lung"]["dsc"] - alone.scores["lung"]["dsc"])
    truth = truth_by_cell["unified", 1.0, "lung"]
    assert truth.delta == pytest.approx(np.mean(deltas))
    assert truth.sd == pytest.approx(np.std(deltas, ddof=1))
    assert truth.error == pytest.approx(np.std(deltas, ddof=1) / np.sqrt(12))
    # The clinical group of lung has no other task, so that block is the same run as the reference.
    assert ("clinical", 1.0, "lung") not in truth_by_cell
    assert {grouping for grouping, _, _ in truth_by_cell} == set(GROUPINGS[1:])


def test_a_drawn_study_contains_its_seeds_and_components_as_often_as_they_are_drawn(pool: Collection) -> None:
    fold = pool.folds["lung"].components
    other_components = [other.components for task, other in pool.folds.items() if task != "lung"]
    components = np.concatenate([np.repeat(fold[:20], 2), *other_components])
    drawn = make_study(pool, Draw((2, 5, 5), components), margin=0.07)
    assert [run.row.seed for run in drawn.runs].count(1) == [run.row.seed for run in drawn.runs].count(2)
    assert len(drawn.runs) * 4 == len(pool.runs)
    assert drawn.study.seeds == (0, 1, 2)
    assert drawn.study.margin == 0.07
    assert drawn.study.get_setting("report.confidence") == 0.95
    assert make_study(pool, Draw((1,), components)).study.margin == pool.study.margin == 0.02
    assert drawn.folds["lung"].components.tolist() == list(range(40))
    assert {fold.components.size for fold in drawn.folds.values()} == {40}
    assert np.unique(np.concatenate([fold.components for fold in drawn.folds.values()])).size == 12 * 40
    assert len({run.row.fingerprint for run in drawn.runs}) == len(drawn.runs)
    original = next(run for run in pool.runs if run.row.tasks == ("lung",) and run.row.seed == 5)
    copies = [run for run in drawn.runs if run.row.tasks == ("lung",) and run.row.scale == original.row.scale]
    assert [run.row.seed for run in copies] == [0, 1, 2]
    assert original.pseudovalues is not None
    values = original.pseudovalues["lung"].metrics["dsc"]
    for copy in copies[1:]:
        assert copy.pseudovalues is not None
        assert copy.result is not None
        assert copy.pseudovalues["lung"].metrics["dsc"] == pytest.approx(np.repeat(values[:20], 2))
        assert copy.result.scores["lung"]["dsc"] == pytest.approx(values[:20].mean())


def test_a_removed_difference_is_0_over_the_pool(pool: Collection) -> None:
    everything = Draw(pool.study.seeds, np.concatenate([fold.components for fold in pool.folds.values()]))
    truth = estimate_truths(pool)
    assert estimate_truths(make_study(pool, everything))["unified", 1.0, "FUGC"].delta == pytest.approx(
        truth["unified", 1.0, "FUGC"].delta
    )
    removed = {cell: value.delta for cell, value in truth.items() if cell[0] == "unified"}
    left = estimate_truths(make_study(pool, everything, removed=removed))
    for cell, value in left.items():
        assert value.delta == pytest.approx(0 if cell in removed else truth[cell].delta, abs=1e-12)


@pytest.mark.slow
def test_large_differences_are_detected_in_every_draw_and_false_ones_rarely(pool: Collection) -> None:
    draws = list(draw_studies(pool, 5, 6, np.random.default_rng(1)))
    truth = estimate_truths(pool)
    planted = {(grouping, scale, task) for grouping, task in (GAINS, LOSSES) for scale in (0.25, 1.0)}
    null = [cell for cell in truth if cell not in planted]
    judged = judge_draws(pool, draws, 0.1, null, truth)
    assert judged.draws == 6
    assert judged.rate(("unified", 1.0, "lung"), "gain") == 1.0
    assert judged.rate(("unified", 1.0, "ovary_tumor"), "loss") == 1.0
    assert judged.false_families.get("unified", 0) <= 1
    counts: Counter[object] = Counter()
    for (cell, _), count in judged.verdicts.items():
        counts[cell] += count
    assert set(counts.values()) == {6}
    # The pool's difference is removed from cells that count as null, but not another one.
    halved = {cell: replace(true, delta=true.delta / 2) for cell, true in truth.items()}
    assert judge_draws(pool, draws, 0.1, list(truth), halved).false_families["unified"] == 6
    flipped = {cell: replace(true, delta=-true.delta) for cell, true in truth.items()}
    assert judge_draws(pool, draws[:2], 0.1, null, flipped).opposite["unified"] == 2


def test_counts_of_several_sets_of_draws_are_added() -> None:
    cell = ("relations", 1.0, "lung")
    parts = [
        Judged(10, {(cell, "gain"): 4}, {"relations": 1}, {}),
        Judged(30, {(cell, "gain"): 26}, {}, {"relations": 2}),
    ]
    total = add_counts(parts)
    assert (total.draws, total.rate(cell, "gain"), total.rate(cell, "loss")) == (40, 0.75, 0.0)
    assert (total.false_families, total.opposite) == ({"relations": 1}, {"relations": 2})


def test_the_blocks_of_the_shipped_study_are_named_by_their_relations() -> None:
    study = compose_study("planted", (), FOLDER)
    blocks = yaml.safe_load((FOLDER / "grouping" / "relations.yaml").read_text())["blocks"]
    synthetic = study.data.synthetic
    assert sorted(task for members in blocks.values() for task in members) == sorted(synthetic.tasks)
    assert {*synthetic.related, *synthetic.related.values()} == set(blocks["related"])
    assert {frozenset(pair) for pair in synthetic.conflicting.items()} == {frozenset(blocks["conflicting"])}
    # The tasks with a larger weight are the conflicting ones.
    assert set(study.training.task_weights) == set(synthetic.conflicting)
    assert study.groupings == ["task_specific", benchmark.PLANTED, "unified"]


def test_the_pool_is_measured_by_the_relations_planted_in_it(
    pool: Collection, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(benchmark, "PLANTED", "unified")
    planted = {"related": {"lung": "carotid_artery"}, "conflicting": {"FUGC": "ovary_tumor"}}
    settings = {**pool.study.settings, "data": {"synthetic": planted}}
    runs = tuple(run for run in pool.runs if run.row.scale == 1.0)
    planted_pool = replace(pool, runs=runs, study=replace(pool.study, settings=settings, scales=(1.0,)))
    measured_pool, deltas = benchmark.measure_pool(planted_pool, draws=4, jobs=1)
    relations = {task: relation for task, relation in measured_pool.relations.items() if relation != "unrelated"}
    assert relations == {
        "carotid_artery": "related", "lung": "related", "ovary_tumor": "conflicting", "FUGC": "random labels",
    }  # fmt: skip
    assert len(measured_pool.relations) == 12
    truth = {task: measured_pool.truth["unified", 1.0, task].delta for task in relations}
    assert measured_pool.margin == pytest.approx(
        sum(abs(truth[t]) for t in ("carotid_artery", "lung", "ovary_tumor")) / 6
    )
    assert {task: float(values.mean()) for task, values in deltas.items() if task in truth} == pytest.approx(truth)
    assert (measured_pool.seeds, measured_pool.judged.draws, measured_pool.subjects) == (12, 4, 40)
    assert measured_pool.judged.rate(("unified", 1.0, "lung"), "gain") == 1.0
    draw_figure(measured_pool, deltas, tmp_path / "planted.png")
    with Image.open(tmp_path / "planted.png") as image:
        assert image.width == 990
        assert len(set(np.asarray(image.convert("RGB")).reshape(-1, 3)[::7].max(axis=1))) > 10


def make_pool(gain: float = 0.9, false: int = 12, seeds: int = 40) -> page.Pool:
    tasks = {"lung": "related", "ovary_tumor": "conflicting", "cervix": "random labels", "fetal_head": "unrelated"}
    rates = {"lung": ("gain", gain), "ovary_tumor": ("loss", 0.8), "cervix": ("undecided", 1.0),
             "fetal_head": ("no_loss", 1.0)}  # fmt: skip
    truth = {("relations", 1.0, task): Truth(0.1, 0.04, 40, 0.7) for task in tasks}
    verdicts = {(("relations", 1.0, task), verdict): int(500 * share) for task, (verdict, share) in rates.items()}
    judged = Judged(500, verdicts, {"relations": false}, {"unified": 3})
    return page.Pool(seeds, 5, 400, 800.0, 0.05, truth, judged, tasks, "relations", 70, dict.fromkeys(tasks, 20))


@pytest.mark.parametrize(
    ("pool_", "expected"),
    [
        (make_pool(), []),
        (make_pool(gain=0.79), ["lung: gain in 79.0 %"]),
        (make_pool(seeds=39), ["500 draws from 39 seeds, too few"]),
        (make_pool(false=40), ["unrelated tasks: a gain or loss in 8.0 %"]),
    ],
)
def test_targets_that_are_not_met_are_named(pool_: page.Pool, expected: list[str]) -> None:
    messages = page.list_failures(pool_)
    assert len(messages) == len(expected)
    assert all(line.startswith(start) for line, start in zip(messages, expected, strict=True))


def test_the_page_shows_each_cell_with_its_target() -> None:
    text = page.report(make_pool(), "planted.png", "sheet.png")
    assert "| lung | related | +0.100 | 0.006 | 90.0% | 0.0% | 0.0% | 0.0% | gain >= 80% |" in text
    assert "| fetal_head | unrelated | +0.100 | 0.006 | 0.0% | 100.0% | 0.0% | 0.0% | neither |" in text
    words = " ".join(text.split())
    assert "500 studies of 5 seeds are drawn with replacement, and their test subjects too" in words
    assert "Cost: 400 runs, 0.2 hours of one thread." in words
    assert "{" not in text  # no placeholder is left


def test_the_sections_of_the_page_are_written_between_their_markers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shipped = (FOLDER.parents[1] / "docs" / "planted.md").read_text()
    file = tmp_path / "planted.md"
    file.write_text(shipped)
    parts = {name: lambda options, name=name: (f"About {name}.", []) for name in benchmark.PARTS}
    monkeypatch.setattr(benchmark, "PARTS", parts | {"scale": lambda options: ("About scale.", ["off: found"])})
    assert benchmark.main(["scale", "affinity", "--page", str(file)]) == 1
    text = file.read_text()
    assert "About pool." not in text
    assert "About scale.\n\n**Not met: off: found.**" in text
    assert "About affinity.\n\nAll targets are met." in text
    assert "1 checks fail\n- off: found" in capsys.readouterr().out
    assert benchmark.main(["pool", "--page", str(file)]) == 0
    with pytest.raises(SystemExit):
        benchmark.main(["pools", "--page", str(file)])


def set_two_sizes(pool: Collection) -> Collection:
    """Return the pool with 25 and 100 training samples at its two scales."""
    runs = []
    for run in pool.runs:
        assert run.result is not None
        counts = dict.fromkeys(run.row.tasks, 25 if run.row.scale == 0.25 else 100)
        runs.append(replace(run, result=replace(run.result, n_train=counts)))
    return replace(pool, runs=tuple(runs))


def test_the_slope_is_that_of_the_mean_over_tasks(pool: Collection) -> None:
    row = scale.estimate_slope(set_two_sizes(pool))
    assert row.tasks == 12
    assert row.seeds == 12
    # The planted differences are the same at both scales.
    assert abs(row.slope.value) < 0.1
    assert row.slope.low < row.slope.value < row.slope.high


@pytest.mark.slow
def test_the_slope_is_estimated_from_the_pool_and_its_detection_rate_from_draws(pool: Collection) -> None:
    measured = scale.judge_slopes("off", set_two_sizes(pool), draws=3, size=5, jobs=1)
    assert set(measured.deltas) == {25, 100}
    assert 0 <= measured.falls + measured.rises <= 1
    assert 0 <= measured.false <= 1
    assert (measured.seeds, measured.draws, measured.size) == (12, 3, 5)
    assert (measured.runs, measured.seconds) == sum_cost(pool)
    steps = np.log10(100 / 25)
    assert measured.slope == pytest.approx((measured.deltas[100] - measured.deltas[25]) / steps)


def make_slopes(world: str, falls: float, rises: float, false: float = 0.05) -> scale.Slopes:
    return scale.Slopes(world, -0.1, -0.12, -0.08, {8: 0.2, 80: 0.1}, falls, rises, false, 12, 500, 5, 240, 480.0)


@pytest.mark.parametrize(
    ("measured", "expected"),
    [
        ([make_slopes("on", 0.8, 0.0), make_slopes("off", 0.04, 0.3)], []),
        ([make_slopes("on", 0.79, 0.2)], ["scale, on: found in 79.0%"]),
        ([make_slopes("off", 0.08, 0.0)], ["scale, off: found in 8.0%"]),
        ([make_slopes("on", 0.9, 0.0, 0.08)], ["scale, on, differences removed: found in 8.0%"]),
    ],
)
def test_slopes_must_be_detected_if_and_only_if_they_are_planted(
    measured: list[scale.Slopes], expected: list[str]
) -> None:
    wrong = scale.failures(measured)
    assert len(wrong) == len(expected)
    assert all(line.startswith(start) for line, start in zip(wrong, expected, strict=True))
    assert "-0.100 (-0.120 to -0.080)" in scale.section(measured)
    assert "500 studies of 5 out of 12 seeds are drawn with replacement" in " ".join(scale.section(measured).split())


def add_controls(pool: Collection) -> Collection:
    """Return the large scale of the pool, with unified as the grouping by affinity and clinical as a random one."""
    names = {"unified": "by_gradient", "clinical": "by_lot_1", "task_specific": "task_specific"}
    runs = tuple(
        replace(run, row=replace(run.row, groupings=tuple(names[name] for name in run.row.groupings)))
        for run in pool.runs
        if run.row.scale == 1.0
    )
    study = replace(pool.study, scales=(1.0,), groupings=tuple(names.values()), controls={"by_lot_1": "by_gradient"})
    affinity_pool = replace(pool, runs=runs, study=study)
    return replace(affinity_pool, controls=affinity_pool)


def test_affinity_is_compared_with_the_mean_of_random_groupings_by_seed(pool: Collection) -> None:
    result = structure.compare_grouping("related pairs", "gradient", {"all": ("lung",)}, add_controls(pool))
    tasks = {task for run in pool.runs for task in run.row.tasks}
    by_seed = []
    for seed in range(12):
        runs = [run for run in pool.runs if (run.row.scale, run.row.seed) == (1.0, seed)]
        mean = {}
        for grouping in GROUPINGS:
            run_of = {task: run for run in runs if grouping in run.row.groupings for task in run.row.tasks}
            assert set(run_of) == tasks
            mean[grouping] = np.mean([orient_score(run_of[task], task) for task in tasks])
        by_seed.append((mean["unified"] - mean["clinical"], mean["unified"] - mean["task_specific"]))
    against, gained = np.array(by_seed).T
    assert result.difference == pytest.approx(against.mean())
    assert result.affinity == pytest.approx(gained.mean())
    interval = stats.ttest_1samp(against, 0).confidence_interval(0.95)
    assert (result.low, result.high) == pytest.approx((interval.low, interval.high))
    assert len(result.drawn) == 1
    assert result.seeds == 12


def orient_score(run: CollectedRun, task: str) -> float:
    """Return the task's main score, with the sign for which larger is better."""
    assert run.result is not None
    main = get_main_metric(CATALOGUE[task].type)
    return compute_improvement(run.result.scores[task][main.name], 0.0, main)


def make_structure(world: str, low: float, measure: Measure = "gradient") -> structure.Structure:
    return structure.Structure(world, measure, {"all": ("lung", "cervix")}, 10, 0.06, (0.01, 0.03), 0.04, low, 0.08)


def test_affinity_must_be_better_if_and_only_if_tasks_are_related() -> None:
    related, unrelated = structure.WORLDS
    assert structure.failures([make_structure(related, 0.01), make_structure(unrelated, -0.01)]) == []
    wrong = structure.failures([make_structure(related, -0.01), make_structure(unrelated, 0.01)])
    assert wrong == [
        "affinity by gradient is not better than random among related pairs",
        "affinity by gradient is better than random among unrelated tasks",
    ]
    assert structure.failures([make_structure(related, -0.01, "lookahead")]) == []
    text = structure.section(
        [make_structure(related, 0.01), make_structure(unrelated, -0.01)], [(70, 140.0), (30, 60.0)]
    )
    assert (
        "| related pairs | gradient | lung, cervix | +0.060 | +0.020 (+0.010 to +0.030) | +0.040 (+0.010 to +0.080) |"
        in text
    )
    lines = [line for line in text.splitlines() if line.startswith("| ") and "gradient" in line]
    assert [row.split("|")[-2].strip() for row in lines] == ["above 0", "not above 0"]
    assert "Cost: 100 runs" in text


def test_the_worlds_of_a_study_differ_by_relations_alone() -> None:
    for study, worlds in ((scale.STUDY, scale.WORLDS), (structure.STUDY, structure.WORLDS)):
        words = ["groupings=[task_specific,unified]"]
        planted, plain = (compose_study(study, [*words, *worlds[world]], FOLDER).data.synthetic for world in worlds)
        assert planted.related
        assert planted.model_copy(update={"related": {}}) == plain
    members = set(planted.related) | set(planted.related.values())
    assert members == set(planted.tasks)
    assert len(planted.related) == structure.BLOCKS
