"""Estimates seed by seed, which are kept and not repeated; invalid requests are refused before any training."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.affinity.runs import study_of
from usaggr.affinity import estimate as room
from usaggr.affinity.blocks import affinity_blocks, get_block_limit, make_blocks
from usaggr.affinity.estimate import AffinityRequest, estimate
from usaggr.errors import ConfigError
from usaggr.progress import NoProgress
from usaggr.results.affinity import COLUMNS, SUMMARY_COLUMNS
from usaggr.sweep.planning.study_plan import PlannedRun


@pytest.mark.slow
def test_seeds_are_estimated_once_and_make_tables_and_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    request = AffinityRequest(("lookahead", "gradient"), overhead=6.0)
    first = estimate(study_of(tmp_path, "seeds=[0]"), request)
    folder = tmp_path / "outputs" / "tiny" / "affinity"
    with (folder / "affinity.csv").open() as file:
        csv_rows = list(csv.DictReader(file))
    assert tuple(csv_rows[0]) == COLUMNS
    assert len(csv_rows) == 2 * 4 * 3
    assert all(int(row["estimates"]) > 0 for row in csv_rows)
    assert {(row["source"], row["target"]) for row in csv_rows} == {
        (a, b) for a in ("cls", "det", "reg", "seg") for b in ("cls", "det", "reg", "seg") if a != b
    }
    assert (folder / "summary.csv").read_text().splitlines()[0] == ",".join(SUMMARY_COLUMNS)
    head = json.loads((folder / "affinity.json").read_text())
    assert (head["study"], head["scale"], head["seeds"]) == ("tiny", 1.0, [0])

    # A second seed and a measure without training are added; the first seed is not trained again.
    ridden: list[int] = []
    ride = room._train_with_probes

    def counted(run: PlannedRun, *arguments: Any) -> Any:
        ridden.append(run.spec.seed)
        return ride(run, *arguments)

    monkeypatch.setattr(room, "_train_with_probes", counted)
    second = estimate(
        study_of(tmp_path, "seeds=[0,1]"), AffinityRequest(("lookahead", "gradient", "features"), overhead=6.0)
    )
    assert ridden == [1]
    assert second.measures == ("lookahead", "gradient", "features")
    assert np.array_equal(second.select("lookahead")[0].values, first.select("lookahead")[0].values, equal_nan=True)
    blocks = affinity_blocks(study_of(tmp_path, "seeds=[0,1]"), "gradient", most_blocks=2, overhead=6.0)
    assert ridden == [1]
    assert blocks == make_blocks(second, "gradient", 2)
    assert sorted(task for block in blocks.values() for task in block) == ["cls", "det", "reg", "seg"]

    # A limit on parameters is a limit on the number of models.
    assert get_block_limit(second, None, 1000.0, NoProgress()) == 4
    assert get_block_limit(second, 3, 1000.0, NoProgress()) == 3
    with pytest.raises(ConfigError, match=r"--max-cost: one model of all tasks has .* million parameters"):
        get_block_limit(second, None, 0.001, NoProgress())


def test_invalid_requests_are_refused_with_what_is_allowed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--measure: unknown 'lookhead', did you mean 'lookahead'"):
        AffinityRequest(("lookhead",))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="--overhead: must be a number above 0"):
        AffinityRequest(overhead=0.0)
    with pytest.raises(ConfigError, match=r"--scale: unknown '0\.5'.*Allowed: 1"):
        estimate(study_of(tmp_path), AffinityRequest(scale=0.5))
    with pytest.raises(ConfigError, match="needs at least two tasks; the study has one, seg"):
        estimate(study_of(tmp_path, "tasks=[seg]"), AffinityRequest())
    with pytest.raises(ConfigError, match="routes no tokens"):
        estimate(study_of(tmp_path), AffinityRequest(("routing",)))


@pytest.mark.slow
def test_a_run_too_short_for_a_probe_is_refused(tmp_path: Path) -> None:
    study = study_of(tmp_path, "training.budget=4 examples")
    with pytest.raises(ConfigError, match=r"too short for one estimate of lookahead at --overhead 0\.3; raise it, or"):
        estimate(study, AffinityRequest())
