"""Check of a plan's networks without their weights, so that `usaggr plan` refuses an encoder that does not exist.

The check imports torch, so it runs in a process of its own (this module as a program). Networks of the shipped
configurations and networks that an earlier plan has checked are left out, so that most plans start no process.
"""

import dataclasses
import hashlib
import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

import usaggr
from usaggr.config.model import ModelConfig
from usaggr.data.read.paths import find_cache_folder
from usaggr.errors import ConfigError, UsaggrError
from usaggr.io.atomic_files import write_atomic
from usaggr.io.bounded_content import parse_json
from usaggr.sweep.network_checks import Network, find_distinct_networks
from usaggr.sweep.planning.study_plan import Plan
from usaggr.tasks import Task

_PATIENCE = 120.0
"""Seconds to wait for the check; without an answer, the plan is printed, and the sweep checks its networks itself."""
_LIBRARIES = ("torch", "timm", "segmentation-models-pytorch")
"""Packages whose versions decide which encoders there are."""
_SHIPPED_ENCODERS = {
    "mh_mtl": {"efficientnet-b4", "tu-test_resnet"},
    "m2dino": {"vit_base_patch16_dinov3", "vit_small_patch16_dinov3", "test_vit"},
}
"""Encoders of conf/model by network; tests build them."""
_PROGRAM = "import sys; sys.path.insert(1, sys.argv[1]); from usaggr.sweep.inspect.planned_networks import main; main()"
"""Program of the process. The folder of this package comes after Python's own, and the current folder is left out."""


def check_planned_networks(plan: Plan) -> None:
    """Check that the encoder of each network exists and fits, without loading or downloading weights.

    Raises:
        ConfigError: A network cannot be built.
    """
    networks = [network for network in find_distinct_networks(plan, plan.runs) if not _is_shipped(network)]
    folder = find_cache_folder(plan.study.data) / "networks"
    unchecked = [network for network in networks if not (folder / _hash_network(network)).is_file()]
    for network, fault in zip(unchecked, _check_in_process(unchecked), strict=False):
        if fault:
            raise ConfigError(f"variant {network.variant}: {fault}" if len(plan.study.variants) > 1 else fault)
        with suppress(UsaggrError, OSError):  # without a cache, the next plan checks the network again
            folder.mkdir(parents=True, exist_ok=True)
            write_atomic(folder / _hash_network(network), "")


def _is_shipped(network: Network) -> bool:
    """Return whether the network has an encoder of a shipped configuration, with the blocks that are its default."""
    model = network.model
    return model.encoder in _SHIPPED_ENCODERS[model.name] and getattr(model, "conditioned_blocks", None) is None


def _describe_network(network: Network) -> dict[str, Any]:
    """Return what decides whether a network can be built, ready for JSON; its weights are left to the sweep."""
    return {
        "model": network.model.model_copy(update={"weights": None}).model_dump(),
        "tasks": [dataclasses.asdict(task) for task in network.tasks],
        "size": network.size,
    }


def _hash_network(network: Network) -> str:
    versions = [usaggr.__version__, *(importlib.metadata.version(name) for name in _LIBRARIES)]
    content = json.dumps([_describe_network(network), versions], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def _check_in_process(networks: Sequence[Network]) -> list[str]:
    """Return the fault of each network, or an empty text; an empty list if the process gives no answer."""
    if not networks:
        return []
    root = Path(usaggr.__file__).resolve().parents[1]
    content = json.dumps([_describe_network(network) for network in networks])
    try:
        finished = subprocess.run(
            [sys.executable, "-P", "-c", _PROGRAM, str(root)],
            input=content, capture_output=True, text=True, encoding="utf-8", timeout=_PATIENCE,
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
        )  # fmt: skip
        answer = parse_json(finished.stdout.splitlines()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return []
    return [str(fault) for fault in answer]


def main() -> None:
    """Read networks from standard input, build each, and print the list of their faults as JSON."""
    from usaggr.models.checking import check_network

    faults = []
    for content in parse_json(sys.stdin.read()):
        model: ModelConfig = TypeAdapter(ModelConfig).validate_python(content["model"])
        tasks = [Task(**{**task, "class_names": tuple(task["class_names"])}) for task in content["tasks"]]
        try:
            check_network(model, tasks, (content["size"][0], content["size"][1]))
            faults.append("")
        except UsaggrError as error:
            faults.append(str(error))
    print(json.dumps(faults))
