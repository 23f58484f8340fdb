"""Tests of the benchmark of the rank correlation's interval: simulated studies have the true correlation."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from benchmarks.affinity import coverage


@pytest.mark.parametrize("rho", coverage.RHOS)
def test_a_simulated_study_has_the_requested_rank_correlation(rho: float) -> None:
    drawn = coverage.study(np.random.default_rng(0), 20_000, 3, rho)
    assert stats.spearmanr(drawn["predicted"], drawn["relative"]).statistic == pytest.approx(rho, abs=0.02)
    assert (drawn.groupby("task").size() == 3).all()
    # Half of the variance lies between tasks.
    assert drawn.groupby("task")["predicted"].mean().var() == pytest.approx(0.5 + 0.5 / 3, abs=0.03)


def test_the_interval_has_about_its_nominal_coverage() -> None:
    # 200 studies: 4 standard deviations are 6 points.
    assert 0.89 <= coverage.coverage(((12, 3), 0.5), repetitions=200) <= 1.0


def test_the_page_has_a_row_for_each_number_of_tasks_and_points(tmp_path: Path) -> None:
    page = tmp_path / "affinity.md"
    page.write_text("Before.\n\n<!-- coverage: begin -->\n<!-- coverage: end -->\n")
    assert coverage.main(["--repetitions", "2", "--jobs", "1", "--page", str(page)]) == 0
    text = page.read_text()
    lines = [line.split("|")[1:3] for line in text.splitlines() if line.startswith("| ") and "tasks" not in line]
    assert [tuple(int(cell) for cell in cells) for cells in lines if "---" not in cells[0]] == list(coverage.POINTS)
    assert "2 simulated studies per cell" in " ".join(text.split())
