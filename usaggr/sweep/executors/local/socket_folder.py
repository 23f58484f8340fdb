"""Folder of the sockets through which worker processes are started."""

import os
import shutil
import tempfile
from multiprocessing import process, util
from pathlib import Path
from typing import Any

from usaggr.errors import RunError

_LONGEST_SOCKET = 103
"""Bytes that the path of a socket may have on every system: 107 on Linux, 103 on macOS."""
_NAME_LENGTH = len("/pymp-12345678/listener-12345678")
"""Bytes that multiprocessing appends to the temporary folder."""
_SHORT_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm")


def use_short_socket_folder() -> None:
    """Let multiprocessing keep its sockets in a folder whose path is short enough for them, and that exists.

    It is in the temporary folder ($TMPDIR), or in /tmp if the path of the former is too long or it was removed.

    Raises:
        RunError: No folder with a short path is writable.
    """
    config: dict[str, Any] = process.current_process()._config  # type: ignore[attr-defined]
    folder = config.get("tempdir")
    is_short = folder is not None and len(os.fsencode(folder)) + len("/listener-12345678") <= _LONGEST_SOCKET
    if folder is not None and is_short and Path(folder).is_dir():
        return
    temporary = tempfile.gettempdir()
    length = len(os.fsencode(temporary))
    is_too_long = length + _NAME_LENGTH > _LONGEST_SOCKET
    for parent in _SHORT_FOLDERS if is_too_long else (temporary, *_SHORT_FOLDERS):
        try:
            folder = tempfile.mkdtemp(prefix="pymp-", dir=parent)
        except OSError:
            continue
        util.Finalize(None, shutil.rmtree, args=(folder,), kwargs={"ignore_errors": True}, exitpriority=-100)
        config["tempdir"] = folder
        return
    short_folders = ", ".join(_SHORT_FOLDERS)
    if is_too_long:
        raise RunError(
            f"TMPDIR={temporary}: its path has {length} bytes, of which sockets allow "
            f"{_LONGEST_SOCKET - _NAME_LENGTH}, and {short_folders} are not writable; set TMPDIR to a shorter path"
        )
    raise RunError(f"TMPDIR={temporary} and {short_folders} are not writable; set TMPDIR to a folder that is")
