"""Versions of stored files, read from their first lines alone; files of a newer version are refused.

study.yaml has its version in the first line. That line is a comment, so that the file can be composed as a study again.
plan.csv has it in its last column, data.json and run.yaml under the key schema_version. Files without a version are of
version 1.
"""

import re
from pathlib import Path

from usaggr.io.bounded_files import open_regular
from usaggr.results.integrity import SCHEMA_VERSION, check_version

STUDY_HEAD = f"# schema_version: {SCHEMA_VERSION}\n"
"""First line of study.yaml."""
_HEAD = 1024
"""Number of bytes that are read."""
_VERSION = re.compile(r"^(?:# )?schema_version:[ \t]*(.*?)[ \t]*$", re.MULTILINE)


def check_yaml(path: Path) -> None:
    """Refuse a study.yaml or run.yaml of another version, by its first lines alone.

    Raises:
        RunError: another version of usaggr wrote it.
    """
    try:
        with open_regular(path) as file:
            match = _VERSION.search(file.read(_HEAD).decode("utf-8", "replace"))
    # A file that cannot be read has no version here; whoever reads its content reports it.
    except (OSError, ValueError):
        return
    if match is not None:
        check_version(path, parse_version(match.group(1).strip("'\"")))


def parse_version(text: str) -> int | str:
    """Return a version as an integer, or unchanged if it is not one, for the error message."""
    return int(text) if re.fullmatch(r"-?[0-9]{1,9}", text) else text
