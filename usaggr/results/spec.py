"""What a run is: its tasks, scale, seed, variant and settings, and the fingerprint that identifies it."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from usaggr.results.integrity import SCHEMA_VERSION


@dataclass(frozen=True)
class RunSpec:
    """Everything that decides a run's numbers, but for the data themselves, whose content is in the fingerprint."""

    block: str
    """Task id (one task), `unified` (all), else the block's name in the first grouping that holds it."""
    tasks: tuple[str, ...]
    """Sorted ids."""
    scale: float | int
    seed: int
    variant: str
    settings: dict[str, Any]
    """`data`, `model`, `training` and `metrics` with the variant's overrides applied."""
    train_samples: dict[str, tuple[str, ...]]
    """Task: ids of the training samples, in rank order."""
    fingerprint: str
    parent: str | None = None
    """run_id of the run whose weights this one starts from."""
    window: dict[str, tuple[int, int]] | None = None
    """Of a staged strategy, by task: the part of its stream, [first, end) from 0. None: all that the budget says."""

    @property
    def run_id(self) -> str:
        """Readable name of the run's directory."""
        scale = f"{self.scale:g}" if isinstance(self.scale, float) else f"{self.scale}"
        variant = "" if self.variant == "base" else f"-{self.variant}"
        name = re.sub(r"[^\w.+-]+", "_", f"{self.block}{variant}-s{scale}-k{self.seed}")
        return f"{name}-{self.fingerprint[:8]}"


def fingerprint_of(
    settings: dict[str, Any],
    tasks: tuple[str, ...],
    train_samples: dict[str, tuple[str, ...]],
    content: str,
    seed: int,
    weights_hash: str | None,
    parent: str | None,
    window: Mapping[str, tuple[int, int]] | None = None,
) -> str:
    """Hash of all that can change a run's result.

    `settings` are the sections of the configuration without the keys that cannot change a result, `content` is a hash
    of the tasks' images, labels and folds, `weights_hash` that of the file with pretrained weights (None: no file),
    `parent` the fingerprint of the run that this one starts from, and `window` that of the run's spec.
    """
    lists = {task: json.dumps(ids) for task, ids in train_samples.items()}
    text = json.dumps(settings, sort_keys=True)
    return fingerprint_of_texts(text, tasks, lists, content, seed, weights_hash, parent, window)


def fingerprint_of_texts(
    settings: str,
    tasks: tuple[str, ...],
    train_samples: Mapping[str, str],
    content: str,
    seed: int,
    weights_hash: str | None,
    parent: str | None,
    window: Mapping[str, tuple[int, int]] | None = None,
) -> str:
    """The same, from the JSON of the settings (with sorted keys) and of each task's list of training samples.

    A study's runs share these texts, which are long: a plan makes each one once. What is hashed is the JSON of all
    parts with sorted keys, byte by byte.
    """
    head = {"content": content, "parent": parent, "schema_version": SCHEMA_VERSION, "seed": seed}
    digest = hashlib.sha256(f'{json.dumps(head)[:-1]}, "settings": {settings}, '.encode())
    digest.update(f'"tasks": {json.dumps(tasks)}, "train_samples": {{'.encode())
    for number, task in enumerate(sorted(train_samples)):
        digest.update(f"{', ' if number else ''}{json.dumps(task)}: {train_samples[task]}".encode())
    last = "" if window is None else f', "window": {json.dumps(dict(sorted(window.items())))}'
    digest.update(f'}}, "weights": {json.dumps(weights_hash)}{last}}}'.encode())
    return digest.hexdigest()


@dataclass(frozen=True)
class Placement:
    """Where on this machine a run is executed."""

    threads: int
    """Of torch, OpenMP, BLAS and OpenCV."""
    device: int | None = None
    """Index of the GPU; None: Lightning's own choice (the CPU, where there is no GPU)."""
