"""Groupings: partitions of a study's tasks into named blocks, each of which is trained as one model.

A grouping is a small YAML file in `conf/grouping/`. It has exactly one of three keys:

* `by`: an attribute of tasks. Tasks with the same value form a block.
* `blocks`: the name and the tasks of each block. Tasks are selected by id, organ, clinical group or type.
* `like`: the name of another grouping. Tasks are assigned at random to blocks of the same sizes, several times. This is
  a control for the other grouping: see controls.py.

A staged grouping also has the key `parent`, the name of another grouping. Each of its models starts from the trained
weights of one of the parent's models and is trained further: see stages.py.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from usaggr.data.read.subject_names import normalize_subject
from usaggr.errors import ConfigError, explain_unknown_name
from usaggr.tasks import Task

Attribute = Literal["task", "all", "clinical_group", "organ", "type", "image_source"]
Budget = Literal["equal", "extra"]
"""Number of training examples of a staged run, both stages together.

* equal: as many as a run with one stage, so that the first stage is shorter than a complete run.
* extra: the first stage is a complete run, and the second stage is added.
"""


class Selector(BaseModel):
    """Selection of all tasks that have one value of one attribute, such as `organ: thyroid`."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    organ: str | None = None
    clinical_group: str | None = None
    type: str | None = None

    @model_validator(mode="after")
    def _check_attributes(self) -> "Selector":
        if len(self.model_fields_set) != 1:
            raise ValueError("must have exactly one of organ, clinical_group, type")
        return self

    def selects(self, task: Task) -> bool:
        """Return whether a task has the selected value, in any spelling."""
        return all(
            normalize_subject(getattr(task, name)) == normalize_subject(getattr(self, name) or "")
            for name in self.model_fields_set
        )


class GroupingConfig(BaseModel):
    """Content of a file in `conf/grouping/`."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    by: Attribute | None = None
    """Attribute of tasks: tasks with the same value form a block. `all` puts all tasks into one block."""
    blocks: dict[str, Annotated[list[str | Selector], Field(min_length=1)]] | None = None
    """Tasks of each block by its name: task ids, or {organ: ...}, {clinical_group: ...}, {type: ...}."""
    like: str | None = None
    """Name of another grouping; tasks are assigned at random to blocks of the same sizes."""
    draws: Annotated[int, Field(ge=1, le=100)] = 5
    """Number of different random groupings, with `like`."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of the random groupings, with `like`."""
    parent: str | None = None
    """Name of another grouping. Each block starts from the weights of the model that it has for the block's tasks."""
    share: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Fraction of each task's stream before the second stage, which has the length of the remainder; with `parent`."""
    budget: Budget = "equal"
    """Number of training examples of both stages, with `parent`."""
    overrides: list[str] = []
    """Configuration overrides of the second stage, such as training.learning_rate=1e-4; with `parent`."""

    @model_validator(mode="after")
    def _check_kind(self) -> "GroupingConfig":
        # An empty `blocks:` counts as missing.
        if sum((self.by is not None, bool(self.blocks), self.like is not None)) != 1:
            raise ValueError("must have exactly one of `by:` an attribute, `blocks:`, and `like:` another grouping")
        # Keys with defaults always have a value; `model_fields_set` holds those that the file writes.
        if self.like is None and self.model_fields_set & {"draws", "seed"}:
            raise ValueError("`draws:` and `seed:` belong to `like:`")
        if self.parent is None and self.model_fields_set & {"share", "budget", "overrides"}:
            raise ValueError("`share:`, `budget:` and `overrides:` belong to `parent:`")
        if self.parent is not None and self.like is not None:
            raise ValueError("`parent:` goes with `by:` or `blocks:`; a random grouping (`like:`) has none")
        return self


ImageSources = Callable[[], Mapping[str, str]]
"""Function that returns the image source of each task, by its id. It reads all samples, so it is called only if needed.

Tasks that share images have the same image source.
"""


