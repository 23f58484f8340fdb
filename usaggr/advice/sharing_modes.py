"""Sharing modes: transfer of a sweep's groupings to the tasks of another data set.

A sharing mode (in texts for users: a way of sharing) is the principle by which a grouping makes its blocks, without the
tasks that the sweep trained. There are two kinds:

* A rule, such as `clinical`, puts tasks with the same attribute into one block. It applies to the tasks of any data set
  (`find_partners`).
* All other groupings are only lists of blocks. In a block, tasks of the new data set replace the tasks with the same id
  or, failing that, all similar ones (`find_counterparts`).
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from usaggr.tasks import Task

IMAGE_SOURCE = "image_source"
"""Rule by which tasks with common images share a model; unlike those of `RULES`, it needs the images."""
RULES: dict[str, Callable[[Task], str]] = {
    "unified": lambda task: "",
    "clinical": lambda task: task.clinical_group,
    "task_type": lambda task: task.type,
    "organ": lambda task: task.organ,
}
"""Attribute of a task by the name of a rule: tasks with equal values share a model. Groupings have the same names.

For `unified`, all values are equal, so that all tasks share one model."""


@dataclass(frozen=True)
class NewTask:
    """Task of the data set that needs advice."""

    task: Task
    n_train: int
    """Number of samples in the training subset."""
    image_source: str | None = None
    """Name of the source of the images, equal for tasks with common images; None if the images were not read."""
    content: str = ""
    """Hash of the data set; empty if the images were not read."""


def name_mode(grouping: str, blocks: Collection[tuple[str, ...]], tasks: Mapping[str, Task]) -> str:
    """Return the name of a grouping's sharing mode.

    A grouping may have the name of a rule without following it.

    Args:
        grouping: Name of the grouping.
        blocks: Task ids of each block.
        tasks: Tasks of the sweep, by id.

    Returns:
        The grouping's name; with the addition `(own blocks)` if it is the name of a rule that the blocks do not follow.
    """
    attribute = RULES.get(grouping)
    if attribute is None:
        return grouping
    tasks_by_value: dict[str, set[str]] = {}
    for block in blocks:
        for task_id in block:
            tasks_by_value.setdefault(attribute(tasks[task_id]), set()).add(task_id)
    blocks_of_rule = {frozenset(task_ids) for task_ids in tasks_by_value.values()}
    follows_rule = {frozenset(block) for block in blocks} == blocks_of_rule
    return grouping if follows_rule else f"{grouping} (own blocks)"


def is_rule(mode: str) -> bool:
    """Return whether a sharing mode is a rule, which forms blocks of the tasks of any data set."""
    return mode in RULES or mode == IMAGE_SOURCE


def find_partners(mode: str, new: NewTask, tasks: Collection[NewTask]) -> tuple[str, ...]:
    """Return the sorted ids of the other tasks that would share a model with a task under a rule.

    Args:
        mode: A key of `RULES`, or `image_source`.
        new: The task.
        tasks: All tasks of its data set, including `new`.
    """
    if mode == IMAGE_SOURCE:
        if new.image_source is None:  # the images were not read, so that the sources of all tasks are None
            return ()
        return _list_other_ids(new, (t for t in tasks if t.image_source == new.image_source))
    attribute = RULES[mode]
    return _list_other_ids(new, (t for t in tasks if attribute(t.task) == attribute(new.task)))


def is_similar(task: Task, other: Task) -> bool:
    """Return whether two tasks have the same type and clinical group."""
    return (task.type, task.clinical_group) == (other.type, other.clinical_group)


def find_counterparts(new: NewTask, members: Collection[Task], tasks: Collection[NewTask]) -> tuple[str, ...]:
    """Return the sorted ids of the tasks that replace a block's members in the new data set.

    A member is replaced by the task with the same id and type; if there is none, by all similar tasks.

    Args:
        new: The task that would share a model with them; it is left out of the result.
        members: Tasks of a block of the sweep.
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
    """Return the sorted ids of tasks, each once and without that of `new`."""
    return tuple(sorted({t.task.id for t in tasks} - {new.task.id}))
