"""The model of a finished run: network, tasks, input and weights, read from the run's folder without torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from usaggr.config.model import MhMtlConfig, ModelConfig
from usaggr.config.section import list_neutral_values
from usaggr.errors import RunError
from usaggr.io.checksums import SUFFIX, has_valid_checksum, hash_file
from usaggr.io.home import expand_home
from usaggr.results import contract
from usaggr.results.contract import WEIGHTS
from usaggr.results.run_directory import RunDirectory
from usaggr.results.run_result import RunResult
from usaggr.results.run_settings import StoredSpec, read_run_settings
from usaggr.results.stored_study import Source, read_source
from usaggr.tasks import Task

_MODEL: TypeAdapter[ModelConfig] = TypeAdapter(Annotated[ModelConfig, Field(discriminator="name")])
_NEUTRAL = {"mh_mtl": list_neutral_values(MhMtlConfig, "")}
"""Values of keys that older runs do not have, by network."""
_REMEDY = "restore the file, or remove the run and sweep again"


@dataclass(frozen=True)
class StoredRun:
    """A finished run whose weights were kept."""

    path: Path
    run_id: str
    fingerprint: str
    tasks: dict[str, Task]
    """Tasks by id, sorted."""
    scale: float | int
    seed: int
    variant: str
    model: ModelConfig
    """Network as it was trained; its pretrained weights are no longer needed."""
    size: tuple[int, int]
    """Height and width of the network's input in pixels."""
    channels: int
    """Number of channels of images, 1 or 3."""
    max_pixels: int
    """Largest number of pixels of an image; larger ones are not read."""
    weights: Path
    weights_hash: str
    """SHA-256 of the file."""
    result: RunResult
    source: Source
    """Study of the run."""
    packages: dict[str, str]
    """Versions of the packages with which it was trained, by name."""


def has_weights(run: Path) -> bool:
    """Return whether a run's folder contains its scored weights."""
    return (run / WEIGHTS).is_file()


def explain_missing_weights(runs: list[Path]) -> RunError:
    """Return the error about runs that were trained without keeping their weights."""
    names = ", ".join(run.name for run in runs[:3]) + (f" and {len(runs) - 3} more" if len(runs) > 3 else "")
    return RunError(
        f"{names}: no {WEIGHTS}, since training.keep_weights kept none; the same `usaggr sweep` with "
        "training.keep_weights=scored and --weights trains finished runs again for their weights"
    )


def read_stored_run(run: Path) -> StoredRun:
    """Read a run's folder, which must be in the folder of its study.

    Raises:
        RunError: it is no folder of a finished run, its weights were not kept or have changed, or another version of
            usaggr wrote it.
    """
    path = expand_home(run, "run")
    if not (path / contract.RUN_SETTINGS).is_file():
        raise RunError(f"{path}: no run.yaml in it; give the folder of a run, such as outputs/demo/runs/NAME")
    # Resolved, because the folder of the study is two levels above the run's.
    path = path.resolve()
    directory = RunDirectory(path)
    if directory.read_state() != "done":
        raise RunError(f"{path}: the run is {directory.read_state()}, not done; `usaggr sweep` trains it to its end")
    if not has_weights(path):
        raise explain_missing_weights([path])
    source = read_source(path.parents[1])
    stored, scale = read_run_settings(path, _REMEDY)
    data = stored.settings.data
    return StoredRun(
        path=path,
        run_id=stored.run_id,
        fingerprint=stored.fingerprint,
        tasks=_find_tasks(path, stored, source),
        scale=scale,
        seed=stored.seed,
        variant=stored.variant,
        model=_parse_model(path, stored.settings.model),
        size=_parse_size(path, data.image_size),
        channels=data.channels,
        max_pixels=_get_max_pixels(source),
        weights=path / WEIGHTS,
        weights_hash=_verify_hash(path / WEIGHTS),
        result=directory.read_result(),
        source=source,
        packages=stored.packages or {},
    )


def _find_tasks(run: Path, stored: StoredSpec, source: Source) -> dict[str, Task]:
    """Return the tasks of a run by id.

    Args:
        run: folder of the run.
        stored: specification of the run.
        source: study of the run.

    Raises:
        RunError: the study's data do not have one of the tasks.
    """
    facts = source.data.tasks
    if unknown := [task_id for task_id in stored.tasks if task_id not in facts]:
        raise RunError(
            f"{run / contract.RUN_SETTINGS}: tasks that are not in data.json: {', '.join(unknown)}; {_REMEDY}"
        )
    return {task_id: facts[task_id].task for task_id in stored.tasks}


def _parse_model(run: Path, content: dict[str, Any]) -> ModelConfig:
    name = content.get("name")
    neutral = _NEUTRAL.get(name, {}) if isinstance(name, str) else {}
    try:
        # A key that an older run lacks gets the value that leaves its network as it was.
        return _MODEL.validate_python(neutral | content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(step) for step in first["loc"])
        raise RunError(
            f"{run / contract.RUN_SETTINGS}: the network is not one of this version of usaggr "
            f"(model.{key}: {first['msg']})"
        ) from error


def _parse_size(run: Path, size: Any) -> tuple[int, int]:
    """Return height and width."""
    sides = [size, size] if isinstance(size, int) else size
    # `type`, because `isinstance` would accept True as 1 pixel.
    if not isinstance(sides, list) or len(sides) != 2 or any(type(side) is not int or side < 1 for side in sides):
        raise RunError(
            f"{run / contract.RUN_SETTINGS}: settings.data.image_size is {size!r}, not a whole number of "
            f"pixels, or height and width; {_REMEDY}"
        )
    return sides[0], sides[1]


def _get_max_pixels(source: Source) -> int:
    max_pixels = source.study.get_setting("data.max_pixels")
    if max_pixels is None:
        raise RunError(
            f"{source.directory / contract.STUDY}: no data.max_pixels; `usaggr sweep` of the same study writes it again"
        )
    return int(max_pixels)


def _verify_hash(weights: Path) -> str:
    """Return the SHA-256 of the weights, after comparing it with their checksum file, if there is one.

    Raises:
        RunError: the weights have changed or cannot be read.
    """
    try:
        digest = hash_file(weights)
        if not has_valid_checksum(weights, digest):
            checksum = weights.with_suffix(SUFFIX).name
            raise RunError(
                f"{weights}: has changed since it was written (its SHA-256 differs from {checksum}); {_REMEDY}"
            )
    except OSError as error:
        raise RunError(f"{weights}: cannot be read ({error.strerror or error})") from error
    return digest
