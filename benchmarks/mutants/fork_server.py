"""Server that imports large libraries once and forks for each run of pytest.

It is started as a script in the folder under test, with the names of the libraries as arguments. The server itself
imports nothing of this repository, so that a fork imports usaggr and its tests as they are in the folder at that time.
It reads a line of JSON for each run, {"arguments": [...], "output": path, "limit": seconds}, and answers with the exit
status of pytest, or with -1 if the run reached the limit.
"""

import importlib
import json
import os
import signal
import sys
import time
from pathlib import Path


def main(libraries: list[str]) -> None:
    """Import libraries, and serve until standard input ends."""
    sys.path[0] = str(Path.cwd())
    os.environ.setdefault("MPLBACKEND", "agg")
    for name in libraries:
        importlib.import_module(name)
    for line in sys.stdin:
        request = json.loads(line)
        print(run(request["arguments"], request["output"], request["limit"]), flush=True)


def run(arguments: list[str], output: str, limit: float) -> int:
    """Run pytest in a fork.

    Args:
        arguments: Arguments of pytest.
        output: File for the output of pytest.
        limit: Seconds after which the run is killed.

    Returns:
        Exit status of pytest; -1 if the run was killed at the limit.
    """
    child = os.fork()
    if child == 0:
        _become_pytest(arguments, output)
    ends = time.monotonic() + limit
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > ends:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return -1
        time.sleep(0.02)


def _become_pytest(arguments: list[str], output: str) -> None:
    status = 3  # pytest's own number for an internal error
    try:
        os.setsid()
        for stream, flags in ((0, os.O_RDONLY), (1, os.O_WRONLY), (2, os.O_WRONLY)):
            path = os.devnull if stream == 0 else output
            file = os.open(path, flags | os.O_CREAT | (os.O_APPEND if stream else 0))
            os.dup2(file, stream)
        import pytest

        status = int(pytest.main(arguments))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    main(sys.argv[1:])
