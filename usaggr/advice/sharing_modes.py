"""Ways of sharing: which tasks of another data set would share a model, if it were grouped as a sweep's tasks were.

A grouping that goes by an attribute of tasks is a rule, and applies to any data set. Of others only the blocks are
known: tasks of the new data take the place of those that they are like.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from usaggr.tasks import Task

IMAGE_SOURCE = "image_source"
RULES: dict[str, Callable[[Task], str]] = {
    "unified": lambda task: "",
    "clinical": lambda task: task.clinical_group,
    "task_type": lambda task: task.type,
    "organ": lambda task: task.organ,
}
"""Groupings that go by an attribute: tasks with the same value share a model. `image_source` goes by the images."""


@dataclass(frozen=True)
class NewTask:
    """A task of the data set that advice is asked for."""

    task: Task
    n_train: int
    """Training samples, after the split."""
    image_source: str | None = None
    """Name that tasks with common images share; None where the images were not read."""
    content: str = ""
    """Hash of its data set; empty where the images were not read."""


def way_of(grouping: str, blocks: Collection[tuple[str, ...]], tasks: Mapping[str, Task]) -> str:
    """The name under which cells of a grouping are evidence: its own, unless it only looks like a known rule.

    Args:
        grouping: its name.
        blocks: ids of the tasks of each.
        tasks: those of the sweep, by id.
    """
    of = RULES.get(grouping)
    if of is None:
        return grouping
    found: dict[str, set[str]] = {}
    for task_id in {task_id for block in blocks for task_id in block}:
        found.setdefault(of(tasks[task_id]), set()).add(task_id)
    follows = {frozenset(block) for block in blocks} == {frozenset(block) for block in found.values()}
    return grouping if follows else f"{grouping} (own blocks)"


def is_rule(way: str) -> bool:
    """Whether a way says by itself which tasks of any data set share a model."""
    return way in RULES or way == IMAGE_SOURCE


def partners(way: str, new: NewTask, others: Collection[NewTask]) -> tuple[str, ...]:
    """Ids of the tasks that would share a model with a task under a rule; sorted, without itself.

    Args:
        way: one of RULES, or `image_source`.
        new: the task.
        others: all tasks of its data set.
    """
    if way == IMAGE_SOURCE:
        known = new.image_source is not None
        return _ids(new, (t for t in others if known and t.image_source == new.image_source))
    of = RULES[way]
    return _ids(new, (t for t in others if of(t.task) == of(new.task)))


def like(new: Task, known: Task) -> bool:
    """Whether a task is of the type and the clinical group of another one."""
    return (new.type, new.clinical_group) == (known.type, known.clinical_group)


def counterparts(new: NewTask, members: Collection[Task], others: Collection[NewTask]) -> tuple[str, ...]:
    """Ids of the tasks that take the place of a block's members: those of the same id, else all that are like them.

    Args:
        new: the task that shares a model with them; not among them.
        members: of the block in a sweep.
        others: all tasks of the new data set.
    """
    own = {t.task.id: t for t in others}
    found: list[NewTask] = []
    for member in members:
        same = own.get(member.id)
        alike = same is not None and same.task.type == member.type
        found += [same] if same is not None and alike else [t for t in others if like(t.task, member)]
    return _ids(new, found)


def _ids(new: NewTask, tasks: Iterable[NewTask]) -> tuple[str, ...]:
    return tuple(sorted({t.task.id for t in tasks} - {new.task.id}))