@dataclass(frozen=True)
class Staging:
    """Parent of a staged grouping, and the settings of the second stage."""

    parent: "Grouping"
    """Grouping whose models the blocks start from; it is not staged itself."""
    share: float
    """Fraction in (0, 1) of each task's stream before the second stage, which has the length of the remainder."""
    budget: Budget
    overrides: tuple[str, ...] = ()
    """Configuration overrides of the second stage, applied after those of the variant."""


@dataclass(frozen=True)
class Grouping:
    """Partition of a study's tasks into blocks."""

    name: str
    blocks: dict[str, tuple[str, ...]]
    """Sorted task ids of each block, by its name."""
    control: str = ""
    """Name of the configuration file of a random grouping; empty for others."""
    like: str = ""
    """Name of the grouping whose block sizes a random grouping has; empty for others."""
    staging: Staging | None = None
    """Settings of the second stage; None if every block is trained in one stage."""

    def find_block(self, task_id: str) -> str:
        """Return the name of the block that holds a task."""
        return next(name for name, tasks in self.blocks.items() if task_id in tasks)


def partition_tasks(
    name: str, config: GroupingConfig, tasks: Mapping[str, Task], get_image_sources: ImageSources
) -> Grouping:
    """Partition tasks into the blocks of a grouping, by an attribute or as its file lists them.

    Args:
        name: name of the grouping.
        config: content of its file, with `by` or `blocks`.
        tasks: tasks of the study by id.
        get_image_sources: returns the image source of each task; called only for `by: image_source`.

    Raises:
        ConfigError: a block names an unknown task or selects none, or a task is in two blocks or in none.
    """
    if config.by is not None:
        blocks: dict[str, list[str]] = {}
        if config.by == "image_source":
            block_names = get_image_sources()
        else:
            block_names = {task.id: _read_attribute(task, config.by) for task in tasks.values()}
        for task_id in tasks:
            blocks.setdefault(block_names[task_id], []).append(task_id)
    else:
        blocks = {
            block: _select_tasks(f"grouping {name}, block {block}", selectors, tasks)
            for block, selectors in (config.blocks or {}).items()
        }
    occurrences = Counter(task_id for members in blocks.values() for task_id in members)
    repeated = [task_id for task_id, count in occurrences.items() if count > 1]
    if repeated:
        holders = [block for block, members in blocks.items() if repeated[0] in members]
        raise ConfigError(f"grouping {name}: task {repeated[0]} is in two blocks ({', '.join(holders)})")
    missing = sorted(set(tasks) - set(occurrences))
    if missing:
        raise ConfigError(f"grouping {name}: no block holds {', '.join(missing)}; every task must be in one")
    return Grouping(name, {block: tuple(sorted(members)) for block, members in blocks.items()})


def _read_attribute(task: Task, attribute: Attribute) -> str:
    """Return the value of a task's attribute, which is the name of its block."""
    match attribute:
        case "task":
            return task.id
        case "all":
            return "unified"
        case _:
            return str(getattr(task, attribute))


def _select_tasks(location: str, selectors: Sequence[str | Selector], tasks: Mapping[str, Task]) -> list[str]:
    """Return the ids of the tasks that a block's selectors select, each once.

    Args:
        location: grouping and block, for error messages.
        selectors: task ids, and selectors by attribute.
        tasks: tasks of the study by id.

    Raises:
        ConfigError: a selector matches no task.
    """
    members: list[str] = []
    for selector in selectors:
        if isinstance(selector, str):
            if selector not in tasks:
                raise ConfigError(explain_unknown_name(f"{location}: task", selector, tasks))
            members.append(selector)
            continue
        selected = [task.id for task in tasks.values() if selector.selects(task)]
        if not selected:
            attribute = next(iter(selector.model_fields_set))
            existing = {str(getattr(task, attribute)) for task in tasks.values()}
            raise ConfigError(explain_unknown_name(f"{location}: {attribute}", getattr(selector, attribute), existing))
        members.extend(selected)
    # Several selectors of a block may match the same task.
    return list(dict.fromkeys(members))
