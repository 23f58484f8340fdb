"""Choice of the backend with which matplotlib is imported.

usaggr draws into files only. `MPLBACKEND` may nevertheless name a backend that does not exist in this environment: a
notebook sets `module://matplotlib_inline.backend_inline` for the commands in its cells, too. Importing matplotlib then
fails, also where a library imports it in a worker process.
"""

import importlib.util
import os

_VARIABLE = "MPLBACKEND"
_PREFIX = "module://"
_BUILT_IN = frozenset([
    "agg", "cairo", "gtk3agg", "gtk3cairo", "gtk4agg", "gtk4cairo", "macosx", "nbagg", "notebook", "pdf", "pgf", "ps",
    "qt5agg", "qt5cairo", "qtagg", "qtcairo", "svg", "template", "tkagg", "tkcairo", "webagg", "wx", "wxagg", "wxcairo",
])  # fmt: skip
"""Names of matplotlib's own backends in lower case."""


def replace_unusable_backend() -> None:
    """Set MPLBACKEND to Agg in this process and its children if it names a backend that cannot be imported."""
    name = os.environ.get(_VARIABLE, "")
    if name and name.lower() not in _BUILT_IN and not _exists(name):
        os.environ[_VARIABLE] = "Agg"


def _exists(backend: str) -> bool:
    """Return whether a backend is a module that can be imported, without importing it."""
    if not backend.startswith(_PREFIX):
        return False
    try:
        return importlib.util.find_spec(backend.removeprefix(_PREFIX)) is not None
    except (ImportError, ValueError):
        return False
