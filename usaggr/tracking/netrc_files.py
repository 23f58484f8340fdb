"""Logins in netrc files; they are only looked for, and never read into usaggr."""

import netrc
import os
from urllib.parse import urlsplit


def find_host(address: str) -> str:
    """Return the host of an address; empty if the address is not valid."""
    try:
        return urlsplit(address).hostname or ""
    except ValueError:  # such as http://[wandb
        return ""


def has_netrc_entry(host: str) -> bool:
    """Return whether a netrc file names the host, or cannot be read, because a tracker may still read it."""
    paths = [os.environ["NETRC"]] if os.environ.get("NETRC") else ["~/.netrc", "~/_netrc"]
    for path in map(os.path.expanduser, paths):
        try:
            if netrc.netrc(path).authenticators(host) is not None:
                return True
        except FileNotFoundError:
            continue
        except (OSError, netrc.NetrcParseError, UnicodeDecodeError):
            return True
    return False
