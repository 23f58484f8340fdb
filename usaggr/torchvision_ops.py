"""Lets torchvision be imported beside a torch build that its compiled operators do not fit.

A CPU build of torch with torchvision from the registry fails at `import torchvision` with "operator torchvision::nms
does not exist": its library `_C` cannot be loaded, and the operators it would declare are missing. Declaring their
schemas is enough for everything that usaggr uses (no compiled operator). An import hook does so lazily, so that
importing usaggr does not import torch.
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
"""Keeps the declaration alive: torch forgets a library that is collected."""


class _BeforeTorchvision(importlib.abc.MetaPathFinder):
    """Runs once, right before torchvision is first imported; finds nothing itself."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname == "torchvision":
            sys.meta_path.remove(self)
            _declare_missing_operators()
        return None


def install() -> None:
    """Put the hook in place, unless torchvision or the hook is there already."""
    if "torchvision" not in sys.modules and not any(isinstance(f, _BeforeTorchvision) for f in sys.meta_path):
        sys.meta_path.insert(0, _BeforeTorchvision())


def _declare_missing_operators() -> None:
    global _fragment
    import torch

    if _compiled_library_loads():
        return
    library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for schema in _SCHEMAS:
        library.define(schema)  # type: ignore[no-untyped-call]
    _fragment = library


def _compiled_library_loads() -> bool:
    """Whether torchvision's own `_C` fits this torch: then it declares its operators itself."""
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
