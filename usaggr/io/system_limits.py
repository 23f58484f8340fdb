"""Limits of the operating system that a process runs into, explained in one line each.

These are `ulimit`, control groups of containers and batch systems, semaphores in /dev/shm, and temporary folders.
"""

import errno
import os
import resource
import sys
import tempfile
from collections.abc import Iterator

_MIN_FILES = 64
"""Files that a process has to be allowed to open at the same time, for a sweep with one or two workers."""
_TARGET_FILES = 8192
"""Files that are enough for one worker on each core of a large machine."""
_MEMORY_WORDS = ("failed to map segment", "cannot allocate memory", "unable to allocate", "out of memory")
"""Parts of the messages, in lower case, of libraries that cannot be loaded for lack of memory."""
_SEMAPHORES = "/dev/shm"
"""Folder in which Linux keeps the semaphores of processes."""


def raise_file_limit() -> str | None:
    """Raise this process's limit of open files as far as it may; return a message if it stays too low for a sweep."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    target = _TARGET_FILES if hard == resource.RLIM_INFINITY else min(_TARGET_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < target:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))
            soft = target
        except (OSError, ValueError):  # macOS has a limit of its own
            pass
    if soft == resource.RLIM_INFINITY or soft >= _MIN_FILES:
        return None
    return f"at most {soft} files may be open at once (ulimit -n); usaggr needs {_MIN_FILES}: raise the limit"


def explain_system_limit(error: BaseException) -> str | None:
    """Return one line about the limit behind an error, with the remedy; None if the error has another cause."""
    for cause in _walk_causes(error):
        if isinstance(cause, MemoryError):
            return _explain_memory()
        if isinstance(cause, OSError):
            if cause.errno in (errno.EMFILE, errno.ENFILE):
                return f"too many open files: {_read_limit('RLIMIT_NOFILE')} (ulimit -n); raise the limit"
            if cause.errno == errno.ENOMEM:
                return _explain_memory()
            if cause.errno == errno.EAGAIN and cause.filename is None:
                return _explain_processes()
            if "No usable temporary directory" in str(cause):
                return "no temporary folder is writable: set TMPDIR to a folder that is, and has free space"
        if isinstance(cause, RuntimeError) and "can't start new thread" in str(cause):
            return _explain_processes()
        if isinstance(cause, ImportError | RuntimeError) and _is_about_memory(str(cause)):
            return _explain_memory()
    return None


def explain_semaphores(error: OSError) -> str:
    """Return one line about semaphores for worker processes that cannot be created."""
    where = f"{_SEMAPHORES}: " if sys.platform == "linux" else ""
    reason = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        remedy = "remove files there, or enlarge it (docker run --shm-size=1g)"
    else:
        remedy = "it has to be a writable tmpfs; in a container, mount one there"
    return f"{where}the semaphores of worker processes cannot be created ({reason}); {remedy if where else 'free some'}"


def is_temporary_folder_usable() -> bool:
    """Return whether a temporary folder is writable: $TMPDIR, or one of the system's."""
    try:
        return os.access(tempfile.gettempdir(), os.W_OK)
    except FileNotFoundError:
        return False


def _walk_causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and those that caused it."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or cause.__context__


def _is_about_memory(text: str) -> bool:
    return any(words in text.lower() for words in _MEMORY_WORDS)


def _explain_memory() -> str:
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return "out of memory: free some, or use fewer executor.workers or a smaller training.batch_size"
    return (
        f"out of memory: a process may use {limit / 2**20:.0f} MiB (ulimit -v); usaggr needs at least 2500 MiB, "
        "and more for CUDA or large networks: raise the limit"
    )


def _explain_processes() -> str:
    return (
        f"no further process or thread can be started: {_read_limit('RLIMIT_NPROC')} (ulimit -u), and a container or "
        "a batch job may allow fewer (pids.max); raise the limit, or use fewer executor.workers"
    )


def _read_limit(name: str) -> str:
    """Return a phrase about one of the limits of this process."""
    limit = resource.getrlimit(getattr(resource, name))[0]
    return "this process has no limit of its own" if limit == resource.RLIM_INFINITY else f"the limit is {limit}"
