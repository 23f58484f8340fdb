"""Groupings: every aggregation strategy is a partition of the task set into named blocks.

A grouping is a small YAML in `conf/grouping/`: `by:` an attribute of tasks, or `blocks:` that select tasks by id,
organ, clinical group or type. Either way each task stands in exactly one block. A control (`like:`) is several
groupings, drawn by lot: see controls.py. A staged grouping (`parent:`) starts each block from the weights of another
grouping's model: see staged.py.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from usaggr.errors import ConfigError, one_of
from usaggr.tasks import Task

Attribute = Literal["task", "all", "clinical_group", "organ", "type", "image_source"]
Budget = Literal["equal", "extra"]
"""Examples of both stages together: `equal`, as many as of one stage; `extra`, the second stage on top of them."""


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
    like: str | None = None
    """Another grouping: draw tasks by lot into blocks of its sizes."""
    draws: Annotated[int, Field(ge=1, le=100)] = 5
    """Of `like`: how many different ones."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of `like`."""
    parent: str | None = None
    """Another grouping: each block starts from the weights of its model that holds the block's tasks."""
    share: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Of `parent`: the second stage is as long as what this part leaves of each task's stream."""
    budget: Budget = "equal"
    """Of `parent`."""
    overrides: list[str] = []
    """Of `parent`: of the second stage, as in a variant."""

    @model_validator(mode="after")
    def _one_kind(self) -> "GroupingConfig":
        if sum((self.by is not None, bool(self.blocks), self.like is not None)) != 1:
            raise ValueError("one of `by:` an attribute, `blocks:`, and `like:` another grouping")
        if self.like is None and self.model_fields_set & {"draws", "seed"}:
            raise ValueError("`draws:` and `seed:` belong to `like:`")
        if self.parent is None and self.model_fields_set & {"share", "budget", "overrides"}:
            raise ValueError("`share:`, `budget:` and `overrides:` belong to `parent:`")
        if self.parent is not None and self.like is not None:
            raise ValueError("`parent:` goes with `by:` or `blocks:`; a grouping that is drawn by lot has none")
        return self


Sources = Callable[[], Mapping[str, str]]
"""Task: name of its image source."""


@dataclass(frozen=True)
class Staging:
    """What the runs of a staged grouping start from, and how their stage differs."""

    parent: "Grouping"
    """Of one stage."""
    share: float
    """In (0, 1): the second stage is as long as what this part leaves of each task's stream."""
    budget: Budget
    overrides: tuple[str, ...] = ()
    """Of the second stage, after the variant's."""


@dataclass(frozen=True)
class Grouping:
    """A partition of the task set."""

    name: str
    blocks: dict[str, tuple[str, ...]]
    """Block name: sorted task ids."""
    control: str = ""
    """Name of the file that it was drawn by; empty where it was not drawn by lot."""
    like: str = ""
    """Of a control: the grouping whose block sizes it has."""
    staging: Staging | None = None
    """None: every block is trained in one stage."""

    def block_of(self, task_id: str) -> str:
        """Name of the block that holds a task."""
        return next(name for name, tasks in self.blocks.items() if task_id in tasks)


def partition(name: str, config: GroupingConfig, tasks: Mapping[str, Task], sources: Sources) -> Grouping:
    """The grouping's blocks over these tasks, by attribute or as the file lists them.

    Args:
        name: the grouping's.
        config: with `by` or `blocks`.
        tasks: by id.
        sources: gives the image source of each task, where it is asked for (see `image_sources`).

    Raises:
        ConfigError: a block names an unknown task or selects none, or a task stands in two blocks or in none.
    """
    if config.by is not None:
        blocks: dict[str, list[str]] = {}
        values = sources() if config.by == "image_source" else {t.id: _attribute(t, config.by) for t in tasks.values()}
        for task_id in tasks:
            blocks.setdefault(values[task_id], []).append(task_id)
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
        case _:
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
