"""A process that checks networks imports neither torch's compiler nor a tracker, and gets them if it needs them."""

import subprocess
import sys

import pytest

CHECK = """
import sys
from usaggr.models.deferred_imports import defer_imports
defer_imports()
from usaggr.models.checking import check_network
from usaggr.config.compose import compose_study
from usaggr.tasks import CATALOGUE
library = [("mh_mtl", encoder) for encoder in ("resnet18", "efficientnet-b0", "tu-convnext_atto")]
for network, encoder in [*library, ("m2dino", "test_vit")]:
    words = [f"model={network}", f"model.encoder={encoder}"]
    assert check_network(compose_study("demo", words).model, [CATALOGUE["lung"]], (64, 64)).download is None
print([name for name in ("sympy", "torch._dynamo.convert_frame", "wandb.sdk") if name in sys.modules])
"""
COMPILE = """
from usaggr.models.deferred_imports import defer_imports
defer_imports()
import torch
import torch._dynamo.config as config
from torch._dynamo.utils import is_compile_supported
assert config.recompile_limit > 0 and is_compile_supported("cpu") in (True, False)
print(torch.compile(lambda x: x + 1, backend="eager")(torch.ones(1)).item())
"""


def run(program: str) -> str:
    words = [sys.executable, "-c", program]
    finished = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


@pytest.mark.slow
def test_networks_are_built_without_the_compiler_and_the_tracker() -> None:
    assert run(CHECK) == "[]\n"


@pytest.mark.slow
def test_the_compiler_is_imported_when_it_is_needed() -> None:
    assert run(COMPILE) == "2.0\n"
