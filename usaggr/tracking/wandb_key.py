"""Check that Weights & Biases has an API key, before a sweep trains runs that could not be logged.

The key itself is not read into usaggr; importing wandb would take a second, so its places are looked up here.
"""

import configparser
import os
from dataclasses import dataclass
from pathlib import Path

from usaggr.errors import ConfigError
from usaggr.tracking.netrc_files import find_host, has_netrc_entry

_OFFLINE = ("offline", "disabled", "dryrun")
"""Modes in which W&B needs no key."""
_KEY_VARIABLES = ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE")
_DEFAULT_SERVER = "https://api.wandb.ai"


@dataclass(frozen=True)
class WandbAccess:
    """Access of runs to W&B, from its environment variables, settings and logins."""

    mode: str
    """online, offline, disabled or dryrun."""
    server: str
    """Address of the server."""
    has_key: bool

    @property
    def needs_server(self) -> bool:
        """True if runs are sent to the server."""
        return self.mode not in _OFFLINE


def find_wandb_access() -> WandbAccess:
    """Return how runs will reach W&B."""
    settings = _read_settings()
    server = os.environ.get("WANDB_BASE_URL") or settings.get("base_url", _DEFAULT_SERVER)
    has_key = any(os.environ.get(name) for name in _KEY_VARIABLES) or bool(
        settings.keys() & {"api_key", "identity_token_file"}
    )
    mode = os.environ.get("WANDB_MODE") or settings.get("mode", "online")
    return WandbAccess(mode, server, has_key or has_netrc_entry(find_host(server) or server))


def check_wandb_key() -> None:
    """Check that there is a key for W&B's server, or that W&B works offline.

    Raises:
        ConfigError: Neither is the case.
    """
    access = find_wandb_access()
    if access.needs_server and not access.has_key:
        raise ConfigError(
            f"logger=wandb: no API key for {access.server}; run `wandb login`, or set WANDB_API_KEY, or keep all files "
            "on this machine with WANDB_MODE=offline"
        )


def _read_settings() -> dict[str, str]:
    """Return the settings that `wandb offline` and `wandb login` write; those of the current folder come first."""
    settings: dict[str, str] = {}
    # Path.expanduser would raise without a home folder.
    folder = os.environ.get("WANDB_CONFIG_DIR") or os.path.expanduser("~/.config/wandb")  # noqa: PTH111
    for path in (Path(folder) / "settings", Path("wandb") / "settings"):
        parser = configparser.ConfigParser(interpolation=None)
        try:
            parser.read(path, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError, OSError):
            continue  # wandb itself reports a damaged file
        settings |= dict(parser["default"]) if parser.has_section("default") else {}
    return settings
