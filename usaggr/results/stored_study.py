"""What a folder of results says about itself: its study, its data, its plan, read from study.yaml, data.json, plan.csv.

The study is not read through the schema of the configuration: results outlive it, and a report of last year's sweep
needs only the keys named here. Folders of versions without controls have no groupings.yaml.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from usaggr.errors import RunError
from usaggr.results import contract
from usaggr.results.data_description import DataFacts, read_data
from usaggr.results.integrity import check_names, read_yaml, typed
from usaggr.results.plan import PlanRow, check_plan_version, read_plan
from usaggr.results.versions import check_yaml


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
class Source:
    """A folder of results."""

    directory: Path
    study: StudyFacts
    data: DataFacts
    plan: tuple[PlanRow, ...]


def check_replaceable(directory: Path) -> None:
    """Check the versions of study.yaml and plan.csv, which a sweep replaces; missing or damaged ones may be replaced.

    Raises:
        RunError: another version of the tool wrote one of them.
    """
    check_yaml(directory / contract.STUDY)
    check_plan_version(directory)


def read_source(directory: Path) -> Source:
    """Read what a folder of results says about itself.

    Raises:
        RunError: not a folder of results, a file of it cannot be read, or a newer version of the tool wrote it.
    """
    for name in (contract.STUDY, contract.DATA, contract.PLAN):
        if not (directory / name).is_file():
            raise RunError(f"{directory}: no {name} in it; give a folder that `usaggr sweep` wrote, like outputs/demo")
    study, groupings = _read_study(directory / contract.STUDY), _read_groupings(directory / contract.GROUPINGS)
    controls = {name: one for name, one in groupings.items() if one.control is not None and one.like}
    drawn = {one.control for one in controls.values()}
    study = replace(
        study,
        groupings=tuple(name for name in study.groupings if name not in drawn),
        controls={name: one.like or "" for name, one in controls.items()},
        staged={name: staged for name, one in groupings.items() if (staged := one.staged_facts()) is not None},
    )
    return Source(directory, study, read_data(directory), tuple(read_plan(directory)))


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
        check_names(path, what, names)
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


def merge_names(lists: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """All names, each once, in the order in which they first come."""
    return tuple(dict.fromkeys(name for names in lists for name in names))


_AGAIN = "`usaggr sweep` of the same study writes it again"
