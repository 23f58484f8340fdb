"""Sharing modes: which tasks of another data set would share a model under the groupings of a sweep.

A sharing mode, or way of sharing in texts for users, is a grouping without the tasks that it was trained on.

A grouping by an attribute of tasks is a rule, which applies to any data set. For other groupings only the blocks are
known; tasks of the new data take the place of the most similar tasks in them.
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
"""Attribute of a task by grouping: tasks with the same value share a model. `image_source` depends on the images."""


@dataclass(frozen=True)
class NewTask:
    """Task of the data set that needs advice."""

    task: Task
    n_train: int
    """Number of training samples after the split."""
    image_source: str | None = None
    """Name that tasks with common images share; None if the images were not read."""
    content: str = ""
    """Hash of the data set; empty if the images were not read."""


def name_mode(grouping: str, blocks: Collection[tuple[str, ...]], tasks: Mapping[str, Task]) -> str:
    """Return the name of the sharing mode for which a grouping is evidence.

    Args:
        grouping: Name of the grouping.
        blocks: Task ids of each block.
        tasks: Tasks of the sweep, by id.

    Returns:
        The grouping's name. If it has the name of a rule but other blocks, `(own blocks)` is added.
    """
    attribute = RULES.get(grouping)
    if attribute is None:
        return grouping
    by_value: dict[str, set[str]] = {}
    for task_id in {task_id for block in blocks for task_id in block}:
        by_value.setdefault(attribute(tasks[task_id]), set()).add(task_id)
    follows_rule = {frozenset(block) for block in blocks} == {frozenset(block) for block in by_value.values()}
    return grouping if follows_rule else f"{grouping} (own blocks)"


def is_rule(mode: str) -> bool:
    """Return whether a sharing mode determines by itself which tasks of any data set share a model."""
    return mode in RULES or mode == IMAGE_SOURCE


def find_partners(mode: str, new: NewTask, tasks: Collection[NewTask]) -> tuple[str, ...]:
    """Return the sorted ids of the tasks that would share a model with a task under a rule, without the task itself.

    Args:
        mode: A key of `RULES`, or `image_source`.
        new: The task.
        tasks: All tasks of its data set.
    """
    if mode == IMAGE_SOURCE:
        # Without images, the sources of all tasks are None, which must not match each other.
        has_source = new.image_source is not None
        return _list_other_ids(new, (t for t in tasks if has_source and t.image_source == new.image_source))
    attribute = RULES[mode]
    return _list_other_ids(new, (t for t in tasks if attribute(t.task) == attribute(new.task)))


def is_similar(task: Task, other: Task) -> bool:
    """Return whether two tasks have the same type and clinical group."""
    return (task.type, task.clinical_group) == (other.type, other.clinical_group)


def find_counterparts(new: NewTask, members: Collection[Task], tasks: Collection[NewTask]) -> tuple[str, ...]:
    """Return the sorted ids of the tasks that take the place of a block's members.

    A member is replaced by the task with the same id and type, otherwise by all similar tasks.

    Args:
        new: The task that shares a model with them, which is left out.
        members: Tasks of the block in a sweep.
        tasks: All tasks of the new data set.
    """
    by_id = {t.task.id: t for t in tasks}
    counterparts: list[NewTask] = []
    for member in members:
        namesake = by_id.get(member.id)
        if namesake is not None and namesake.task.type == member.type:
            counterparts.append(namesake)
        else:
            counterparts += [t for t in tasks if is_similar(t.task, member)]
    return _list_other_ids(new, counterparts)


def _list_other_ids(new: NewTask, tasks: Iterable[NewTask]) -> tuple[str, ...]:
    return tuple(sorted({t.task.id for t in tasks} - {new.task.id}))
