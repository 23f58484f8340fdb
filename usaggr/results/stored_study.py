"""What a folder of results says about itself: its study, its data, its plan, read from study.yaml, data.json, plan.csv.

The study is not read through the schema of the configuration: results outlive it, and a report of last year's sweep
needs only the keys named here. Folders of versions without controls have no groupings.yaml.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from usaggr.errors import RunError
from usaggr.results.integrity import read_json, read_yaml, typed
from usaggr.results.versions import check_yaml, read_plan_rows
from usaggr.tasks import Task, TaskType


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
    study, groupings = _read_study(directory / "study.yaml"), _read_groupings(directory / "groupings.yaml")
    controls = {name: one for name, one in groupings.items() if one.control is not None and one.like}
    drawn = {one.control for one in controls.values()}
    study = replace(
        study,
        groupings=tuple(name for name in study.groupings if name not in drawn),
        controls={name: one.like or "" for name, one in controls.items()},
        staged={name: staged for name, one in groupings.items() if (staged := one.staged_facts()) is not None},
    )
    return Source(directory, study, _read_data(directory / "data.json"), _read_plan(directory / "plan.csv"))


@dataclass(frozen=True)
class _StoredReport:
    """The keys of the section `report` in study.yaml that are read; None: the study is of a version without it."""

    confidence: float
    formats: tuple[str, ...]
    margin: float | None = None
    relative_margin: float | None = None
    convergence_margin: float | None = None


@dataclass(frozen=True)
class _StoredExperts:
    """The keys of the section `model.experts` whose value decides what a report says."""

    router: str | None = None


@dataclass(frozen=True)
class _StoredModel:
    """The keys of the section `model` whose value decides what a report says."""

    name: str | None = None
    encoder: str | None = None
    weights: str | None = None
    norm: str | None = None
    conditioning: str | None = None
    freeze: str | None = None
    experts: _StoredExperts | None = None


@dataclass(frozen=True)
class _StoredInput:
    """The keys of the section `data` whose value decides what is read or said."""

    name: str | None = None
    subset: str | None = None
    max_pixels: int | None = None


@dataclass(frozen=True)
class _StoredStudy:
    """The keys of study.yaml that are read."""

    name: str
    groupings: tuple[str, ...]
    reference: str
    scales: tuple[float, ...]
    seeds: tuple[int, ...]
    variants: dict[str, tuple[str, ...]]
    report: _StoredReport
    outputs: str | None = None
    data: _StoredInput | None = None
    model: _StoredModel | None = None


def _read_study(path: Path) -> StudyFacts:
    check_yaml(path)
    content = read_yaml(path, _AGAIN)
    stored = typed(path, content, _StoredStudy, _AGAIN)
    for what, names in (
        ("groupings", stored.groupings),
        ("variants", stored.variants),
        ("formats", stored.report.formats),
    ):
        _check_names(path, what, names)
    return StudyFacts(
        name=stored.name,
        groupings=stored.groupings,
        reference=stored.reference,
        scales=tuple(content["scales"]),  # as written: a cap is an integer
        seeds=stored.seeds,
        variants=stored.variants,
        confidence=stored.report.confidence,
        formats=stored.report.formats,
        settings=content,
    )


@dataclass(frozen=True)
class _StoredGrouping:
    """What groupings.yaml says of a grouping."""

    control: str | None = None
    """The grouping of the study that it is drawn by; None: it is not drawn at random."""
    like: str | None = None
    """The grouping whose block sizes it has."""
    parent: str | None = None
    share: float | None = None
    budget: str | None = None
    overrides: tuple[str, ...] = ()

    def staged_facts(self) -> StagedFacts | None:
        """Return what a staged grouping's runs start from; None for a grouping of one stage."""
        if self.parent is None or self.share is None or self.budget is None:
            return None
        return StagedFacts(self.parent, self.share, self.budget, self.overrides)


@dataclass(frozen=True)
class _StoredGroupings:
    groupings: dict[str, _StoredGrouping]


def _read_groupings(path: Path) -> dict[str, _StoredGrouping]:
    """Return each grouping's row of groupings.yaml; none where an older version wrote no such file."""
    if not path.is_file():
        return {}
    found = typed(path, {"groupings": read_yaml(path, _AGAIN)}, _StoredGroupings, _AGAIN).groupings
    for name, grouping in found.items():
        missing = [key for key in ("share", "budget") if getattr(grouping, key) is None]
        if grouping.parent is not None and missing:
            raise RunError(f"{path}: no groupings.{name}.{missing[0]}; {_AGAIN}")
    return found


@dataclass(frozen=True)
class _StoredTask:
    """What data.json says of a task."""

    id: str
    type: TaskType
    num_classes: int
    class_names: tuple[str, ...]
    organ: str
    clinical_group: str
    n_train: int
    n_val: int
    n_test: int
    subjects_test: int


@dataclass(frozen=True)
class _StoredData:
    """The keys of data.json that are read."""

    root: str
    content_hash: str
    split_hash: str
    tasks: tuple[_StoredTask, ...]
    skipped: tuple[str, ...]
    warnings: tuple[str, ...]
    disjoint: dict[str, int]
    dropped: int = 0


def _read_data(path: Path) -> DataFacts:
    stored = typed(path, read_json(path, _AGAIN), _StoredData, _AGAIN)
    _check_names(path, "tasks", [task.id for task in stored.tasks])
    return DataFacts(
        root=stored.root,
        content_hash=stored.content_hash,
        split_hash=stored.split_hash,
        tasks={task.id: _task_facts(path, task) for task in stored.tasks},
        skipped=stored.skipped,
        dropped=stored.dropped,
        warnings=stored.warnings,
        disjoint=stored.disjoint,
    )


def _check_names(path: Path, what: str, names: Iterable[object]) -> None:
    """Names are parts of files' names in the report, which must not lead elsewhere.

    Raises:
        RunError: one is no name.
    """
    for name in names:
        if not isinstance(name, str) or not name.isprintable() or "/" in name or "\\" in name or name[:1] in ("", "."):
            raise RunError(f"{path}: {what}: {name!r} is no name; it is part of names of files, without '/' and '\\'")


def _task_facts(path: Path, stored: _StoredTask) -> TaskFacts:
    try:
        task = Task(
            id=stored.id,
            type=stored.type,
            num_classes=stored.num_classes,
            organ=stored.organ,
            clinical_group=stored.clinical_group,
            class_names=stored.class_names,
        )
    except ValueError as error:
        raise RunError(f"{path}: {error}; {_AGAIN}") from error
    return TaskFacts(task, stored.n_train, stored.n_val, stored.n_test, stored.subjects_test)


def _read_plan(path: Path) -> tuple[PlanRow, ...]:
    return tuple(
        PlanRow(
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
        for row in read_plan_rows(path, _PLAN_COLUMNS)
    )


def _names(cell: str) -> tuple[str, ...]:
    return tuple(name for name in cell.split(";") if name)


def _scale(text: str) -> float | int:
    """A cap of samples is written as an integer, a fraction with its point."""
    try:
        return int(text)
    except ValueError:
        return float(text)


def merge_names(lists: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """All names, each once, in the order in which they first come."""
    return tuple(dict.fromkeys(name for names in lists for name in names))


_PLAN_COLUMNS = ("run_id", "block", "groupings", "tasks", "scale", "seed", "variant", "fingerprint")
"""Of plan.csv, those that every version has written."""
_AGAIN = "`usaggr sweep` of the same study writes it again"
