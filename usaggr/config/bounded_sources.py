"""A check of each file that Hydra reads, because Hydra's own reader has no limits."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult, ConfigSource

from usaggr.config.folders import read_mapping


@contextmanager
def check_config_files() -> Iterator[None]:
    """Check each file of a study and its groups with `read_mapping` before Hydra reads it, within the context.

    Hydra finds the files itself, from the defaults of other files, so that they cannot be checked in advance. Its
    class for files is changed within the context only: programs that use Hydra themselves are not affected.
    """
    Plugins.instance()  # fills the registry; Hydra's class is not the one that its module would give to an import
    reader: Any = SourcesRegistry.instance().resolve("file")
    load_config = reader.load_config

    def check_and_load(source: ConfigSource, config_path: str) -> ConfigResult:
        path = Path(source.path, source._normalize_file_name(config_path))
        if path.exists():  # Hydra names a file that is missing
            read_mapping(path)
        result: ConfigResult = load_config(source, config_path)
        return result

    reader.load_config = check_and_load
    try:
        yield
    finally:
        reader.load_config = load_config
