"""Which version of the tool has written a study's files: what a newer one wrote is refused, and nothing of it replaced.

study.yaml says it in its first line, which is a comment, so that the file can be composed as a study again; plan.csv in
its last column; data.json and run.yaml under the key schema_version. Files of tools that wrote none are of version 1.
"""

import csv
import re
from pathlib import Path

from usaggr.stored import SCHEMA_VERSION, refuse_newer

STUDY_HEAD = f"# schema_version: {SCHEMA_VERSION}\n"
"""First line of study.yaml."""
COLUMN = "schema_version"
"""Of plan.csv."""
_HEAD = 1024
"""Characters of a file that are looked at."""
_VERSION = re.compile(r"^(?:# )?schema_version: (\d+)\s*$", re.MULTILINE)


def check_versions(directory: Path) -> None:
    """Look at the files of a study that a sweep would replace; those that are not there, or not readable, are passed.

    Raises:
        RunError: a newer version of the tool wrote study.yaml or plan.csv.
    """
    check_yaml(directory / "study.yaml")
    path = directory / "plan.csv"
    try:
        with path.open(newline="") as file:
            row = next(csv.DictReader(file), {})
    except (OSError, UnicodeDecodeError, csv.Error):
        return
    check_row(path, row)


def check_yaml(path: Path) -> None:
    """Refuse a study.yaml or run.yaml of a newer version, by its head alone.

    Raises:
        RunError: a newer version of the tool wrote it.
    """
    try:
        with path.open() as file:
            found = _VERSION.search(file.read(_HEAD))
    except (OSError, UnicodeDecodeError):
        return
    if found is not None:
        refuse_newer(path, int(found.group(1)))


def check_row(path: Path, row: dict[str, str]) -> None:
    """Refuse a plan.csv of a newer version, by any of its rows.

    Raises:
        RunError: a newer version of the tool wrote it.
    """
    said = row.get(COLUMN) or "1"
    refuse_newer(path, int(said) if said.isdecimal() else said)
