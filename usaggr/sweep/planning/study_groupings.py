"""The groupings of a study, made from the configuration files that the study names.

docs/glossary.md defines grouping, block, staged grouping and random grouping.
"""

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
from usaggr.errors import ConfigError, explain_unknown_name
from usaggr.sweep.planning.controls import draw_groupings
from usaggr.sweep.planning.grouping import Grouping, GroupingConfig, ImageSources, Staging, partition_tasks
from usaggr.sweep.planning.stages import check_blocks
from usaggr.tasks import Task


def make_groupings(study: StudyConfig, tasks: Mapping[str, Task], dataset: Dataset) -> dict[str, Grouping]:
    """Make the groupings of a study in the order of its list; random groupings take the place of their control's name.

    Args:
        study: names the groupings and the reference.
        tasks: tasks of the study by id.
        dataset: samples of the tasks, for groupings by image source.

    Returns:
        The groupings by name.

    Raises:
        ConfigError: a grouping does not exist or is no partition; `like:` names a random or staged grouping; or a block
            of a staged grouping does not lie within one block of its parent.
    """

    # A function, because finding them reads all samples, and few studies need them.
    def get_image_sources() -> dict[str, str]:
        return find_image_sources(sample for task_id in tasks for sample in dataset.by_task[task_id])

    groupings: dict[str, Grouping] = {}
    for name in study.groupings:
        config = _read_config(name, study)
        if config.like is None:
            grouping = partition_tasks(name, config, tasks, get_image_sources)
            staging = _make_staging(name, config, study, tasks, get_image_sources)
            if staging is not None:
                check_blocks(grouping, staging.parent)
            groupings[name] = replace(grouping, staging=staging)
            continue
        if config.like not in study.groupings:
            raise ConfigError(
                explain_unknown_name(f"grouping {name}: like: of the study's groupings", config.like, study.groupings)
            )
        like = _read_config(config.like, study)
        if like.like is not None:
            raise ConfigError(f"grouping {name}: like: {config.like} is itself random; name a grouping that is not")
        if like.parent is not None:
            raise ConfigError(f"grouping {name}: like: {config.like} is staged; name one whose runs have one stage")
        for grouping in draw_groupings(name, config, partition_tasks(config.like, like, tasks, get_image_sources)):
            groupings[grouping.name] = grouping
    if study.reference not in groupings:
        raise ConfigError(f"reference: {study.reference} is drawn at random; allowed: {', '.join(groupings)}")
    return groupings


def _make_staging(
    name: str, config: GroupingConfig, study: StudyConfig, tasks: Mapping[str, Task], get_image_sources: ImageSources
) -> Staging | None:
    """Return the parent and the second stage of a staged grouping; None for other groupings.

    Args:
        name: name of the grouping.
        config: content of its file.
        study: finds the parent's file; the parent need not be one of the study's groupings.
        tasks: tasks of the study by id.
        get_image_sources: returns the image source of each task.

    Raises:
        ConfigError: the parent does not exist, is no partition, or is itself random or staged.
    """
    if config.parent is None:
        return None
    key = f"grouping {name}: parent"
    try:
        parent_config = _read_config(config.parent, study)
    except ConfigError as error:
        raise ConfigError(f"{key}: {error}") from error
    if parent_config.like is not None or parent_config.parent is not None:
        problem = "drawn at random" if parent_config.like is not None else "itself staged"
        raise ConfigError(f"{key}: {config.parent} is {problem}; name a grouping whose runs have one stage")
    parent = partition_tasks(config.parent, parent_config, tasks, get_image_sources)
    return Staging(parent, config.share, config.budget, tuple(config.overrides))


def find_image_sources(samples: Iterable[Sample]) -> dict[str, str]:
    """Return the name of each task's image source.

    Tasks that share an image, directly or through other tasks, have the same source. Images are the same if their bytes
    are. A source is named after its first task, with the prefix `images_of_` if it has several tasks.
    """
    # Connected components by merging: a source is known by one of its tasks until all samples are read.
    sources: dict[str, str] = {}
    tasks_by_source: dict[str, set[str]] = {}
    first_tasks: dict[str, str] = {}
    for sample in samples:
        task = sample.task_id
        sources.setdefault(task, task)
        tasks_by_source.setdefault(sources[task], {task})
        source, other_source = sources[task], sources[first_tasks.setdefault(sample.image_hash, task)]
        if source != other_source:  # this image connects two sources
            tasks_by_source[source] |= tasks_by_source.pop(other_source)
            sources.update(dict.fromkeys(tasks_by_source[source], source))
    names: dict[str, str] = {}
    for tasks in tasks_by_source.values():
        for task in sorted(tasks):
            names[task] = task if len(tasks) == 1 else f"images_of_{min(tasks)}"
    return names


def describe_groupings(groupings: Mapping[str, Grouping]) -> str:
    """Return the content of groupings.yaml: blocks, the origin of random groupings, the stages of staged ones."""
    content: dict[str, dict[str, Any]] = defaultdict(dict)
    for name, grouping in groupings.items():
        if grouping.control:
            content[name] |= {"control": grouping.control, "like": grouping.like}
        if staging := grouping.staging:
            content[name] |= {"parent": staging.parent.name, "share": staging.share, "budget": staging.budget}
            content[name] |= {"overrides": list(staging.overrides)} if staging.overrides else {}
        content[name]["blocks"] = {block: list(tasks) for block, tasks in grouping.blocks.items()}
    return yaml.safe_dump(dict(content), sort_keys=False, width=120)


def _read_config(name: str, study: StudyConfig) -> GroupingConfig:
    try:
        return GroupingConfig.model_validate(read_grouping(name, study))
    except ValidationError as error:
        lines = explain(error, schema=GroupingConfig).splitlines()
        raise ConfigError(*(f"grouping {name}: {line}" for line in lines)) from error
