"""Composes a study: Hydra puts `conf/`, a study of `sweeps/` and overrides together, the schema says if they are right.

Everything that is wrong ends as one `ConfigError`, with a line a fault. Hydra is imported on first use only.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from usaggr.config.folders import find_grouping, locate_study, read_mapping, search_folders
from usaggr.config.messages import explain
from usaggr.config.study import Origin, StudyConfig
from usaggr.errors import ConfigError, one_of
from usaggr.tasks import CATALOGUE

DEFAULT_STUDY = "demo"
VARIANT_ROOTS = ("model", "training", "metrics")
VARIANT_KEYS = ("data.image_size", "data.channels")
"""What a variant may change beside its roots: how images are seen, not which samples there are nor their folds."""


def compose_study(
    study: str = DEFAULT_STUDY, overrides: Sequence[str] = (), config_dir: Path | None = None
) -> StudyConfig:
    """The configuration of a study with overrides in Hydra's grammar.

    `study` is the name of a file in a `sweeps/` folder, or a path that ends in .yaml. Each variant is composed too, so
    that a mistake in one is found here.

    Raises:
        ConfigError: unknown study, key, choice or grouping; a wrong value; a file that cannot be read as YAML.
    """
    folders, config = locate_study(study, config_dir)
    composed = _composed(Origin(folders, config, tuple(overrides)))
    for name in composed.groupings:
        find_grouping(name, folders)
    for task in composed.data.synthetic.tasks:
        if task not in CATALOGUE:
            raise ConfigError(one_of("data.synthetic.tasks", task, CATALOGUE))
    for name, changes in composed.variants.items():
        try:
            apply_variant(composed, changes)
        except ConfigError as error:
            raise ConfigError("\n".join(f"variants.{name}: {line}" for line in str(error).splitlines())) from error
    return composed


def apply_variant(study: StudyConfig, overrides: Sequence[str]) -> StudyConfig:
    """The study composed once more, with a variant's overrides after all others.

    A variant may change `model`, `training` and `metrics` (a group's choice or single keys), `data.image_size` and
    `data.channels`. It may not change which samples there are or their folds, which all variants share.

    Raises:
        ConfigError: an override of another key, or one that the schema refuses.
    """
    if not overrides:
        return study
    from usaggr.config.hydra import parse_overrides

    origin = study.origin
    if not origin.config:
        raise ConfigError(f"{study.name}: variants are composed from the study's own file; this was read from results")
    for override in parse_overrides(overrides, origin.folders):
        if override.key.partition(".")[0] not in VARIANT_ROOTS and override.key not in VARIANT_KEYS:
            raise ConfigError(
                f"{override.key}: a variant may change {', '.join(VARIANT_ROOTS + VARIANT_KEYS)}, and no other key"
            )
    return _composed(Origin(origin.folders, origin.config, (*origin.overrides, *overrides)))


def read_grouping(name: str, study: StudyConfig) -> dict[str, Any]:
    """Content of `grouping/<name>.yaml`, from the first of the study's folders that has it.

    Raises:
        ConfigError: no such grouping, or not a YAML mapping.
    """
    return read_mapping(find_grouping(name, study.origin.folders or search_folders(None)))


def describe_study(study: StudyConfig) -> str:
    """All values as YAML, as `study.yaml` keeps them."""
    return yaml.safe_dump(study.model_dump(), sort_keys=False, width=120)


def describe_values(study: StudyConfig) -> str:
    """A line a value: its dotted key, and where it comes from, a file or the command line."""
    from usaggr.config.hydra import sources_of

    sources = sources_of(study.origin)
    values = list(_values(study.model_dump(), ""))
    width = min(60, max(len(f"{key}: {value}") for key, value in values))
    return "".join(f"{f'{key}: {value}':<{width}}  # {_nearest_source(key, sources)}\n" for key, value in values)


def _values(content: Any, key: str) -> Iterator[tuple[str, str]]:
    """Dotted keys with their values, as in YAML."""
    if isinstance(content, dict) and content:
        for name, value in content.items():
            yield from _values(value, f"{key}.{name}" if key else name)
    else:
        yield key, content if isinstance(content, str) else json.dumps(content)


def _nearest_source(key: str, sources: dict[str, str]) -> str:
    while key and key not in sources:
        key = key.rpartition(".")[0]
    return sources.get(key, "")


def _composed(origin: Origin) -> StudyConfig:
    from usaggr.config.hydra import COMMAND_LINE, compose_values, sources_of

    values = compose_values(origin)
    try:
        return StudyConfig.model_validate(values).composed_from(origin)
    except ValidationError as error:
        sources = sources_of(origin)
        files = {key: f" ({source})" for key, source in sources.items() if source != COMMAND_LINE}
        raise ConfigError(explain(error, lambda key: files.get(key.partition("[")[0], ""))) from error
