"""Imports of libraries that a check of networks does not need; without them it takes half of the processor time.

Only for a process that does nothing else than to build networks, before it imports any library of models.
"""

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch

_COMPILER = ("torch._dynamo", "torch._dynamo.utils")
"""torch's compiler, with sympy. torchvision, timm and torch's initialization of weights import it for few functions."""
_TRACKER = "wandb"
"""Package that timm imports if it is installed."""


class _DeferredModule(ModuleType):
    """A module that is imported as soon as something of it is needed that `defer_imports` does not provide."""

    def __getattr__(self, name: str) -> Any:
        # The import system asks for names with underscores; only the path of the package means a further import.
        if name.startswith("__") and (name, self.__name__) != ("__path__", _COMPILER[0]):
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            for module in _COMPILER:
                sys.modules.pop(module, None)
            torch.__dict__.pop("_dynamo", None)
            from torch._dynamo import utils  # noqa: F401 - puts both real modules into sys.modules
        return getattr(sys.modules[self.__name__], name)


def defer_imports() -> None:
    """Put deferred modules in place of torch's compiler, and leave out the tracker.

    Nothing is compiled in this process, so functions that are marked for the compiler are left as they are.
    """
    compiler, utilities = (_DeferredModule(name) for name in _COMPILER)

    def is_compile_supported(device_type: str) -> bool:
        return bool(utilities.__getattr__("is_compile_supported")(device_type))

    compiler.__dict__["disable"] = _leave_unmarked
    utilities.__dict__["is_compile_supported"] = is_compile_supported
    if not any(name in sys.modules for name in _COMPILER):
        sys.modules.update(zip(_COMPILER, (compiler, utilities), strict=True))
        torch.__dict__["_dynamo"] = compiler
    sys.modules.setdefault(_TRACKER, None)  # type: ignore[arg-type]  # an import fails, as if it was not installed


def _leave_unmarked(function: Callable[..., Any] | None = None, *args: Any, **options: Any) -> Any:
    """Return a function as it is, or a decorator that does so."""
    return (lambda decorated: decorated) if function is None else function
