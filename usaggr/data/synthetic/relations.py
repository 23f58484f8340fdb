"""Planted relations between tasks, whose effects on a shared network are known.

A *related* task has the anatomy and the labels of its partner in other patients, so that each task helps the other. A
*conflicting* task has the anatomy of its partner, but random labels: each label belongs to another of its images. It
cannot be learned, and is of no use to its partner. Tasks of different pools without a relation share only the modality.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from usaggr.config.study import SyntheticConfig
from usaggr.data.synthetic.patient_pools import SOURCES
from usaggr.errors import ConfigError, explain_unknown_name
from usaggr.tasks import CATALOGUE

Kind = Literal["related", "conflicting"]

FIRST_PATIENTS_DISTANCE = 10_000
"""Distance between the first patients of a task and of the tasks related to it, so that they share no patient."""


@dataclass(frozen=True, slots=True)
class Relation:
    """Relation of a task to its partner."""

    kind: Kind
    partner: str
    """Id of the task whose anatomy it shows."""
    number: int
    """Number among the tasks with the same partner, from 1."""

    @property
    def first_subject(self) -> int:
        """Number of the first patient."""
        return self.number * FIRST_PATIENTS_DISTANCE


def find_relations(synthetic: SyntheticConfig) -> dict[str, Relation]:
    """Return the planted relations by task.

    Raises:
        ConfigError: A task is not drawn or has two relations, a partner has a relation itself, or two tasks differ in
            type or number of classes.
    """
    requested: dict[str, tuple[Kind, str]] = {}
    for task, partner in synthetic.related.items():
        requested[task] = ("related", partner)
    for task, partner in synthetic.conflicting.items():
        if task in requested:
            raise ConfigError(
                f"data.synthetic.conflicting: {task} is in data.synthetic.related, too; remove it from one of them"
            )
        requested[task] = ("conflicting", partner)
    members: dict[str, list[str]] = {}
    for task, (kind, partner) in sorted(requested.items()):
        _check_relation(kind, task, partner, synthetic.tasks, list(requested))
        members.setdefault(partner, []).append(task)
    return {
        task: Relation(kind, partner, 1 + members[partner].index(task))
        for task, (kind, partner) in sorted(requested.items())
    }


def _check_relation(kind: Kind, task: str, partner: str, drawn: Sequence[str], requested: Sequence[str]) -> None:
    """Check one relation.

    Args:
        kind: Kind of the relation.
        task: Id of the task.
        partner: Id of its partner.
        drawn: All tasks that are drawn.
        requested: All tasks that have a relation.
    """
    key = f"data.synthetic.{kind}"
    for name in (task, partner):
        if name not in SOURCES:
            raise ConfigError(explain_unknown_name(key, name, SOURCES))
        if name not in drawn:
            raise ConfigError(f"{key}: {name} is not among data.synthetic.tasks; add it there")
    if partner in requested:
        problem = "itself" if partner == task else f"{partner}, which has a relation itself"
        raise ConfigError(f"{key}: the partner of {task} is {problem}; choose a task without a relation")
    first, other = CATALOGUE[task], CATALOGUE[partner]
    if (first.type, first.num_classes) != (other.type, other.num_classes):
        raise ConfigError(
            f"{key}: {task} ({first.type}, {first.num_classes} classes) cannot show the anatomy of {partner} "
            f"({other.type}, {other.num_classes} classes); type and number of classes must be equal"
        )
