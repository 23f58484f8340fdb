"""The groupings of a study over its tasks: from the files that it names to partitions, controls drawn."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import yaml
from pydantic import ValidationError

from usaggr.compose import read_grouping
from usaggr.config import StudyConfig
from usaggr.config_errors import explain
from usaggr.data.samples import Dataset, Sample
from usaggr.errors import ConfigError, one_of
from usaggr.sweep.controls import draw_groupings
from usaggr.sweep.groupings import Grouping, GroupingConfig, partition
from usaggr.tasks import Task


def make_groupings(study: StudyConfig, tasks: Mapping[str, Task], dataset: Dataset) -> dict[str, Grouping]:
    """The study's groupings by name, in its order; a control's draws stand where its file is named.

    Raises:
        ConfigError: no such grouping, one that is no partition, or a control of another control.
    """

    def sources() -> dict[str, str]:
        return image_sources(sample for task_id in tasks for sample in dataset.by_task[task_id])

    found: dict[str, Grouping] = {}
    for name in study.groupings:
        config = _config(name, study)
        if config.like is None:
            found[name] = partition(name, config, tasks, sources)
            continue
        if config.like not in study.groupings:
            raise ConfigError(one_of(f"grouping {name}: like: of the study's groupings", config.like, study.groupings))
        like = _config(config.like, study)
        if like.like is not None:
            raise ConfigError(f"grouping {name}: like: {config.like} is itself drawn by lot")
        for grouping in draw_groupings(name, config, partition(config.like, like, tasks, sources)):
            found[grouping.name] = grouping
    if study.reference not in found:
        raise ConfigError(f"reference: {study.reference} is drawn by lot; allowed: {', '.join(found)}")
    return found


def image_sources(samples: Iterable[Sample]) -> dict[str, str]:
    """Name of each task's image source: tasks that share an image, directly or through others, have the same.

    Images are the same by content. A source has the name of its first task, and says so where there are several.
    """
    source: dict[str, str] = {}
    members: dict[str, set[str]] = {}
    first: dict[str, str] = {}
    for sample in samples:
        task = sample.task_id
        source.setdefault(task, task)
        members.setdefault(source[task], {task})
        a, b = source[task], source[first.setdefault(sample.image_hash, task)]
        if a != b:
            members[a] |= members.pop(b)
            source.update(dict.fromkeys(members[a], a))
    return {
        task: task if len(own) == 1 else f"images_of_{min(own)}" for own in members.values() for task in sorted(own)
    }


def describe_groupings(groupings: Mapping[str, Grouping]) -> str:
    """What groupings.yaml says of a study's partitions; of controls, also which grouping they are like."""
    content: dict[str, dict[str, Any]] = defaultdict(dict)
    for name, grouping in groupings.items():
        if grouping.control:
            content[name] |= {"control": grouping.control, "like": grouping.like}
        content[name]["blocks"] = {block: list(tasks) for block, tasks in grouping.blocks.items()}
    return yaml.safe_dump(dict(content), sort_keys=False, width=120)


def _config(name: str, study: StudyConfig) -> GroupingConfig:
    try:
        return GroupingConfig.model_validate(read_grouping(name, study))
    except ValidationError as error:
        lines = explain(error, schema=GroupingConfig).splitlines()
        raise ConfigError("\n".join(f"grouping {name}: {line}" for line in lines)) from error
