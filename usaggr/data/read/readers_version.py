"""Formats and version of the image readers, which are part of the key of every cache of read files.

This module imports no numpy, because `plan` and `status` use it.
"""

from importlib.metadata import version

FORMATS: dict[str, tuple[str, ...]] = {
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg"),
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
"""Version of the readers. Raise it if the same file gives other pixels, other values or an error that it did not give.

It is part of the key of every cache of read files, and tests/data/read/test_readers_version.py fails if readers change
without a new version. A new format needs no new version, because `readers_identity` contains the formats."""


def readers_identity() -> str:
    """Return a text that changes if other files may be refused: version, formats, and version of the decoder."""
    return f"{READERS_VERSION} {','.join(FORMATS)} Pillow {version('pillow')}"


def store_name(name: str) -> str:
    """Return the file name of a cache of read files; caches of the first version of the readers have no suffix."""
    return name if READERS_VERSION == 1 else f"{name}-readers{READERS_VERSION}"
