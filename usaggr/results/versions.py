"""Versions of files that are replaced, or read by their head alone: what a newer version of the tool wrote is refused.

study.yaml says its version in the first line, which is a comment, so that the file can be composed as a study again;
plan.csv in its last column; data.json and run.yaml under the key schema_version. Files of tools that wrote none are of
version 1.
"""

import re
from pathlib import Path

from usaggr.results.integrity import SCHEMA_VERSION, check_version

STUDY_HEAD = f"# schema_version: {SCHEMA_VERSION}\n"
"""First line of study.yaml."""
_HEAD = 1024
"""Characters of a file that are looked at."""
_VERSION = re.compile(r"^(?:# )?schema_version:[ \t]*(.*?)[ \t]*$", re.MULTILINE)


def check_yaml(path: Path) -> None:
    """Refuse a study.yaml or run.yaml of another version, by its head alone.

    Raises:
        RunError: another version of the tool wrote it.
    """
    try:
        with path.open() as file:
            found = _VERSION.search(file.read(_HEAD))
    except (OSError, UnicodeDecodeError):
        return
    if found is not None:
        check_version(path, as_version(found.group(1).strip("'\"")))


def as_version(text: str) -> int | str:
    """Return a version as the number that it is, or as the text that it should not be."""
    return int(text) if re.fullmatch(r"-?[0-9]+", text) else text
