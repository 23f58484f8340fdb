"""The specification of a run: tasks, scale, seed, variant and settings, and the fingerprint that identifies it."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from usaggr.results.integrity import SCHEMA_VERSION


@dataclass(frozen=True)
class RunSpec:
    """Everything that determines a run's numbers, except the data, whose content is in the fingerprint."""

    block: str
    """Task id (one task), `unified` (all tasks), or the block's name in the first grouping with it."""
    tasks: tuple[str, ...]
    """Sorted ids."""
    scale: float | int
    seed: int
    variant: str
    settings: dict[str, Any]
    """`data`, `model`, `training` and `metrics` with the variant's overrides applied."""
    train_samples: dict[str, tuple[str, ...]]
    """Ids of the training samples in rank order, by task."""
    fingerprint: str
    parent: str | None = None
    """run_id of the run whose weights this one starts from."""
    window: dict[str, tuple[int, int]] | None = None
    """Interval [start, end) of each task's stream in a stage of training; None for a run of one stage."""

    @property
    def run_id(self) -> str:
        """Readable name of the run's directory."""
        scale = f"{self.scale:g}" if isinstance(self.scale, float) else f"{self.scale}"
        variant = "" if self.variant == "base" else f"-{self.variant}"
        name = re.sub(r"[^\w.+-]+", "_", f"{self.block}{variant}-s{scale}-k{self.seed}")
        return f"{name}-{self.fingerprint[:8]}"


def compute_fingerprint(
    settings: dict[str, Any],
    tasks: tuple[str, ...],
    train_samples: dict[str, tuple[str, ...]],
    content: str,
    seed: int,
    weights_hash: str | None,
    parent: str | None,
    window: Mapping[str, tuple[int, int]] | None = None,
) -> str:
    """Return the hash of everything that can change a run's result.

    Args:
        settings: sections of the configuration without the keys that cannot change a result.
        tasks: sorted task ids.
        train_samples: ids of the training samples in rank order, by task.
        content: hash of the tasks' images, labels and subsets.
        seed: seed of the run.
        weights_hash: hash of the file with pretrained weights; None without a file.
        parent: fingerprint of the run that this one starts from; None without a parent.
        window: interval of each task's stream, as in `RunSpec`.
    """
    lists = {task: json.dumps(ids) for task, ids in train_samples.items()}
    text = json.dumps(settings, sort_keys=True)
    return compute_fingerprint_of_json(text, tasks, lists, content, seed, weights_hash, parent, window)


def compute_fingerprint_of_json(
    settings: str,
    tasks: tuple[str, ...],
    train_samples: Mapping[str, str],
    content: str,
    seed: int,
    weights_hash: str | None,
    parent: str | None,
    window: Mapping[str, tuple[int, int]] | None = None,
) -> str:
    """Return the fingerprint from the JSON of the settings and of each task's list of training samples.

    A study's runs share these long texts, and a plan makes each one once. The hashed bytes are the JSON of all
    arguments with sorted keys.

    Args:
        settings: JSON of the settings, with sorted keys.
        tasks: as in `compute_fingerprint`.
        train_samples: JSON of the list of training samples, by task.
        content: as in `compute_fingerprint`.
        seed: as in `compute_fingerprint`.
        weights_hash: as in `compute_fingerprint`.
        parent: as in `compute_fingerprint`.
        window: as in `compute_fingerprint`.
    """
    # The text is assembled in the order of sorted keys, as if all arguments were in one JSON object.
    head = {"content": content, "parent": parent, "schema_version": SCHEMA_VERSION, "seed": seed}
    digest = hashlib.sha256(f'{json.dumps(head)[:-1]}, "settings": {settings}, '.encode())
    digest.update(f'"tasks": {json.dumps(tasks)}, "train_samples": {{'.encode())
    for number, task in enumerate(sorted(train_samples)):
        digest.update(f"{', ' if number else ''}{json.dumps(task)}: {train_samples[task]}".encode())
    # Without a window the key is left out: runs of one stage keep the fingerprints of older versions.
    last = "" if window is None else f', "window": {json.dumps(dict(sorted(window.items())))}'
    digest.update(f'}}, "weights": {json.dumps(weights_hash)}{last}}}'.encode())
    return digest.hexdigest()


@dataclass(frozen=True)
class Placement:
    """Threads and device with which a run is executed on this machine."""

    threads: int
    """Number of threads of torch, OpenMP, BLAS and OpenCV."""
    device: int | None = None
    """Index of the GPU; None: Lightning chooses (the CPU if there is no GPU)."""
