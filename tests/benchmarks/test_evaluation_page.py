"""Tests of the section of docs/performance.md about evaluation."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.evaluation import evaluation, evaluation_runs
from benchmarks.evaluation.evaluation_cases import draw_ellipses, rasterize
from benchmarks.generated import write_part
from usaggr.metrics import segmentation

SMALL = "data.synthetic.samples_per_task=30"
PAGE = Path(__file__).parents[2] / "docs" / "performance.md"


def test_the_page_has_markers_for_the_section(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE.read_text())
    write_part(page, "evaluation", "measured")
    assert "<!-- evaluation: begin -->\n\nmeasured\n\n<!-- evaluation: end -->" in page.read_text()


def test_the_section_shows_rates_gains_and_shares() -> None:
    speeds = [evaluation.Speed("fetal_abdomen_multi", 512, 123.4), evaluation.Speed("FUGC", 256, 4567.0)]
    pairs = ((0.030, 0.010), (0.040, 0.010), (0.090, 0.010))
    compared = [evaluation.Compared("distances", "breast_lesion", 256, pairs, 1e-14)]
    in_runs = [evaluation.Share("demo", "unified", 20.0, distances=0.5, test=1.0, validation=2.0, trivial=0.1)]
    text = evaluation.report(speeds, compared, in_runs, "here")
    assert "| segmentation, 5 classes | 512 | 123 |" in text
    assert "| regression, 2 points | any | 4567 |" in text
    assert "distances 4 to 4 times as fast" in " ".join(text.split())
    assert "difference between the values is 1e-14." in " ".join(text.split())
    assert "| demo, `unified` | 20.0 | 2.5 % | 5.0 % | 10.0 % | 0.5 % |" in text


@pytest.mark.parametrize("task_id", ["breast_lesion", *evaluation.OTHER_TASKS])
def test_each_type_of_task_is_timed(task_id: str) -> None:
    assert evaluation.measure_speed(task_id, 64, samples=12, repetitions=1).rate > 0


def test_the_straightforward_computation_has_the_same_values() -> None:
    for compared in evaluation.compare("fetal_abdomen_multi", 96, pairs=2):
        assert len(compared.pairs) == 2
        assert compared.difference < 1e-9


def test_a_difference_between_the_computations_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "compute_distances", lambda *_: (0.0, 0.0, 0.0))
    assert evaluation.compare("breast_lesion", 64, pairs=1)[1].difference > 0.1


def test_all_calls_of_distances_are_timed_and_the_function_is_restored() -> None:
    truth, predicted = (rasterize(draw_ellipses(np.random.default_rng(seed), 4), 64) for seed in (0, 1))
    before = segmentation.compute_distances
    with evaluation_runs._record_distances() as spent:
        counted = segmentation.score_classes(truth, predicted, 4, 1.0)
    assert len(spent) == 3
    assert segmentation.compute_distances is before
    assert segmentation.score_classes(truth, predicted, 4, 1.0) == counted


@pytest.mark.slow
def test_shares_of_a_real_run_add_up() -> None:
    (share,) = evaluation_runs.measure_shares("demo", ("breast_lesion",), ("training.budget=16 examples", SMALL))
    assert 0 < share.distances < share.test + share.trivial
    assert share.test + share.validation + share.trivial < share.seconds
