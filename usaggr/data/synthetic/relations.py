"""Planted relations between tasks: two look at the same anatomy in other patients, and agree or contradict each other.

A *related* task asks what its partner asks, so that what one learns helps the other. A *conflicting* one sees the same
look, but each of its labels is that of another patient, drawn by lot: what it asks of a shared network is of no use to
its partner, and cannot be learned. Tasks of different pools, without a relation, have nothing in common but ultrasound.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from usaggr.config.study import SyntheticConfig
from usaggr.data.synthetic.patient_pools import SOURCES
from usaggr.errors import ConfigError, one_of
from usaggr.tasks import CATALOGUE

Kind = Literal["related", "conflicting"]

APART = 10_000
"""Numbers of patients that a task and those with a relation to it, one after the other, have for themselves."""


@dataclass(frozen=True, slots=True)
class Relation:
    """Of a task to its partner."""

    kind: Kind
    partner: str
    """Task id: whose look it takes."""
    place: int
    """From 1 on, among the tasks with the same partner."""

    @property
    def first_subject(self) -> int:
        """Number of the first patient."""
        return self.place * APART


def relations(synthetic: SyntheticConfig) -> dict[str, Relation]:
    """The planted relations by task.

    Raises:
        ConfigError: a task that is not drawn, has two relations, or is the partner of a task that has one itself; or
            two tasks of different types or numbers of classes.
    """
    asked: dict[str, tuple[Kind, str]] = {task: ("related", partner) for task, partner in synthetic.related.items()}
    for task, partner in synthetic.conflicting.items():
        if task in asked:
            raise ConfigError(f"data.synthetic.conflicting: {task} stands in data.synthetic.related too; give it one")
        asked[task] = ("conflicting", partner)
    members: dict[str, list[str]] = {}
    for task, (kind, partner) in sorted(asked.items()):
        _check(kind, task, partner, synthetic.tasks, list(asked))
        members.setdefault(partner, []).append(task)
    return {
        task: Relation(kind, partner, 1 + members[partner].index(task))
        for task, (kind, partner) in sorted(asked.items())
    }


def _check(kind: Kind, task: str, partner: str, drawn: Sequence[str], asked: Sequence[str]) -> None:
    key = f"data.synthetic.{kind}"
    for name in (task, partner):
        if name not in SOURCES:
            raise ConfigError(one_of(key, name, SOURCES))
        if name not in drawn:
            raise ConfigError(f"{key}: {name} is not among data.synthetic.tasks; add it there")
    if partner in asked:
        what = "itself" if partner == task else f"{partner}, which has a relation itself"
        raise ConfigError(f"{key}: {task} is given the look of {what}; name a task without a relation")
    first, other = CATALOGUE[task], CATALOGUE[partner]
    if (first.type, first.num_classes) != (other.type, other.num_classes):
        raise ConfigError(
            f"{key}: {task} ({first.type}, {first.num_classes} classes) cannot take the look of {partner} "
            f"({other.type}, {other.num_classes} classes); type and number must be the same"
        )
