"""Check of a plan's networks without their weights, so that `usaggr plan` refuses an encoder that does not exist.

It also returns how large the weights of each network will be. The check imports torch, so it runs in a process of its
own (`usaggr.models.check_process`). Networks that an earlier plan or sweep has built are left out, so that most plans
start no process.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import TypeAdapter

import usaggr
from usaggr.data.read.paths import find_cache_folder
from usaggr.errors import ConfigError, UsaggrError
from usaggr.io.bounded_content import parse_json
from usaggr.models.weight_sizes import WeightSizes
from usaggr.sweep.network_checks import Network, find_distinct_networks
from usaggr.sweep.network_sizes import describe_network, read_sizes, write_sizes
from usaggr.sweep.planning.study_plan import Plan

NetworkSizes = dict[str, WeightSizes]
"""Sizes of the networks of a plan by `Network.key`; a network whose size could not be found out is missing."""
_Answer = str | WeightSizes
"""Fault of a network, or its sizes."""
_PATIENCE = 120.0
"""Seconds to wait for the check; without an answer, the plan is printed, and the sweep checks its networks itself."""
_SHIPPED_ENCODERS = {
    "mh_mtl": {"efficientnet-b4", "tu-test_resnet"},
    "m2dino": {"vit_base_patch16_dinov3", "vit_small_patch16_dinov3", "test_vit"},
}
"""Encoders of conf/model by network; tests build them."""
_PROGRAM = "import sys; sys.path.insert(1, sys.argv[1]); from usaggr.models.check_process import main; main()"
"""Program of the process. The folder of this package comes after Python's own, and the current folder is left out."""


def check_planned_networks(
    plan: Plan, check: Callable[[Sequence[Network]], Sequence[_Answer]] | None = None
) -> NetworkSizes:
    """Check that the encoder of each network exists and fits, without loading or downloading weights.

    Networks with an encoder of a shipped configuration are only built if their sizes are needed.

    Args:
        plan: runs of the study.
        check: Builds networks. Default: in a process of its own, since this one imports no torch.

    Raises:
        ConfigError: A network cannot be built.
    """
    networks = find_distinct_networks(plan, plan.runs)
    cache = find_cache_folder(plan.study.data)
    sizes = {network.key: stored for network in networks if (stored := read_sizes(cache, network)) is not None}
    needs_sizes = any(run.study.training.keep_weights != "none" for run in plan.runs)
    unchecked = [n for n in networks if n.key not in sizes and (needs_sizes or not _is_shipped(n))]
    for network, answer in zip(unchecked, (check or _check_in_process)(unchecked), strict=False):
        if isinstance(answer, str):
            prefix = f"variant {network.variant}: " if len(plan.study.variants) > 1 else ""
            raise ConfigError(*(prefix + answer).splitlines())
        write_sizes(cache, network, answer)
        sizes[network.key] = answer
    return sizes


def check_networks_here(networks: Sequence[Network]) -> list[_Answer]:
    """Build each network in this process, which imports torch; return their faults and sizes."""
    from usaggr.models.checking import check_network

    answers: list[_Answer] = []
    for network in networks:
        model = network.model.model_copy(update={"weights": None})
        try:
            answers.append(check_network(model, network.tasks, network.size).sizes)
        except UsaggrError as error:
            answers.append(str(error))
    return answers


def _is_shipped(network: Network) -> bool:
    """Return whether the network has an encoder of a shipped configuration, with the blocks that are its default."""
    model = network.model
    return model.encoder in _SHIPPED_ENCODERS[model.name] and getattr(model, "conditioned_blocks", None) is None


def _check_in_process(networks: Sequence[Network]) -> list[_Answer]:
    """Return the fault or the sizes of each network; an empty list if the process gives no answer."""
    if not networks:
        return []
    root = Path(usaggr.__file__).resolve().parents[1]
    content = json.dumps([describe_network(network) for network in networks])
    try:
        finished = subprocess.run(
            [sys.executable, "-P", "-c", _PROGRAM, str(root)],
            input=content, capture_output=True, text=True, encoding="utf-8", timeout=_PATIENCE,
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
        )  # fmt: skip
        answers = parse_json(finished.stdout.splitlines()[-1])
        return TypeAdapter(list[_Answer]).validate_python(answers)
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return []
