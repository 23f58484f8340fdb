"""Import hook for torchvision builds whose compiled operators are incompatible with the installed torch.

With a CPU build of torch, the torchvision of the package index fails at `import torchvision`: "operator
torchvision::nms does not exist". Its compiled library `_C` cannot be loaded, so that its operators are not declared.
usaggr calls none of them, so it is enough to declare their schemas (signatures without an implementation). The hook
waits until torchvision is imported, so that importing usaggr does not import torch.
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
"""Operators that `import torchvision` expects to exist."""
_declarations: object = None
"""Library object that holds the declarations. Torch removes them if this object is garbage-collected."""


class _BeforeTorchvision(importlib.abc.MetaPathFinder):
    """Entry of `sys.meta_path`, which Python asks for each module before it is imported.

    It acts once, when Python asks for torchvision. It finds no module itself, so that the usual finders do.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Declare the operators when torchvision is imported, and leave every import to the other finders.

        Args:
            fullname: Name of the imported module.
            path: Folders of its package; not used.
            target: Module that is reloaded; not used.
        """
        if fullname == "torchvision":
            sys.meta_path.remove(self)
            _declare_missing_operators()
        return None


def install() -> None:
    """Install the hook, unless it is already installed or torchvision is already imported."""
    if "torchvision" not in sys.modules and not any(isinstance(finder, _BeforeTorchvision) for finder in sys.meta_path):
        sys.meta_path.insert(0, _BeforeTorchvision())


def _declare_missing_operators() -> None:
    """Declare the operators of torchvision, unless its compiled library declares them."""
    global _declarations
    import torch

    if _load_compiled_library():
        return
    # FRAGMENT adds operators without owning the namespace "torchvision", which torchvision itself defines later.
    library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for schema in _SCHEMAS:
        library.define(schema)  # type: ignore[no-untyped-call]
    _declarations = library


def _load_compiled_library() -> bool:
    """Load torchvision's compiled library `_C`, which declares the operators; return whether this succeeded."""
    import torch

    # `PathFinder` searches the files without an import of torchvision, which would fail here.
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
