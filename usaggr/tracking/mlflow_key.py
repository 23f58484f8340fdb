"""Check that MLflow's server has a login, if it asks for one, before a sweep trains runs that could not be logged.

The login itself is not read into usaggr. A server that cannot be reached is no error here: runs are trained without it.
"""

import configparser
import os
import urllib.error
import urllib.request
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

from usaggr.errors import ConfigError
from usaggr.tracking.netrc_files import has_netrc_entry

_SECONDS = 3.0
"""Limit of the time to wait for the server's answer."""
_REQUEST = "/api/2.0/mlflow/experiments/search?max_results=1"
"""Request that changes nothing, and that a server with logins refuses without one."""


def check_mlflow_key(location: str) -> None:
    """Check that there is a login for MLflow's server, if it asks for one.

    Args:
        location: MLflow's tracking URI.

    Raises:
        ConfigError: The server asks for a login, and there is none.
    """
    parts = urlsplit(location)
    if parts.scheme == "databricks" or location == "databricks":
        if not _has_databricks_login():
            raise ConfigError(
                "logger=mlflow: no login for Databricks; run `databricks configure`, or set DATABRICKS_HOST and "
                "DATABRICKS_TOKEN"
            )
    elif parts.scheme in ("http", "https") and not parts.username and not _has_login(parts.hostname or ""):
        server = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
        if _asks_for_login(server):
            raise ConfigError(
                f"logger=mlflow: {server} asks for a login; set MLFLOW_TRACKING_USERNAME and "
                "MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
            )


def _asks_for_login(server: str) -> bool:
    """Return whether a server refuses a request without a login; False if it cannot be reached."""
    try:
        with urllib.request.urlopen(server + _REQUEST, timeout=_SECONDS):
            return False
    except urllib.error.HTTPError as error:
        return error.code == HTTPStatus.UNAUTHORIZED
    except (OSError, ValueError):
        return False


def _has_login(host: str) -> bool:
    """Return whether MLflow will find a login in the environment, its credentials file or a netrc file."""
    if os.environ.get("MLFLOW_TRACKING_TOKEN") or os.environ.get("MLFLOW_TRACKING_AUTH"):
        return True
    if os.environ.get("MLFLOW_TRACKING_USERNAME") and os.environ.get("MLFLOW_TRACKING_PASSWORD"):
        return True
    return _has_section("~/.mlflow/credentials") or has_netrc_entry(host)


def _has_databricks_login() -> bool:
    if os.environ.get("DATABRICKS_HOST") and (
        os.environ.get("DATABRICKS_TOKEN") or os.environ.get("DATABRICKS_CLIENT_ID")
    ):
        return True
    return _has_section(os.environ.get("DATABRICKS_CONFIG_FILE") or "~/.databrickscfg")


def _has_section(file: str) -> bool:
    """Return whether a file of settings has any, or cannot be read, because MLflow may still read it."""
    # Path.expanduser would raise without a home folder.
    path = Path(os.path.expanduser(file))  # noqa: PTH111
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(path, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError, OSError):
        return True
    return bool(parser.sections() or parser.defaults())
