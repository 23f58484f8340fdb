"""Sizes of networks that were built once, in the cache folder, so that each network is measured only once.

An entry also records that the network can be built without its pretrained weights.
"""

import dataclasses
import hashlib
import importlib.metadata
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

import usaggr
from usaggr.errors import UsaggrError
from usaggr.io.atomic_files import write_atomic
from usaggr.io.bounded_content import parse_json
from usaggr.io.bounded_files import read_bounded_text
from usaggr.models.weight_sizes import WeightSizes
from usaggr.sweep.network_checks import Network

_FOLDER = "networks"
_LIBRARIES = ("torch", "timm", "segmentation-models-pytorch")
"""Packages whose versions decide which encoders there are."""
_SIZES = TypeAdapter(WeightSizes)


def describe_network(network: Network) -> dict[str, Any]:
    """Return what decides whether a network can be built, ready for JSON; its weights are left to the sweep."""
    return {
        "model": network.model.model_copy(update={"weights": None}).model_dump(),
        "tasks": [dataclasses.asdict(task) for task in network.tasks],
        "size": network.size,
    }


def read_sizes(cache: Path, network: Network) -> WeightSizes | None:
    """Return the stored sizes of a network; None if it was not measured yet."""
    try:
        return _SIZES.validate_python(parse_json(read_bounded_text(_get_path(cache, network))))
    except (OSError, ValueError):  # earlier versions wrote empty files
        return None


def write_sizes(cache: Path, network: Network, sizes: WeightSizes) -> None:
    """Store the sizes of a network; without a usable cache, the network is measured again by the next command.

    Args:
        cache: folder of the cache.
        network: the network.
        sizes: its sizes.
    """
    path = _get_path(cache, network)
    with suppress(UsaggrError, OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, json.dumps(dataclasses.asdict(sizes)))


def _get_path(cache: Path, network: Network) -> Path:
    versions = [usaggr.__version__, *(importlib.metadata.version(name) for name in _LIBRARIES)]
    content = json.dumps([describe_network(network), versions], sort_keys=True)
    return cache / _FOLDER / hashlib.sha256(content.encode()).hexdigest()
