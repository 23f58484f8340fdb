"""A folder of decoys: a module for each top-level name that a run could import, which records that it was executed."""

import sys
from importlib.metadata import packages_distributions
from pathlib import Path

MARKER = "executed.txt"
DECOY = """import os as _os
with open({marker!r}, "a", encoding="utf-8") as _file:
    _file.write("{name} in process " + str(_os.getpid()) + "\\n")
raise ImportError("a decoy was imported: {name}")
"""


def write_decoys(folder: Path, as_packages: bool = False, without: tuple[str, ...] = ()) -> Path:
    """Write the decoys into a new folder, and return the file that they write when they are executed.

    Args:
        folder: The new folder, which becomes the current one of a process.
        as_packages: Each decoy is a folder with `__init__.py`, not a file.
        without: Names that get no decoy.
    """
    folder.mkdir(parents=True)
    installed = {name for name in packages_distributions() if name.isidentifier()}
    for name in sorted(({*sys.stdlib_module_names, *installed}) - {"tests", *without}):
        text = DECOY.format(marker=str(folder / MARKER), name=name)
        path = folder / name / "__init__.py" if as_packages else folder / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder / MARKER


def read_executed(marker: Path) -> list[str]:
    """Return a line for each decoy that was executed."""
    return marker.read_text(encoding="utf-8").splitlines() if marker.exists() else []
