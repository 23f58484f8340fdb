"""Messages of one line for errors that come from a limit of the operating system, with the remedy for the user.

Limits are set by `ulimit`, by control groups of containers and batch systems, by the size of /dev/shm (semaphores), by
temporary folders that are not writable, and by file systems (length of names).
"""

import errno
import os
import resource
import sys
import tempfile
from collections.abc import Iterator

_MIN_FILES = 64
"""Smallest limit of open files with which a sweep with one or two workers succeeds."""
_TARGET_FILES = 8192
"""Limit of open files that usaggr sets if it may; enough for one worker on each core of a large machine."""
_MIN_MEMORY_MIB = 2500
"""Address space in MiB that a process needs on a CPU, for the message."""
_MEMORY_PHRASES = ("failed to map segment", "cannot allocate memory", "unable to allocate", "out of memory")
"""Phrases, in lower case, in messages of libraries that run out of memory or cannot be loaded for lack of it."""
_MAX_SHOWN = 80
"""Number of characters of a path that is too long that its message shows."""
_SEMAPHORE_FOLDER = "/dev/shm"
"""Folder in which Linux keeps the semaphores that processes share."""


def raise_file_limit() -> str | None:
    """Raise this process's limit of open files to what usaggr needs, or as far as the system allows.

    Returns:
        A message for the user if the limit remains too low for a sweep; otherwise None.
    """
    # The soft limit applies; a process may raise its own soft limit up to the hard one.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    target = _TARGET_FILES if hard == resource.RLIM_INFINITY else min(_TARGET_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < target:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))
            soft = target
        except (OSError, ValueError):  # macOS refuses values above a further limit, even if `hard` allows them
            pass
    if soft == resource.RLIM_INFINITY or soft >= _MIN_FILES:
        return None
    return f"at most {soft} files may be open at once (ulimit -n); usaggr needs {_MIN_FILES}: raise the limit"


def explain_system_limit(error: BaseException) -> str | None:
    """Explain the limit that caused an error, in one line with the remedy.

    The causes of the error are searched, too, because libraries wrap errors of the system in errors of their own.

    Returns:
        None if no limit caused the error.
    """
    for cause in _walk_causes(error):
        if isinstance(cause, MemoryError):
            return _explain_memory()
        if isinstance(cause, OSError):
            if cause.errno in (errno.EMFILE, errno.ENFILE):
                return f"too many open files: {_read_limit('RLIMIT_NOFILE')} (ulimit -n); raise the limit"
            if cause.errno == errno.ENOMEM:
                return _explain_memory()
            # A process or thread that cannot be started names no file; EAGAIN with a file has another cause.
            if cause.errno == errno.EAGAIN and cause.filename is None:
                return _explain_processes()
            if cause.errno == errno.ENAMETOOLONG:
                return _explain_long_path(cause)
            if "No usable temporary directory" in str(cause):
                return "no temporary folder is writable: set TMPDIR to a folder that is, and has free space"
        if isinstance(cause, RuntimeError) and "can't start new thread" in str(cause):
            return _explain_processes()
        if isinstance(cause, ImportError | RuntimeError) and _is_about_memory(str(cause)):
            return _explain_memory()
    return None


def explain_semaphores(error: OSError) -> str:
    """Explain in one line, with the remedy, why the semaphores of worker processes cannot be created."""
    message = f"the semaphores of worker processes cannot be created ({error.strerror or error})"
    if sys.platform != "linux":  # other systems keep semaphores in no folder
        return f"{message}; free some"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):  # no space is left, or the user's quota is used up
        remedy = "remove files there, or enlarge it (docker run --shm-size=1g)"
    else:
        remedy = "it has to be a writable tmpfs; in a container, mount one there"
    return f"{_SEMAPHORE_FOLDER}: {message}; {remedy}"


def is_temporary_folder_usable() -> bool:
    """Return whether there is a writable temporary folder: $TMPDIR, or one of the system's."""
    try:
        return os.access(tempfile.gettempdir(), os.W_OK)
    except FileNotFoundError:  # Python found none that it could write to
        return False


def _walk_causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, the error that caused it, and so on; stop at an error that was yielded before."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or cause.__context__


def _is_about_memory(text: str) -> bool:
    """Return whether a message says that memory is lacking."""
    return any(phrase in text.lower() for phrase in _MEMORY_PHRASES)


def _explain_memory() -> str:
    """Explain a lack of memory: by the limit of this process's address space, or else by the machine's memory."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return "out of memory: free some, or use fewer executor.workers or a smaller training.batch_size"
    return (
        f"out of memory: a process may use {limit / 2**20:.0f} MiB (ulimit -v); usaggr needs at least "
        f"{_MIN_MEMORY_MIB} MiB, and more for CUDA or large networks: raise the limit"
    )


def _explain_long_path(error: OSError) -> str:
    """Explain that a path, or a name in it, is longer than the file system allows."""
    path = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else ""
    shown = path if len(path) <= _MAX_SHOWN else f"{path[:_MAX_SHOWN]}..."
    return (
        f"{shown or 'a path'}: too long for the file system, which usually allows 255 bytes for a name and 4096 for a "
        "path; give a shorter one"
    )


def _explain_processes() -> str:
    """Explain that no further process or thread can be started; the system's error does not say which limit it was."""
    return (
        f"no further process or thread can be started: {_read_limit('RLIMIT_NPROC')} (ulimit -u), and a container or "
        "a batch job may allow fewer (pids.max); raise the limit, or use fewer executor.workers"
    )


def _read_limit(name: str) -> str:
    """Return a phrase with one of this process's limits, such as `RLIMIT_NOFILE`."""
    limit = resource.getrlimit(getattr(resource, name))[0]
    return "this process has no limit of its own" if limit == resource.RLIM_INFINITY else f"the limit is {limit}"
