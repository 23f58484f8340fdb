"""Standard streams of the command line, which a service, a pipe or an old locale may leave closed or limited."""

import os
import sys
from contextlib import suppress
from io import TextIOWrapper

_ENCODING = "PYTHONIOENCODING"


def use_utf8() -> None:
    """Start the same command again in Python's UTF-8 mode if the locale has another encoding, such as ISO-8859-1.

    File names and the study's text are UTF-8 whatever the locale. The terminal keeps the encoding of the locale.
    """
    encoding = sys.getfilesystemencoding()
    if sys.flags.utf8_mode or encoding.lower().replace("-", "") == "utf8" or not sys.orig_argv:
        return
    terminal = getattr(sys.stdout, "encoding", None) or encoding
    environment = {_ENCODING: f"{terminal}:backslashreplace", **os.environ, "PYTHONUTF8": "1"}
    # The argument, because a Python that ignores its environment (-I) would start again without end.
    os.execve(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]], environment)


def prepare_streams() -> None:
    """Make all three streams usable.

    A closed stream is opened on the null device. Otherwise the next file that is opened would get its number, and what
    a library prints would be written into that file. Letters that the encoding of a stream does not have are written as
    escapes.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            if null != descriptor:
                os.dup2(null, descriptor)
                os.close(null)
            os.set_inheritable(descriptor, True)
    sys.stdin = sys.stdin or _open_null("r")
    sys.stdout = sys.stdout or _open_null("w")
    sys.stderr = sys.stderr or _open_null("w")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            with suppress(OSError, ValueError):
                stream.reconfigure(errors="backslashreplace")


def _open_null(mode: str) -> TextIOWrapper:
    return open(os.devnull, mode, encoding="utf-8")  # type: ignore[return-value]  # noqa: PTH123
