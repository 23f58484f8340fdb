"""Formats and version of the readers of image files: part of the key of every cache of what was read. No numpy."""

from importlib.metadata import version

FORMATS: dict[str, tuple[str, ...]] = {
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg"),
    "BMP": (".bmp",),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
}
"""Formats that are read, as Pillow names them: the suffixes of their files, in lower case.

Others (such as EPS, for which Pillow starts an interpreter) are no images here. The content of a file decides its
format; suffixes only tell which files of a folder are images.
"""
SUFFIXES = tuple(suffix for suffixes in FORMATS.values() for suffix in suffixes)
"""Suffixes of all image files, in lower case."""
READERS_VERSION = 1
"""Raised if the same file gives other pixels, values or a fault than before. It is part of the key of every cache of
what was read; tests/data/read/test_readers_version.py fails if readers change without it. Formats need no new version:
`readers_identity` has them."""


def readers_identity() -> str:
    """Return what decides which files are refused: these readers, their formats, and the library that decodes."""
    return f"{READERS_VERSION} {','.join(FORMATS)} Pillow {version('pillow')}"


def store_name(name: str) -> str:
    """Return the name of a cache of what was read; caches of the first version of the readers have no suffix."""
    return name if READERS_VERSION == 1 else f"{name}-readers{READERS_VERSION}"
