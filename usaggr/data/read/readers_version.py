"""Formats and version of the image readers; every cache of decoded files has them in its key.

This module does not import numpy, so that the commands `plan` and `status` start fast.
"""

from importlib.metadata import version

from usaggr.data.read.file_kinds import KINDS_VERSION

FORMATS: dict[str, tuple[str, ...]] = {
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg", ".jfif", ".jpe"),
    "BMP": (".bmp",),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
}
"""Suffixes of each supported format, in lower case, by Pillow's name of the format.

Other formats, such as EPS (for which Pillow starts an interpreter), are refused. The content of a file determines its
format; suffixes only select the image files of a folder.
"""
SUFFIXES = tuple(suffix for suffixes in FORMATS.values() for suffix in suffixes)
"""Suffixes of all image files, in lower case."""
READERS_VERSION = 1
"""Version of the readers. Raise it if the same file gives other pixels, other mask values or a new error.

It is part of the key of every cache of decoded files; tests/data/read/test_readers_version.py fails if readers change
without a new version. A new format needs no new version, because `describe_readers` contains the formats. If only files
of some kinds are read otherwise, raise KINDS_VERSION instead, so that all other files keep their caches; see
`ImageReading.describe_change` and `FileKind.is_plain`."""


def describe_readers() -> str:
    """Return a text that changes if the readers may refuse other files: their version, formats and Pillow's version."""
    return f"{READERS_VERSION}.{KINDS_VERSION} {','.join(FORMATS)} Pillow {version('pillow')}"


def add_readers_version(name: str) -> str:
    """Return a cache's name with the readers' version; version 1 adds nothing, so that older caches stay valid."""
    return name if READERS_VERSION == 1 else f"{name}-readers{READERS_VERSION}"
