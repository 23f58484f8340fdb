"""What a finished run's folder says of its model: network, tasks, input, weights. No torch here."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, TypeAdapter, ValidationError

from usaggr.config_model import MhMtlConfig, ModelConfig
from usaggr.config_section import neutral_values
from usaggr.errors import RunError
from usaggr.file_hash import SUFFIX, file_hash, is_as_noted
from usaggr.report.sources import Source, read_source
from usaggr.runs import RunDirectory, RunResult
from usaggr.stored import SCHEMA_VERSION, WEIGHTS
from usaggr.tasks import Task

_MODEL: TypeAdapter[ModelConfig] = TypeAdapter(Annotated[ModelConfig, Field(discriminator="name")])
_NEUTRAL = {"mh_mtl": neutral_values(MhMtlConfig, "")}
"""By network: what keys are where a run says nothing of them."""


@dataclass(frozen=True)
class StoredRun:
    """A finished run whose weights were kept."""

    path: Path
    run_id: str
    fingerprint: str
    tasks: dict[str, Task]
    """By id, sorted."""
    scale: float | int
    seed: int
    variant: str
    model: ModelConfig
    """As it was trained; its pretrained weights are not needed any more."""
    size: tuple[int, int]
    """Height and width of the network's input, pixels."""
    channels: int
    """1 or 3: in which images are read."""
    max_pixels: int
    """Larger images are refused unread."""
    weights: Path
    weights_hash: str
    """SHA-256 of the file."""
    result: RunResult
    source: Source
    """The study that it is of."""
    packages: dict[str, str]
    """With what it was trained: name and version."""


def has_weights(run: Path) -> bool:
    """Whether a run's folder holds its scored weights."""
    return (run / WEIGHTS).is_file()


def no_weights(runs: list[Path]) -> RunError:
    """The error of runs that were trained without keeping their weights."""
    names = ", ".join(run.name for run in runs[:3]) + (f" and {len(runs) - 3} more" if len(runs) > 3 else "")
    return RunError(
        f"{names}: no {WEIGHTS}, since training.keep_weights was none; remove the folder{'s' * (len(runs) > 1)} in "
        "runs/ and sweep again with training.keep_weights=scored (a finished run is not trained again)"
    )


def read_stored_run(run: Path) -> StoredRun:
    """Read a run's folder, which lies in the folder of its study.

    Raises:
        RunError: no folder of a finished run; its weights were not kept, or have changed; or its files are of another
            version of the tool.
    """
    path = Path(run).expanduser()
    if not (path / "run.yaml").is_file():
        raise RunError(f"{path}: no run.yaml in it; give the folder of a run, such as outputs/demo/runs/NAME")
    path = path.resolve()
    directory = RunDirectory(path)
    if directory.state() != "done":
        raise RunError(f"{path}: the run is {directory.state()}, not done; `usaggr sweep` trains it to its end")
    if not has_weights(path):
        raise no_weights([path])
    source = read_source(path.parents[1])
    content = _read_yaml(path / "run.yaml")
    try:
        data, model = content["settings"]["data"], content["settings"]["model"]
        size = data["image_size"]
        height, width = (size, size) if isinstance(size, int) else size
        facts = source.data.tasks
        return StoredRun(
            path=path,
            run_id=str(content["run_id"]),
            fingerprint=str(content["fingerprint"]),
            tasks={task_id: facts[task_id].task for task_id in content["tasks"]},
            scale=content["scale"],
            seed=int(content["seed"]),
            variant=str(content["variant"]),
            model=_MODEL.validate_python(_NEUTRAL.get(model["name"], {}) | model),
            size=(int(height), int(width)),
            channels=int(data["channels"]),
            max_pixels=int(source.study.setting("data.max_pixels")),
            weights=path / WEIGHTS,
            weights_hash=_checked_hash(path / WEIGHTS),
            result=directory.result(),
            source=source,
            packages=dict(content.get("packages") or {}),
        )
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RunError(
            f"{path / 'run.yaml'}: the network is not one of this version of usaggr (model.{where}: {first['msg']})"
        ) from error
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{path / 'run.yaml'}: cannot be read ({type(error).__name__}: {error})") from error


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.load(path.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        version = content["schema_version"]
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        raise RunError(f"{path}: cannot be read ({' '.join(str(error).split())})") from error
    if version > SCHEMA_VERSION:
        raise RunError(f"{path}: schema_version {version} is newer than this tool's {SCHEMA_VERSION}; update usaggr")
    return dict(content)


def _checked_hash(weights: Path) -> str:
    """SHA-256 of the weights, which is the one that was written beside them, where there is one."""
    try:
        found = file_hash(weights)
        if not is_as_noted(weights, found):
            noted = weights.with_suffix(SUFFIX).name
            raise RunError(f"{weights}: has changed since it was written (its SHA-256 is not that of {noted})")
    except OSError as error:
        raise RunError(f"{weights}: cannot be read ({error.strerror or error})") from error
    return found
