"""Composition of a study: Hydra merges `conf/`, a study of `sweeps/` and overrides, and the schema checks the values.

Each error ends as one `ConfigError` with one line per key. Hydra is imported only when something is composed.
"""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from usaggr.config.folders import find_grouping, locate_study, read_mapping, search_folders
from usaggr.config.messages import explain
from usaggr.config.overrides import read_overrides
from usaggr.config.study import Origin, StudyConfig
from usaggr.errors import ConfigError, explain_unknown_name
from usaggr.tasks import CATALOGUE

DEFAULT_STUDY = "demo"
PROPOSE = "propose"
"""Entry of a study's file with the keys that a plan proposes from the data; it is no key of the configuration."""
PROPOSED_KEYS = ("model", "data.image_size")
"""Keys that can be proposed."""
VARIANT_ROOTS = ("model", "training", "metrics")
VARIANT_KEYS = ("data.image_size", "data.channels")
"""Further keys that a variant may change: they decide how images are read, not which samples and subsets there are."""


def compose_study(
    study: str = DEFAULT_STUDY, overrides: Sequence[str] = (), config_dir: Path | None = None
) -> StudyConfig:
    """Return the configuration of a study with overrides.

    Each variant is composed too, so that a mistake in one is found here.

    Args:
        study: Name of a file in a `sweeps/` folder, or a path that ends in .yaml.
        overrides: In Hydra's grammar, such as `seeds=[0,1]`.
        config_dir: Folder that is searched before `./conf` and `./sweeps`; None: no further folder.

    Raises:
        ConfigError: An unknown study, key, choice or grouping, an invalid value, or a file that is not YAML.
    """
    folders, config = locate_study(study, config_dir)
    composed = _compose(Origin(folders, config, tuple(overrides)))
    for name in composed.groupings:
        find_grouping(name, folders)
    # Groupings and tasks are checked here, because the schema knows neither folders nor the catalog.
    for task in composed.data.synthetic.tasks:
        if task not in CATALOGUE:
            raise ConfigError(explain_unknown_name("data.synthetic.tasks", task, CATALOGUE))
    for name, changes in composed.variants.items():
        try:
            apply_variant(composed, changes)
        except ConfigError as error:
            raise ConfigError(*(f"variants.{name}: {line}" for line in str(error).splitlines())) from error
    return composed


def apply_variant(study: StudyConfig, overrides: Sequence[str]) -> StudyConfig:
    """Compose a study again, with a variant's overrides after all others.

    A variant may change `model`, `training` and `metrics` (a group's choice or single keys), `data.image_size` and
    `data.channels`. It may not change the samples or their subsets, which all variants share.

    Raises:
        ConfigError: An override of another key, or one that the schema refuses.
    """
    if not overrides:
        return study
    origin = study.origin
    if not origin.config:
        raise ConfigError(f"{study.name}: variants need the study's own file, and this study was read from results")
    for override in read_overrides(overrides, origin.folders):
        if override.key.partition(".")[0] not in VARIANT_ROOTS and override.key not in VARIANT_KEYS:
            raise ConfigError(f"{override.key}: a variant may only change {', '.join(VARIANT_ROOTS + VARIANT_KEYS)}")
    return _compose(Origin(origin.folders, origin.config, (*origin.overrides, *overrides)))


def add_proposal(study: StudyConfig, overrides: Sequence[str]) -> StudyConfig:
    """Compose a study again with proposed overrides before those of the command line, which therefore win.

    Only `data`, `model` and `training` are replaced, so that other sections keep changes that a command has made.
    """
    origin = study.origin
    proposed = _compose(dataclasses.replace(origin, overrides=(*overrides, *origin.overrides)))
    sections = {name: getattr(proposed, name) for name in ("data", "model", "training")}
    changed = study.model_copy(update=sections)
    return changed.composed_from(dataclasses.replace(proposed.origin, proposes=()))


def read_grouping(name: str, study: StudyConfig) -> dict[str, Any]:
    """Return the content of `grouping/<name>.yaml`, from the first of the study's folders that has it.

    Raises:
        ConfigError: The grouping does not exist, or its file does not hold a YAML mapping.
    """
    return read_mapping(find_grouping(name, study.origin.folders or search_folders(None)))


def describe_study(study: StudyConfig) -> str:
    """Return all values as YAML, as `study.yaml` keeps them."""
    return yaml.safe_dump(study.model_dump(), sort_keys=False, width=120)


def describe_values(study: StudyConfig) -> str:
    """Return one line per value: its dotted key, and the file or the command line that it comes from."""
    from usaggr.config.hydra import find_sources, list_values

    sources = find_sources(study.origin)
    lines = {
        key: f"{key}: {value if isinstance(value, str) else json.dumps(value)}"
        for key, value in list_values(study.model_dump(), "")
    }
    width = min(60, max(map(len, lines.values())))
    return "".join(f"{line:<{width}}  # {_find_source(key, sources)}\n" for key, line in lines.items())


def _find_source(key: str, sources: dict[str, str]) -> str:
    """Return the source of a key, or of the nearest mapping around it: a file may give a mapping as a whole."""
    while key and key not in sources:
        key = key.rpartition(".")[0]
    return sources.get(key, "")


def _read_proposed_keys(keys: Any) -> tuple[str, ...]:
    """Return the content of `propose`.

    Raises:
        ConfigError: It is not a list of keys that can be proposed.
    """
    if not isinstance(keys, list) or any(key not in PROPOSED_KEYS for key in keys):
        raise ConfigError(f"{PROPOSE}: must be a list of {', '.join(PROPOSED_KEYS)}; got {keys}")
    return tuple(keys)


def _compose(origin: Origin) -> StudyConfig:
    from usaggr.config.hydra import COMMAND_LINE, compose_values, find_sources

    values = compose_values(origin)
    origin = dataclasses.replace(origin, proposes=_read_proposed_keys(values.pop(PROPOSE, [])))
    try:
        return StudyConfig.model_validate(values).composed_from(origin)
    except ValidationError as error:
        sources = find_sources(origin)
        files = {key: f" ({source})" for key, source in sources.items() if source != COMMAND_LINE}
        typed_values = {override.key: override.value for override in read_overrides(origin.overrides, origin.folders)}

        def find_file(key: str) -> str:
            # The value of seeds[1] is written where seeds is, and an unknown mapping where its first value is.
            written = key.partition("[")[0]
            first = next((other for other in sources if other.startswith(f"{written}.")), written)
            return files.get(written if written in sources else first, "")

        raise ConfigError(*explain(error, find_file, typed_values=typed_values).splitlines()) from error
