"""Groupings: every aggregation strategy is a partition of the task set into named blocks.

A grouping is a small YAML in `conf/grouping/`: `by:` an attribute of tasks, or `blocks:` that select tasks by id,
organ, clinical group or type. Either way each task stands in exactly one block.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from usaggr.errors import ConfigError, one_of
from usaggr.tasks import Task

Attribute = Literal["task", "all", "clinical_group", "organ", "type"]


class Selector(BaseModel):
    """Tasks that share one attribute."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    organ: str | None = None
    clinical_group: str | None = None
    type: str | None = None

    @model_validator(mode="after")
    def _one_attribute(self) -> "Selector":
        if len(self.model_fields_set) != 1:
            raise ValueError("one of organ, clinical_group, type")
        return self

    def selects(self, task: Task) -> bool:
        """Whether a task has the attribute."""
        return all(getattr(task, name) == getattr(self, name) for name in self.model_fields_set)


class GroupingConfig(BaseModel):
    """What a file in `conf/grouping/` holds."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    by: Attribute | None = None
    """One block for each value of this attribute."""
    blocks: dict[str, Annotated[list[str | Selector], Field(min_length=1)]] | None = None
    """Block: task ids, or {organ: ...}, {clinical_group: ...}, {type: ...}."""

    @model_validator(mode="after")
    def _by_or_blocks(self) -> "GroupingConfig":
        if (self.by is None) == (not self.blocks):
            raise ValueError("either `by:` an attribute, or `blocks:`")
        return self


@dataclass(frozen=True)
class Grouping:
    """A partition of the task set."""

    name: str
    blocks: dict[str, tuple[str, ...]]
    """Block name: sorted task ids."""

    def block_of(self, task_id: str) -> str:
        """Name of the block that holds a task."""
        return next(name for name, tasks in self.blocks.items() if task_id in tasks)


def partition(name: str, config: GroupingConfig, tasks: Mapping[str, Task]) -> Grouping:
    """The grouping's blocks over these tasks.

    Raises:
        ConfigError: a block names an unknown task or selects none, or a task stands in two blocks or in none.
    """
    if config.by is not None:
        blocks: dict[str, list[str]] = {}
        for task in tasks.values():
            blocks.setdefault(_attribute(task, config.by), []).append(task.id)
    else:
        blocks = {block: _selected(name, block, config, tasks) for block in config.blocks or {}}
    where = Counter(task_id for members in blocks.values() for task_id in members)
    twice = [task_id for task_id, count in where.items() if count > 1]
    if twice:
        holders = [block for block, members in blocks.items() if twice[0] in members]
        raise ConfigError(f"grouping {name}: task {twice[0]} stands in two blocks ({', '.join(holders)})")
    missing = sorted(set(tasks) - set(where))
    if missing:
        raise ConfigError(f"grouping {name}: no block holds {', '.join(missing)}; every task must stand in one")
    return Grouping(name, {block: tuple(sorted(members)) for block, members in blocks.items()})


def _attribute(task: Task, attribute: Attribute) -> str:
    match attribute:
        case "task":
            return task.id
        case "all":
            return "unified"
        case "clinical_group" | "organ" | "type":
            return str(getattr(task, attribute))


def _selected(name: str, block: str, config: GroupingConfig, tasks: Mapping[str, Task]) -> list[str]:
    members: list[str] = []
    for selector in (config.blocks or {})[block]:
        if isinstance(selector, str):
            if selector not in tasks:
                raise ConfigError(one_of(f"grouping {name}, block {block}: task", selector, tasks))
            members.append(selector)
            continue
        found = [task.id for task in tasks.values() if selector.selects(task)]
        if not found:
            attribute = next(iter(selector.model_fields_set))
            known = {str(getattr(task, attribute)) for task in tasks.values()}
            found_name = getattr(selector, attribute)
            raise ConfigError(one_of(f"grouping {name}, block {block}: {attribute}", found_name, known))
        members.extend(found)
    return list(dict.fromkeys(members))
