"""Writing of studies, and the message with which one is refused."""

from pathlib import Path

import pytest

from usaggr.config.compose import compose_study
from usaggr.errors import ConfigError


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def refusal(*overrides: str, study: str = "demo", config_dir: Path | None = None) -> str:
    """Return the message of the error that composing a study raises."""
    with pytest.raises(ConfigError) as error:
        compose_study(study, overrides, config_dir)
    return str(error.value)
