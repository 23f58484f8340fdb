"""Repeated invocations of the real command until one finishes by itself, with checks of its results."""

import os
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from benchmarks.sweep.soak_kills import Kills
from usaggr.progress import Progress

USAGGR = Path(sysconfig.get_path("scripts")) / "usaggr"
_LOOK = 0.05
"""Seconds between two checks of a running sweep."""
_LONGEST = 1800.0
"""Seconds after which an invocation counts as hanging."""


class SoakError(Exception):
    """A condition that must hold under kills does not."""


class Sweeps:
    """Invocations of `usaggr sweep` with the same words."""

    def __init__(self, words: Sequence[str], study: Path, kills: Kills | None) -> None:
        self.sessions: set[int] = set()
        """Session ids, one per invocation: all its processes share a session, numbered by its first process."""
        self._command = (str(USAGGR), "sweep", *words)
        self._study = study
        self._kills = kills
        self._finished: dict[Path, int] = {}
        """Time at which each result was written."""

    def until_done(self, runs: int, what: str, progress: Progress) -> None:
        """Repeat the command until an invocation finishes by itself with status 0.

        Args:
            runs: Number of runs of the study.
            what: Description for the progress display.
            progress: Progress display.

        Raises:
            SoakError: if an invocation fails by itself or hangs, or if an existing result is written again.
        """
        progress.start(f"{runs} runs {what}", runs)
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
            while self._invoke(Path(scratch), progress):
                pass

    def _invoke(self, scratch: Path, progress: Progress) -> bool:
        """Run the command once, and return True if it was killed."""
        with (scratch / "output.txt").open("w+", encoding="utf-8") as output:
            environment = {**_environment(), "TMPDIR": str(scratch)}
            process = subprocess.Popen(
                self._command, stdout=output, stderr=output, env=environment, start_new_session=True, cwd=scratch
            )
            self.sessions.add(process.pid)
            try:
                self._watch(process, output.name, progress)
            finally:
                process.kill()  # no effect if it has ended
                process.wait()
            progress.advance(self._take_in())
            killed = self._kills is not None and self._kills.ended(process.returncode)
            if not killed and process.returncode != 0:
                raise SoakError(f"a sweep ended with status {process.returncode}: {_tail(output.name)}")
        return killed

    def _watch(self, process: subprocess.Popen[bytes], output: str, progress: Progress) -> None:
        """Check results and make kills until the process ends."""
        before, began = len(self._finished), time.monotonic()
        if self._kills is not None:
            self._kills.begin(began)
        while process.poll() is None:
            now = time.monotonic()
            if now - began > _LONGEST:
                raise SoakError(f"a sweep hangs: {_tail(output)}")
            progress.advance(self._take_in())
            if self._kills is not None:
                self._kills.look(psutil.Process(process.pid), now, len(self._finished) > before)
            time.sleep(_LOOK)

    def _take_in(self) -> int:
        """Return the number of new results since the last call."""
        before = len(self._finished)
        for path in (self._study / "runs").glob("*/result.json"):
            written = path.stat().st_mtime_ns
            if self._finished.setdefault(path, written) != written:
                raise SoakError(f"{path}: the run was finished, but its result was written again")
        return len(self._finished) - before


def _environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def _tail(path: str) -> str:
    return Path(path).read_text(encoding="utf-8")[-3000:]
