"""run.yaml: the resolved specification of a run, with the versions and the machine it was run on.

The file can be long, because it lists every training sample. The fingerprint is therefore in its first lines, the
settings are above the list, and the packages and the machine below it. Each reader reads only the lines it needs.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from usaggr.io.atomic_files import write_atomic
from usaggr.results import contract
from usaggr.results.integrity import SCHEMA_VERSION, read_yaml, typed
from usaggr.results.spec import RunSpec

_HEAD = 1024
"""Number of bytes at the start that contain the fingerprint."""
_TAIL = 8192
"""Number of bytes at the end that contain the packages and the machine."""
# YAML quotes a fingerprint that consists of digits only.
_FINGERPRINT = re.compile(rb"^fingerprint: ['\"]?([0-9a-f]{64})['\"]?\s*$", re.MULTILINE)
_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


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
    content = {**head, **_plain(asdict(spec)), **provenance}
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
    content = read_yaml(path, remedy)
    return typed(path, content, StoredSpec, remedy), content["scale"]


def stored_fingerprint(run: Path) -> str | None:
    """Return the full fingerprint in a run's folder; None if there is none that can be read."""
    try:
        # Plain system calls: a study of ten thousand runs reads this many files at each start.
        descriptor = os.open(run / contract.RUN_SETTINGS, os.O_RDONLY | os.O_CLOEXEC)
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
        with (run / contract.RUN_SETTINGS).open(encoding="utf-8") as file:
            content = yaml.safe_load("".join(_before_samples(file)))
        model = content["settings"]["model"]
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        return {}
    return model if isinstance(model, dict) else {}


def read_provenance(run: Path) -> dict[str, str]:
    """Return packages, Python, platform, device and commit of a run; empty if they cannot be read."""
    path = run / contract.RUN_SETTINGS
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL))
            # The tail may start within a character of several bytes.
            tail = file.read().decode("utf-8", "replace")
        start = tail.index("\npackages:")
        content: Any = yaml.safe_load(tail[start:])
        packages = content["packages"]
        versions = {str(name): str(version) for name, version in packages.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError):
        return {}
    for name in ("python", "platform", "device", "git_commit"):
        if content.get(name) is not None:
            versions[name.replace("git_commit", "commit of usaggr")] = str(content[name])
    return versions


def _before_samples(lines: Iterator[str]) -> Iterator[str]:
    """Yield the lines above the long list of training samples."""
    for line in lines:
        if line.startswith("train_samples:"):
            return
        yield line


def _plain(value: Any) -> Any:
    """Return a value with lists for tuples, so that YAML needs no tags."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
