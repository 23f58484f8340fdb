"""Tests of the soak test: it detects violated conditions and shows its results; a slow test uses real kills."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from benchmarks.generated import write_part
from benchmarks.sweep import soak_checks, soak_sweeps
from benchmarks.sweep.soak import soak
from benchmarks.sweep.soak_checks import (
    check_no_process_is_left,
    check_same_scores,
    count_attempts,
    count_continuations,
    count_leftovers,
)
from benchmarks.sweep.soak_kills import Kills, Pace
from benchmarks.sweep.soak_page import Soaked, report
from benchmarks.sweep.soak_sweeps import SoakError, Sweeps
from usaggr.progress import NoProgress

SOAKED = Soaked(
    runs=500, seed=3, pace=Pace(), kills={"main": 31, "worker": 205}, invocations=32, calm_seconds=80.0, seconds=600.0,
    executions={1: 420, 2: 70, 4: 10}, continued=12, rows=2600, leftovers=4,
)  # fmt: skip
ATTEMPT = "--- attempt {}, 2026-01-01 00:00:00, host, pid 1\n"


def scores(study: Path, *lines: str) -> Path:
    (study / "report" / "tables").mkdir(parents=True)
    (study / "report" / "tables" / "scores.csv").write_text("\n".join(["run_id,value", *lines]) + "\n")
    return study


def test_scores_that_differ_in_a_digit_are_an_error_and_their_order_does_not_matter(tmp_path: Path) -> None:
    calm = scores(tmp_path / "calm", "a,0.5", "b,0.25")
    assert check_same_scores(calm, scores(tmp_path / "same", "b,0.25", "a,0.5")) == 2
    with pytest.raises(SoakError, match=r"2 rows of scores.csv differ, for example b,0.25 and b,0.26"):
        check_same_scores(calm, scores(tmp_path / "other", "a,0.5", "b,0.26"))
    with pytest.raises(SoakError, match=r"1 rows of scores.csv differ"):
        check_same_scores(calm, scores(tmp_path / "fewer", "a,0.5"))


def test_runs_may_not_have_more_attempts_than_kills_explain() -> None:
    logs = [ATTEMPT.format(1), ATTEMPT.format(1) + ATTEMPT.format(2) + "continues at step 3 of 8\n" + ATTEMPT.format(3)]
    assert count_attempts(logs, {"worker": 2}, 2) == {1: 1, 3: 1}
    assert count_attempts(logs, {"main": 1}, 2) == {1: 1, 3: 1}
    assert count_continuations(logs) == 1
    with pytest.raises(SoakError, match="2 runs have 4 attempts; kills explain at most 1 more than runs"):
        count_attempts(logs, {"worker": 1}, 2)
    with pytest.raises(SoakError, match="1 runs have 0 attempts"):
        count_attempts(["never"], {"worker": 9}, 2)


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """Start a process in a separate session, which ends while its child is still running."""
    code = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])"
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    process.wait()
    yield process
    for other in psutil.process_iter():
        if soak_checks._session(other) == process.pid:
            other.kill()


def test_a_process_that_outlives_its_sweep_is_an_error(
    sleeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(soak_checks, "LEAVING", 0.1)
    with pytest.raises(SoakError, match=r"1 processes of ended sweeps are still running: .*sleep"):
        check_no_process_is_left({sleeper.pid})
    check_no_process_is_left({os.getpid() + 10**7})


def test_a_temporary_file_in_the_cache_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / ".facts.json.12-34.tmp").touch()
    with pytest.raises(SoakError, match="1 temporary files are left in the cache"):
        count_leftovers(tmp_path / "study", tmp_path)


class Script(Sweeps):
    """Invocations of a program instead of the command."""

    def __init__(self, study: Path, code: str, kills: Kills | None = None) -> None:
        super().__init__((), study, kills)
        self._command = (sys.executable, "-c", code, str(study))


FINISH = "import pathlib, sys; run = pathlib.Path(sys.argv[1], 'runs', 'a'); run.mkdir(parents=True, exist_ok=True); "


def test_a_sweep_that_ends_with_an_error_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SoakError, match=r"status 3: so it is"):
        Script(tmp_path, "import sys; print('so it is', flush=True); sys.exit(3)").until_done(1, "", NoProgress())


def test_a_result_that_is_written_again_is_an_error(tmp_path: Path) -> None:
    twice = FINISH + "(run / 'result.json').touch(); import time, os; time.sleep(0.5); os.utime(run / 'result.json')"
    with pytest.raises(SoakError, match="the run was finished, but its result was written again"):
        Script(tmp_path, twice).until_done(1, "", NoProgress())


def test_a_sweep_that_hangs_is_an_error_and_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soak_sweeps, "_LONGEST", 0.2)
    sweeps = Script(tmp_path, "import time; time.sleep(60)")
    with pytest.raises(SoakError, match="a sweep hangs"):
        sweeps.until_done(1, "", NoProgress())
    check_no_process_is_left(sweeps.sessions)


def test_a_killed_command_is_run_again(tmp_path: Path) -> None:
    code = FINISH + "there = (run / 'result.json').exists(); (run / 'result.json').open('a'); import time; "
    code += "time.sleep(0 if there else 60)"
    sweeps = Script(tmp_path, code, kills := Kills(0, Pace(late=(0.0, 0.1), share_early=0)))
    sweeps.until_done(1, "", NoProgress())
    assert kills.counts["main"] == 1
    assert len(sweeps.sessions) == 2


def test_the_number_of_kills_can_be_limited(tmp_path: Path) -> None:
    code = FINISH + "(run / 'result.json').open('a'); import time; time.sleep(0.3)"
    sweeps = Script(tmp_path, code, kills := Kills(0, Pace(late=(0.0, 0.0), early=(0.0, 0.0), share_early=0.5, most=2)))
    sweeps.until_done(1, "", NoProgress())
    assert kills.counts["main"] <= 2


def test_the_section_shows_the_results(tmp_path: Path) -> None:
    text = report(SOAKED, "here")
    assert "| main processes killed | 31 |" in text
    assert "| runs with more than one attempt | 80 |" in text
    assert "| most attempts of one run | 4 |" in text
    page = tmp_path / "reliability.md"
    page.write_text((Path(__file__).parents[2] / "docs" / "reliability.md").read_text())
    write_part(page, "soak", text)
    assert text in page.read_text()


@pytest.mark.cluster
def test_thirty_runs_finish_under_kills_with_the_same_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soak_sweeps, "_LONGEST", 600.0)
    soaked = soak(tmp_path, 30, 1, Pace(worker=(0.5, 1.5), late=(0.5, 2.0), early=(1.0, 8.0), most=3))
    assert sum(soaked.executions.values()) == 30
    assert soaked.rows == 6 * 26
    assert 1 <= soaked.kills["main"] <= 3
    assert 1 <= soaked.kills["worker"] <= 3
    assert soaked.invocations == soaked.kills["main"] + 1
