"""What a folder of results says about itself: its study, its data, its plan, read from study.yaml, data.json, plan.csv.

The study is not read through the schema of the configuration: results outlive it, and a report of last year's sweep
needs only the keys named here. Folders of versions without controls have no groupings.yaml.
"""

import csv
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from usaggr.errors import RunError
from usaggr.stored import refuse_newer
from usaggr.sweep.versions import check_row, check_yaml
from usaggr.tasks import Task

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError, csv.Error)


@dataclass(frozen=True)
class StagedFacts:
    """What a staged grouping's runs start from."""

    parent: str
    """The grouping whose models they start from."""
    share: float
    """The second stage is as long as what this part leaves of each task's stream."""
    budget: str
    """equal: both stages together are as long as one; extra: the first stage alone is."""
    overrides: tuple[str, ...] = ()
    """Of the second stage."""


@dataclass(frozen=True)
class StudyFacts:
    """What the study asked for."""

    name: str
    groupings: tuple[str, ...]
    """Those that are compared task by task; controls are apart."""
    reference: str
    scales: tuple[float | int, ...]
    seeds: tuple[int, ...]
    variants: dict[str, tuple[str, ...]]
    """Name: overrides."""
    confidence: float
    formats: tuple[str, ...]
    settings: dict[str, Any]
    """The whole study.yaml."""
    controls: dict[str, str] = field(default_factory=dict)
    """Grouping that was drawn by lot: the one whose block sizes it has."""
    staged: dict[str, StagedFacts] = field(default_factory=dict)
    """By grouping, of those whose runs start from others' weights."""

    @property
    def margin(self) -> float:
        """Of non-inferiority, for metrics whose best is 1."""
        return self._number("report.margin", 0.02)

    @property
    def relative_margin(self) -> float:
        """Of non-inferiority, as a part of the reference's mean, for metrics whose best is 0."""
        return self._number("report.relative_margin", 0.10)

    @property
    def convergence_margin(self) -> float:
        """By how much a run's skill may still rise in the last quarter of its validation curve."""
        return self._number("report.convergence_margin", 0.02)

    def _number(self, key: str, otherwise: float) -> float:
        """A setting that studies of older versions do not have."""
        value = self.setting(key)
        return otherwise if value is None else float(value)

    def setting(self, key: str) -> Any:
        """Value of a dotted key; None where the study has none."""
        value: Any = self.settings
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        return value


@dataclass(frozen=True)
class TaskFacts:
    """A task and how many samples it has in each fold."""

    task: Task
    n_train: int
    n_val: int
    n_test: int
    n_subjects: int
    """Test subjects."""


@dataclass(frozen=True)
class DataFacts:
    """What data.json keeps of the data set and its split."""

    root: str
    content_hash: str
    split_hash: str
    tasks: dict[str, TaskFacts]
    skipped: tuple[str, ...]
    """Rows of the index that were left out, each with the reason."""
    dropped: int
    """Samples that belong to no fold, because an official split cut their component."""
    warnings: tuple[str, ...]
    disjoint: dict[str, int]
    """Components, images and subjects, and how many of each stand in two folds."""


@dataclass(frozen=True)
class PlanRow:
    """A run that the study asks for."""

    run_id: str
    block: str
    groupings: tuple[str, ...]
    tasks: tuple[str, ...]
    scale: float | int
    seed: int
    variant: str
    fingerprint: str
    parent: str = ""
    """run_id of the run whose weights it starts from, which ends in the first 8 digits of its fingerprint."""


@dataclass(frozen=True)
class Source:
    """A folder of results."""

    directory: Path
    study: StudyFacts
    data: DataFacts
    plan: tuple[PlanRow, ...]


def read_source(directory: Path) -> Source:
    """Read what a folder of results says about itself.

    Raises:
        RunError: not a folder of results, a file of it cannot be read, or a newer version of the tool wrote it.
    """
    for name in ("study.yaml", "data.json", "plan.csv"):
        if not (directory / name).is_file():
            raise RunError(f"{directory}: no {name} in it; give a folder that `usaggr sweep` wrote, like outputs/demo")
    study, controls = _read_study(directory / "study.yaml"), _read_groupings(directory / "groupings.yaml", _is_control)
    staged = _read_groupings(directory / "groupings.yaml", lambda grouping: "parent" in grouping)
    drawn = {str(control["control"]) for control in controls.values()}
    study = replace(
        study,
        groupings=tuple(name for name in study.groupings if name not in drawn),
        controls={name: str(control["like"]) for name, control in controls.items()},
        staged={name: _staged_facts(directory / "groupings.yaml", of) for name, of in staged.items()},
    )
    return Source(directory, study, _read_data(directory / "data.json"), _read_plan(directory / "plan.csv"))


