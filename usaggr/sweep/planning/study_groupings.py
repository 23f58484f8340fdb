"""The groupings of a study over its tasks: from the files that it names to partitions, controls drawn."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import yaml
from pydantic import ValidationError

from usaggr.config.compose import read_grouping
from usaggr.config.messages import explain
from usaggr.config.study import StudyConfig
from usaggr.data.samples import Dataset, Sample
from usaggr.errors import ConfigError, one_of
from usaggr.sweep.planning.controls import draw_groupings
from usaggr.sweep.planning.grouping import Grouping, GroupingConfig, Sources, Staging, partition
from usaggr.sweep.planning.stages import check_blocks
from usaggr.tasks import Task


def make_groupings(study: StudyConfig, tasks: Mapping[str, Task], dataset: Dataset) -> dict[str, Grouping]:
    """The study's groupings by name, in its order; a control's draws stand where its file is named.

    Raises:
        ConfigError: no such grouping, one that is no partition, a control of another control or of a staged one, or a
            staged grouping whose blocks do not each lie within one of its parent's.
    """

    def sources() -> dict[str, str]:
        return image_sources(sample for task_id in tasks for sample in dataset.by_task[task_id])

    found: dict[str, Grouping] = {}
    for name in study.groupings:
        config = _config(name, study)
        if config.like is None:
            found[name] = _with_parent(partition(name, config, tasks, sources), config, study, tasks, sources)
            continue
        if config.like not in study.groupings:
            raise ConfigError(one_of(f"grouping {name}: like: of the study's groupings", config.like, study.groupings))
        like = _config(config.like, study)
        if like.like is not None:
            raise ConfigError(f"grouping {name}: like: {config.like} is itself drawn by lot")
        if like.parent is not None:
            raise ConfigError(f"grouping {name}: like: {config.like} is staged; name one whose runs have one stage")
        for grouping in draw_groupings(name, config, partition(config.like, like, tasks, sources)):
            found[grouping.name] = grouping
    if study.reference not in found:
        raise ConfigError(f"reference: {study.reference} is drawn by lot; allowed: {', '.join(found)}")
    return found


def _with_parent(
    grouping: Grouping, config: GroupingConfig, study: StudyConfig, tasks: Mapping[str, Task], sources: Sources
) -> Grouping:
    """The grouping with what its runs start from, where its file names a parent."""
    if config.parent is None:
        return grouping
    where = f"grouping {grouping.name}: parent"
    try:
        parent = _config(config.parent, study)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error
    if parent.like is not None or parent.parent is not None:
        what = "drawn by lot" if parent.like is not None else "itself staged"
        raise ConfigError(f"{where}: {config.parent} is {what}; name a grouping whose runs have one stage")
    first = partition(config.parent, parent, tasks, sources)
    check_blocks(grouping, first)
    return replace(grouping, staging=Staging(first, config.share, config.budget, tuple(config.overrides)))


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
    """What groupings.yaml says of a study's partitions; of controls, also which grouping they are like; of staged ones,
    what they start from.
    """
    content: dict[str, dict[str, Any]] = defaultdict(dict)
    for name, grouping in groupings.items():
        if grouping.control:
            content[name] |= {"control": grouping.control, "like": grouping.like}
        if staging := grouping.staging:
            content[name] |= {"parent": staging.parent.name, "share": staging.share, "budget": staging.budget}
            content[name] |= {"overrides": list(staging.overrides)} if staging.overrides else {}
        content[name]["blocks"] = {block: list(tasks) for block, tasks in grouping.blocks.items()}
    return yaml.safe_dump(dict(content), sort_keys=False, width=120)


def _config(name: str, study: StudyConfig) -> GroupingConfig:
    try:
        return GroupingConfig.model_validate(read_grouping(name, study))
    except ValidationError as error:
        lines = explain(error, schema=GroupingConfig).splitlines()
        raise ConfigError("\n".join(f"grouping {name}: {line}" for line in lines)) from error
