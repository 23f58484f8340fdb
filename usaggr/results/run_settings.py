"""run.yaml: the resolved specification of a run, with the versions and the machine it was run on.

The file can be long, because it lists every training sample. The fingerprint is therefore in its first lines, the
settings are above the list, and the packages and the machine below it. Each reader reads only the lines it needs.
"""

import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from usaggr.io.atomic_files import write_atomic
from usaggr.io.bounded_content import parse_yaml
from usaggr.io.bounded_files import MEBIBYTE, UnusableContentError, format_limit, open_regular
from usaggr.results import contract
from usaggr.results.integrity import SCHEMA_VERSION, parse_content, parse_stored_yaml, read_stored_text
from usaggr.results.spec import RunSpec

_HEAD = 1024
"""Number of bytes at the start that contain the fingerprint."""
_TAIL = 8192
"""Number of bytes at the end that contain the packages and the machine."""
_MAX_BYTES = 1024 * MEBIBYTE
"""Largest run.yaml that is read, with its list of training samples."""
_MAX_HEAD = 4 * MEBIBYTE
"""Largest part of run.yaml above that list."""
# YAML quotes a fingerprint that consists of digits only.
_FINGERPRINT = re.compile(rb"^fingerprint: ['\"]?([0-9a-f]{64})['\"]?\s*$", re.MULTILINE)
_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


@dataclass(frozen=True)
class RunCell:
    """Place of a run in its study, without its settings."""

    tasks: tuple[str, ...]
    """Sorted ids."""
    scale: float
    seed: int
    variant: str


@dataclass(frozen=True)
class StoredInput:
    """Keys of `settings.data` that are read."""

    image_size: Any
    """Side in pixels, or height and width."""
    channels: int


@dataclass(frozen=True)
class StoredSettings:
    """Keys of `settings` that are read."""

    data: StoredInput
    model: dict[str, Any]


@dataclass(frozen=True)
class StoredSpec:
    """Keys of run.yaml that are read."""

    run_id: str
    fingerprint: str
    tasks: tuple[str, ...]
    scale: float
    seed: int
    variant: str
    settings: StoredSettings
    packages: dict[str, str] | None = None


def write_run_settings(run: Path, spec: RunSpec, **provenance: Any) -> None:
    """Write a run's specification, versions and machine to its folder.

    Args:
        run: folder of the run.
        spec: specification of the run.
        **provenance: versions and machine.
    """
    # These keys come first, so that the fingerprint is within the first _HEAD bytes.
    head = {"schema_version": SCHEMA_VERSION, "run_id": spec.run_id, "fingerprint": spec.fingerprint}
    content = {**head, **_convert_to_lists(asdict(spec)), **provenance}
    write_atomic(run / contract.RUN_SETTINGS, yaml.dump(content, Dumper=_DUMPER, sort_keys=False, width=120))


def read_run_settings(run: Path, remedy: str) -> tuple[StoredSpec, float | int]:
    """Return the specification in a run's folder, and its scale as written: a cap of samples is an integer.

    Args:
        run: the folder.
        remedy: advice about a damaged file, for the message.

    Raises:
        RunError: the file is missing or damaged, or another version of usaggr wrote it.
    """
    path = run / contract.RUN_SETTINGS
    text = read_stored_text(path, remedy, max_bytes=_MAX_BYTES)
    content = parse_stored_yaml(path, _remove_samples(text), remedy)
    return parse_content(path, content, StoredSpec, remedy), content["scale"]


def read_fingerprint(run: Path) -> str | None:
    """Return the full fingerprint in a run's folder; None if there is none that can be read."""
    try:
        # Plain system calls: a study of ten thousand runs reads this many files at each start.
        # O_NONBLOCK: a pipe of this name must not block the reader.
        descriptor = os.open(run / contract.RUN_SETTINGS, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        match = _FINGERPRINT.search(os.read(descriptor, _HEAD))
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return match.group(1).decode() if match else None


def read_model(run: Path) -> dict[str, Any]:
    """Return the settings of a run's network, with the variant's overrides; empty if they cannot be read."""
    try:
        content = parse_yaml(_read_before_samples(run))
        model = content["settings"]["model"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return model if isinstance(model, dict) else {}


def read_provenance(run: Path) -> dict[str, str]:
    """Return packages, Python, platform, device and commit of a run; empty if they cannot be read."""
    path = run / contract.RUN_SETTINGS
    try:
        with open_regular(path) as file:
            file.seek(max(0, path.stat().st_size - _TAIL))
            # The tail may start within a character of several bytes.
            tail = file.read(_TAIL).decode("utf-8", "replace")
        start = tail.index("\npackages:")
        content: Any = parse_yaml(tail[start:])
        packages = content["packages"]
        versions = {str(name): str(version) for name, version in packages.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    for name in ("python", "platform", "device", "git_commit"):
        if content.get(name) is not None:
            versions[name.replace("git_commit", "commit of usaggr")] = str(content[name])
    return versions


def read_cell(run: Path) -> RunCell | None:
    """Return the tasks, scale, seed and variant in a run's folder; None if they cannot be read."""
    try:
        content = parse_yaml(_read_before_samples(run))
        tasks, scale, seed, variant = (content[name] for name in ("tasks", "scale", "seed", "variant"))
        return RunCell(tuple(sorted(tasks)), float(scale), int(seed), str(variant))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _read_before_samples(run: Path) -> str:
    """Return the lines of run.yaml above the long list of training samples.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no regular file, is not UTF-8, or has no such list within its first bytes.
    """
    lines = []
    with open_regular(run / contract.RUN_SETTINGS) as file:
        remaining = _MAX_HEAD
        while (line := file.readline(remaining)) and not line.startswith(b"train_samples:"):
            lines.append(line)
            remaining -= len(line)
            if remaining <= 0:
                raise UnusableContentError(f"the settings are larger than {format_limit(_MAX_HEAD)}")
    return b"".join(lines).decode("utf-8")


def _remove_samples(text: str) -> str:
    """Return the text of a run.yaml without the list of training samples, which is most of it and has no reader."""
    head, separator, tail = text.partition("\ntrain_samples:")
    if not separator:
        return text
    # The list ends before the next line that is not indented.
    end = re.search(r"\n(?=[^\s-])", tail)
    return f"{head}{tail[end.start() :] if end is not None else ''}"


def _convert_to_lists(value: Any) -> Any:
    """Return a value with lists for tuples, so that YAML needs no tags."""
    if isinstance(value, dict):
        return {name: _convert_to_lists(item) for name, item in value.items()}
    return [_convert_to_lists(item) for item in value] if isinstance(value, list | tuple) else value
