"""Reading of whole files with limits: regular files only, and never more bytes than allowed.

Files of results and studies may come from strangers or from broken disks. A pipe would block the reader forever, and a
link to /dev/zero would fill the memory.
"""

import os
import stat
from pathlib import Path
from typing import BinaryIO

MEBIBYTE = 2**20
MAX_BYTES = 64 * MEBIBYTE
"""Default limit of a file: about a thousand times the size of an ordinary study.yaml or data.json."""
_KINDS = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISDIR, "a folder"),
)


class UnusableContentError(ValueError):
    """Error about a file whose kind, size or content is beyond what is read; the message does not name the file."""


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file, or a link to one, for reading; never wait, as the opening of a pipe would.

    Raises:
        OSError: The file cannot be opened.
        UnusableContentError: It is no regular file, or its path is not valid.
    """
    if "\0" in str(path):
        raise UnusableContentError("its path contains a NUL character")
    # Before the file is opened, because opening a device can have an effect, such as rewinding a tape.
    _require_regular(path.stat().st_mode)
    # O_NONBLOCK: a pipe that has taken the file's place meanwhile is opened without a writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        _require_regular(os.fstat(descriptor).st_mode)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_bounded(path: Path, max_bytes: int = MAX_BYTES) -> bytes:
    """Return the content of a regular file of at most `max_bytes`.

    Raises:
        OSError: The file cannot be read.
        UnusableContentError: It is no regular file, or is larger.
    """
    with open_regular(path) as file:
        # The size first: a sparse file of a terabyte is refused without reading it.
        content = file.read(max_bytes + 1) if os.fstat(file.fileno()).st_size <= max_bytes else None
    if content is None or len(content) > max_bytes:
        raise UnusableContentError(f"is larger than {format_limit(max_bytes)}, the most that is read")
    return content


def read_bounded_text(path: Path, max_bytes: int = MAX_BYTES) -> str:
    """Return the text of a regular UTF-8 file of at most `max_bytes`; every line ends in a single line feed.

    Raises:
        OSError: The file cannot be read.
        UnusableContentError: It is no regular file, or is larger.
        UnicodeDecodeError: It is not UTF-8.
    """
    return read_bounded(path, max_bytes).decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")


def format_limit(count: int) -> str:
    """Return a limit of bytes in MiB, or in bytes if it is smaller."""
    return f"{count // MEBIBYTE} MiB" if count >= MEBIBYTE else f"{count} bytes"


def _require_regular(mode: int) -> None:
    """Refuse every kind of file that is no regular file.

    Raises:
        UnusableContentError: It is another kind, which the message names.
    """
    if not stat.S_ISREG(mode):
        kind = next((name for is_kind, name in _KINDS if is_kind(mode)), "no file")
        raise UnusableContentError(f"is {kind}, not a regular file")
