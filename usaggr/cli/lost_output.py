"""Output of a command that nobody reads any longer: the command finishes its work without it.

The reader of a pipe ends (`| head -1`), a terminal is closed, or the disk of a log is full.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast

from usaggr.io.atomic_files import is_disk_full
from usaggr.io.terminal_text import EscapingStream


class _LossyStream:
    """A text stream that drops what it cannot write; everything else is left to the stream that it wraps."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write a text, or drop it if that is impossible."""
        try:
            self._stream.write(text)
        except OSError as error:
            self._drop(error)
        return len(text)

    def flush(self) -> None:
        """Write what is buffered, or drop it if that is impossible."""
        try:
            self._stream.flush()
        except OSError as error:
            self._drop(error)

    def end(self) -> None:
        """Write what is buffered, or drop it, so that Python does not fail to write it at the end of the process."""
        try:
            self._stream.flush()
        except OSError:
            self._discard_all()

    def _drop(self, error: OSError) -> None:
        if not is_disk_full(error):  # a full disk may have space again later
            self._discard_all()

    def _discard_all(self) -> None:
        """Send the output of this process to nowhere, also what is buffered."""
        with suppress(OSError, ValueError):  # a stream of a notebook or a test has no file
            descriptor = os.open(os.devnull, os.O_WRONLY)
            try:
                os.dup2(descriptor, self._stream.fileno())
            finally:
                os.close(descriptor)
            self._stream.flush()


@contextmanager
def keep_working_without_output() -> Iterator[None]:
    """Drop the output to standard output and standard error within the context if it cannot be written."""
    previous = sys.stdout, sys.stderr
    # The escaping streams of the command line stay outside, because rich writes to the stream within them.
    escapes = [isinstance(stream, EscapingStream) for stream in previous]
    inner = [getattr(stream, "rich_proxied_file", stream) for stream in previous]
    streams = [_LossyStream(stream) if stream is not None else None for stream in inner]
    sys.stdout, sys.stderr = (
        cast(TextIO, EscapingStream(cast(TextIO, stream)) if is_escaped else stream)
        for stream, is_escaped in zip(streams, escapes, strict=True)
    )
    try:
        yield
    finally:
        sys.stdout, sys.stderr = previous
        for stream in streams:
            if stream is not None:
                stream.end()
