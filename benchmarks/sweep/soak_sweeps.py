"""The real command, given again and again until it ends by itself, with an eye on what it has done."""

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
"""Seconds between two looks at a sweep."""
_LONGEST = 1800.0
"""Seconds of one invocation; one that takes longer hangs."""


class SoakError(Exception):
    """Something that must hold under kills does not."""


class Sweeps:
    """Invocations of `usaggr sweep` with the same words."""

    def __init__(self, words: Sequence[str], study: Path, kills: Kills | None) -> None:
        self.sessions: set[int] = set()
        """Each invocation's processes have a session of their own, which has the number of the first."""
        self._command = (str(USAGGR), "sweep", *words)
        self._study = study
        self._kills = kills
        self._finished: dict[Path, int] = {}
        """Result: when it was written."""

    def until_done(self, runs: int, what: str, progress: Progress) -> None:
        """Give the command until one ends by itself, well.

        Raises:
            SoakError: one ends by itself with an error, or hangs, or a result that was there is written again.
        """
        progress.start(f"{runs} runs {what}", runs)
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
            while self._invoke(Path(scratch), progress):
                pass

    def _invoke(self, scratch: Path, progress: Progress) -> bool:
        """Whether it was killed."""
        with (scratch / "said.txt").open("w+") as said:
            environment = {**_environment(), "TMPDIR": str(scratch)}
            process = subprocess.Popen(
                self._command, stdout=said, stderr=said, env=environment, start_new_session=True, cwd=scratch
            )
            self.sessions.add(process.pid)
            try:
                self._watch(process, said.name, progress)
            finally:
                process.kill()  # does nothing to one that has ended
                process.wait()
            progress.advance(self._take_in())
            killed = self._kills is not None and self._kills.ended(process.returncode)
            if not killed and process.returncode != 0:
                raise SoakError(f"a sweep ended with status {process.returncode}: {_tail(said.name)}")
        return killed

    def _watch(self, process: subprocess.Popen[bytes], said: str, progress: Progress) -> None:
        """Until it ends."""
        known, began = len(self._finished), time.monotonic()
        if self._kills is not None:
            self._kills.begin(began)
        while process.poll() is None:
            now = time.monotonic()
            if now - began > _LONGEST:
                raise SoakError(f"a sweep hangs: {_tail(said)}")
            progress.advance(self._take_in())
            if self._kills is not None:
                self._kills.look(psutil.Process(process.pid), now, len(self._finished) > known)
            time.sleep(_LOOK)

    def _take_in(self) -> int:
        """How many results have come since the last call."""
        before = len(self._finished)
        for path in (self._study / "runs").glob("*/result.json"):
            written = path.stat().st_mtime_ns
            if self._finished.setdefault(path, written) != written:
                raise SoakError(f"{path}: was done, and has been written again")
        return len(self._finished) - before


def _environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def _tail(path: str) -> str:
    return Path(path).read_text()[-3000:]
