"""Whether what is stored of a run is what was written: versions of files, and checksums in result.json.

A result holds the SHA-256 of its own content, and of the predictions that it speaks of; results of tools that wrote
none are taken as they are.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from usaggr.errors import RunError

SCHEMA_VERSION = 1
"""Of everything under outputs/: a tool refuses what a newer one wrote."""

WEIGHTS = Path("weights", "scored.safetensors")
"""In a run's folder, where its weights are kept."""

REPEAT = "the same `usaggr sweep` trains the run again"
REMOVE = "remove the run, and the same `usaggr sweep` trains it again"
_OWN, _PREDICTIONS = "sha256", "predictions"
"""Keys of result.json."""


class DamagedError(RunError):
    """A stored result is not what was written; a sweep trains its run again."""


def refuse_newer(path: Path, version: object) -> None:
    """Take no file of outputs/ for what it is not.

    Raises:
        RunError: its `schema_version` is newer than this tool's, or no number.
    """
    if not isinstance(version, int):
        raise RunError(f"{path}: schema_version is {version!r}, not a whole number; put the file back as it was")
    if version > SCHEMA_VERSION:
        raise RunError(f"{path}: schema_version {version} is newer than this tool's {SCHEMA_VERSION}; update usaggr")


def seal(content: dict[str, Any], predictions: Path) -> dict[str, Any]:
    """The content of a result.json with the checksums of the predictions, if there are any, and of itself."""
    if predictions.is_file():
        written = {"bytes": predictions.stat().st_size, "sha256": _of_file(predictions)}
        content = {**content, _PREDICTIONS: written}
    return {**content, _OWN: _of_content(content)}


def unseal(path: Path, content: dict[str, Any]) -> dict[str, Any]:
    """The content without checksums.

    Raises:
        DamagedError: it is not what was written.
    """
    kept = {name: value for name, value in content.items() if name != _OWN}
    if _OWN in content and content[_OWN] != _of_content(kept):
        raise DamagedError(f"{path}: is not what was written (its SHA-256 is another one); {REPEAT}")
    return {name: value for name, value in kept.items() if name != _PREDICTIONS}


def check_predictions(result: Path, predictions: Path, whole: bool = True) -> None:
    """Compare predictions that are there with what their result says of them: by size alone, or as a `whole`.

    Raises:
        RunError: they are not what was written; DamagedError, where their size tells.
    """
    try:
        written = json.loads(result.read_text()).get(_PREDICTIONS)
        if not isinstance(written, dict) or not predictions.is_file():
            return
        if predictions.stat().st_size != written["bytes"]:
            raise DamagedError(f"{predictions}: is not what was written (its size is another one); {REPEAT}")
        if whole and _of_file(predictions) != written["sha256"]:
            raise RunError(f"{predictions}: is not what was written (its SHA-256 is another one); {REMOVE}")
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise RunError(f"{predictions}: cannot be read ({error}); {REMOVE}") from error


def _of_content(content: dict[str, Any]) -> str:
    """Of the values, however they are laid out in the file."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