def _read_study(path: Path) -> StudyFacts:
    check_yaml(path)
    try:
        content = yaml.load(path.read_text(), Loader=_LOADER)
        for what, names in (*content.items(), ("formats", content["report"]["formats"])):
            if what in ("groupings", "variants", "formats"):
                _check_names(path, what, names)
        return StudyFacts(
            name=str(content["name"]),
            groupings=tuple(content["groupings"]),
            reference=content["reference"],
            scales=tuple(content["scales"]),
            seeds=tuple(content["seeds"]),
            variants={name: tuple(overrides) for name, overrides in content["variants"].items()},
            confidence=float(content["report"]["confidence"]),
            formats=tuple(content["report"]["formats"]),
            settings=content,
        )
    except _UNREADABLE as error:
        raise _fault(path, error) from error


def _is_control(grouping: dict[str, Any]) -> bool:
    return "control" in grouping and bool(grouping["like"])


def _staged_facts(path: Path, of: dict[str, Any]) -> StagedFacts:
    try:
        return StagedFacts(str(of["parent"]), float(of["share"]), str(of["budget"]), tuple(of.get("overrides", ())))
    except _UNREADABLE as error:
        raise _fault(path, error) from error


def _read_groupings(path: Path, chosen: Callable[[dict[str, Any]], bool]) -> dict[str, dict[str, Any]]:
    """What groupings.yaml says of some groupings, such as those that were drawn by lot."""
    if not path.is_file():
        return {}
    try:
        content = yaml.load(path.read_text(), Loader=_LOADER)
        return {str(name): grouping for name, grouping in content.items() if chosen(grouping)}
    except _UNREADABLE as error:
        raise _fault(path, error) from error


def _read_data(path: Path) -> DataFacts:
    try:
        content = json.loads(path.read_text())
        refuse_newer(path, content["schema_version"])
        _check_names(path, "tasks", [task["id"] for task in content["tasks"]])
        return DataFacts(
            root=content["root"],
            content_hash=content["content_hash"],
            split_hash=content["split_hash"],
            tasks={task["id"]: _task_facts(task) for task in content["tasks"]},
            skipped=tuple(content["skipped"]),
            dropped=int(content.get("dropped", 0)),
            warnings=tuple(content["warnings"]),
            disjoint=dict(content["disjoint"]),
        )
    except _UNREADABLE as error:
        raise _fault(path, error) from error


def _check_names(path: Path, what: str, names: Iterable[object]) -> None:
    """Names are parts of files' names in the report, which must not lead elsewhere.

    Raises:
        RunError: one is no name.
    """
    for name in names:
        if not isinstance(name, str) or not name.isprintable() or "/" in name or "\\" in name or name[:1] in ("", "."):
            raise RunError(f"{path}: {what}: {name!r} is no name; it is part of names of files, without '/' and '\\'")


def _task_facts(content: dict[str, Any]) -> TaskFacts:
    task = Task(
        id=content["id"],
        type=content["type"],
        num_classes=content["num_classes"],
        organ=content["organ"],
        clinical_group=content["clinical_group"],
        class_names=tuple(content["class_names"]),
    )
    return TaskFacts(task, content["n_train"], content["n_val"], content["n_test"], content["subjects_test"])


def _read_plan(path: Path) -> tuple[PlanRow, ...]:
    try:
        with path.open(newline="") as file:
            return tuple(_plan_row(path, row) for row in csv.DictReader(file))
    except _UNREADABLE as error:
        raise _fault(path, error) from error


def _plan_row(path: Path, row: dict[str, str]) -> PlanRow:
    check_row(path, row)
    return PlanRow(
        run_id=row["run_id"],
        block=row["block"],
        groupings=_names(row["groupings"]),
        tasks=_names(row["tasks"]),
        scale=_scale(row["scale"]),
        seed=int(row["seed"]),
        variant=row["variant"],
        fingerprint=row["fingerprint"],
        parent=row.get("parent") or "",
    )


def _names(cell: str) -> tuple[str, ...]:
    return tuple(name for name in cell.split(";") if name)


def _scale(text: str) -> float | int:
    """A cap of samples is written as an integer, a fraction with its point."""
    try:
        return int(text)
    except ValueError:
        return float(text)


def _fault(path: Path, error: Exception) -> RunError:
    said = f"no {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
    return RunError(f"{path}: cannot be read ({said}); `usaggr sweep` of the same study writes it anew")


def merge_names(lists: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """All names, each once, in the order in which they first come."""
    return tuple(dict.fromkeys(name for names in lists for name in names))
