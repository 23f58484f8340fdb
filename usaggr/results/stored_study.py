"""The study, data and plan of a folder of results, read from study.yaml, groupings.yaml, data.json and plan.csv.

The study is not validated with the schema of the configuration. Results outlive the schema, and a report of last year's
sweep needs only the keys in this module. Folders of versions without controls have no groupings.yaml.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from usaggr.errors import RunError
from usaggr.results import contract
from usaggr.results.contract_sums import check_sum
from usaggr.results.data_description import DataFacts, read_data
from usaggr.results.integrity import check_names, parse_content, read_yaml
from usaggr.results.plan import PlanRow, check_plan_version, read_plan
from usaggr.results.versions import check_yaml

_REMEDY = "`usaggr sweep` of the same study writes it again"
Aggregate = Literal["subject", "sample"]
"""Unit that counts once in scores and differences."""


@dataclass(frozen=True)
class StagedFacts:
    """Parent and stages of a staged grouping."""

    parent: str
    """Grouping whose models the runs start from."""
    share: float
    """Fraction of each task's stream; the second stage has the length of the remainder."""
    budget: str
    """equal: both stages together have the length of one; extra: the first stage alone has it."""
    overrides: tuple[str, ...] = ()
    """Overrides of the second stage."""


@dataclass(frozen=True)
class StudyFacts:
    """Settings of a study."""

    name: str
    groupings: tuple[str, ...]
    """Groupings that are compared task by task, without controls."""
    reference: str
    scales: tuple[float | int, ...]
    seeds: tuple[int, ...]
    variants: dict[str, tuple[str, ...]]
    """Overrides of each variant, by name."""
    confidence: float
    formats: tuple[str, ...]
    settings: dict[str, Any]
    """Complete content of study.yaml."""
    controls: dict[str, str] = field(default_factory=dict)
    """Grouping whose block sizes a random grouping has, by the random grouping."""
    staged: dict[str, StagedFacts] = field(default_factory=dict)
    """Staged groupings, whose runs start from other runs' weights, by name."""
    report_overrides: dict[str, Any] = field(default_factory=dict)
    """Settings of the report that its command gives in place of the study's, by name."""

    def override_report(self, values: dict[str, Any]) -> "StudyFacts":
        """Return the study with other settings of the report, such as {"margin": 0.05}."""
        stored = self.settings.get("report")
        report = {**(stored if isinstance(stored, dict) else {}), **values}
        return replace(
            self,
            confidence=values.get("confidence", self.confidence),
            formats=tuple(values.get("formats", self.formats)),
            settings={**self.settings, "report": report},
            report_overrides=values,
        )

    @property
    def aggregate(self) -> Aggregate:
        """Unit that counts once in scores and differences; `subject` for studies of versions without this key."""
        return "sample" if self.get_setting("report.aggregate") == "sample" else "subject"

    @property
    def margin(self) -> float:
        """Margin of non-inferiority for metrics whose best value is 1."""
        return self._get_number("report.margin", 0.02)

    @property
    def relative_margin(self) -> float:
        """Margin of non-inferiority for metrics whose best value is 0, as a fraction of the reference's mean."""
        return self._get_number("report.relative_margin", 0.10)

    @property
    def convergence_margin(self) -> float:
        """Largest rise of skill in the last quarter of a validation curve that counts as converged."""
        return self._get_number("report.convergence_margin", 0.02)

    @property
    def family(self) -> str:
        """Tests that are adjusted together: those of a `grouping` at a scale (and variant), or of the whole `study`."""
        return str(self.get_setting("report.family") or "grouping")

    def _get_number(self, key: str, default: float) -> float:
        """Return a number; `default` for studies of versions without this key."""
        value = self.get_setting(key)
        return default if value is None else float(value)

    def get_setting(self, key: str) -> Any:
        """Return the value of a dotted key; None if the study does not have it."""
        value: Any = self.settings
        for name in key.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        return value


@dataclass(frozen=True)
class Source:
    """A folder of results with its study, data and plan."""

    directory: Path
    study: StudyFacts
    data: DataFacts
    plan: tuple[PlanRow, ...]


def check_replaceable(directory: Path) -> None:
    """Check the versions of study.yaml and plan.csv before a sweep replaces them; damaged ones may be replaced.

    Raises:
        RunError: another version of usaggr wrote one of them.
    """
    check_yaml(directory / contract.STUDY)
    check_plan_version(directory)


def read_source(directory: Path) -> Source:
    """Read the study, data and plan of a folder of results.

    Raises:
        RunError: the folder has no results, or a file cannot be read or is of a newer version of usaggr.
    """
    for name in (contract.STUDY, contract.DATA, contract.PLAN):
        if not (directory / name).is_file():
            raise RunError(f"{directory}: no {name} in it; give a folder that `usaggr sweep` wrote, like outputs/demo")
    study, groupings = _read_study(directory / contract.STUDY), _read_groupings(directory / contract.GROUPINGS)
    controls = {
        name: grouping for name, grouping in groupings.items() if grouping.control is not None and grouping.like
    }
    # A random grouping is listed once in study.yaml, by its file, but is planned as several groupings.
    control_files = {grouping.control for grouping in controls.values()}
    study = replace(
        study,
        groupings=tuple(name for name in study.groupings if name not in control_files),
        controls={name: grouping.like or "" for name, grouping in controls.items()},
        staged={
            name: facts for name, grouping in groupings.items() if (facts := grouping.get_staged_facts()) is not None
        },
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
    family: str | None = None
    aggregate: Aggregate | None = None


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
    content = read_yaml(path, _REMEDY)
    stored = parse_content(path, content, _StoredStudy, _REMEDY)
    for key, names in (
        ("groupings", stored.groupings),
        ("variants", stored.variants),
        ("formats", stored.report.formats),
    ):
        check_names(path, key, names)
    check_sum(path, _REMEDY)
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
    """A grouping's entry in groupings.yaml."""

    control: str | None = None
    """Configuration file of a random grouping; None for others."""
    like: str | None = None
    """Grouping whose block sizes a random grouping has."""
    parent: str | None = None
    share: float | None = None
    budget: str | None = None
    overrides: tuple[str, ...] = ()

    def get_staged_facts(self) -> StagedFacts | None:
        """Return the parent and stages of a staged grouping; None for a grouping of one stage."""
        if self.parent is None or self.share is None or self.budget is None:
            return None
        return StagedFacts(self.parent, self.share, self.budget, self.overrides)


@dataclass(frozen=True)
class _StoredGroupings:
    groupings: dict[str, _StoredGrouping]


def _read_groupings(path: Path) -> dict[str, _StoredGrouping]:
    """Return the entries of groupings.yaml by grouping; empty without the file, as in older versions."""
    if not path.is_file():
        return {}
    stored = parse_content(path, {"groupings": read_yaml(path, _REMEDY)}, _StoredGroupings, _REMEDY).groupings
    for name, grouping in stored.items():
        missing = [key for key in ("share", "budget") if getattr(grouping, key) is None]
        if grouping.parent is not None and missing:
            raise RunError(f"{path}: no groupings.{name}.{missing[0]}; {_REMEDY}")
    check_sum(path, _REMEDY)
    return stored


def merge_names(lists: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Return all names, each once, in the order of their first occurrence."""
    return tuple(dict.fromkeys(name for names in lists for name in names))
