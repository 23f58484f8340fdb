"""Import hook for torchvision builds whose compiled operators do not fit the installed torch.

A CPU build of torch with torchvision from the package index fails at `import torchvision` with "operator
torchvision::nms does not exist": its library `_C` cannot be loaded, so its operators are not declared. Declaring their
schemas is enough for usaggr, which uses no compiled operator. The hook does this only when torchvision is imported, so
that importing usaggr does not import torch.
"""

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_fragment: object = None
"""Keeps the declarations alive, because torch removes those of a library object that is garbage-collected."""


class _BeforeTorchvision(importlib.abc.MetaPathFinder):
    """Finder that acts once, right before torchvision is first imported, and finds no module itself."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname == "torchvision":
            sys.meta_path.remove(self)
            _declare_missing_operators()
        return None


def install() -> None:
    """Install the hook, unless it is installed already or torchvision is imported."""
    if "torchvision" not in sys.modules and not any(isinstance(f, _BeforeTorchvision) for f in sys.meta_path):
        sys.meta_path.insert(0, _BeforeTorchvision())


def _declare_missing_operators() -> None:
    global _fragment
    import torch

    if _compiled_library_loads():
        return
    # A fragment adds operators without claiming the namespace "torchvision", which belongs to torchvision itself.
    library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for schema in _SCHEMAS:
        library.define(schema)  # type: ignore[no-untyped-call]
    _fragment = library


def _compiled_library_loads() -> bool:
    """Return whether torchvision's library `_C` fits this torch and so declares the operators itself."""
    import torch

    spec = importlib.machinery.PathFinder.find_spec("torchvision")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        library = importlib.machinery.PathFinder.find_spec("_C", [folder])
        if library and library.origin:
            try:
                torch.ops.load_library(library.origin)  # type: ignore[no-untyped-call]
            except OSError:
                return False
            return True
    return False
