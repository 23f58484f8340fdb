"""The grouping file of affinities: blocks that `sweep` takes like any other, with a comment on how they were made."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import yaml

from usaggr.affinity.blocks import Blocks, default_blocks, worth
from usaggr.affinity.clustering import MOST_EXACT
from usaggr.affinity.estimate import Affinities
from usaggr.errors import ConfigError
from usaggr.io.atomic_files import write_atomic
from usaggr.results.affinity import SIMILARITIES, Measure, mean_over_seeds

MARK = "# Made by `usaggr affinity`, which writes it anew."
"""First line of a file that may be overwritten."""
DEFAULT = Path("conf/grouping/affinity.yaml")
MEANING: dict[Measure, str] = {
    "lookahead": "1 - loss of a task after a step on another / before it",
    "gradient": "cosine of two tasks' gradients of the shared parameters",
    "routing": "how alike tasks are sent to experts, less the mean over all pairs",
    "features": "how alike the images of tasks are to the untrained encoder, less the mean over all pairs",
}
UNITS: dict[Measure, str] = {
    "lookahead": "estimates a pair",
    "gradient": "estimates a pair",
    "routing": "models",
    "features": "images of each task",
}


def grouping_paths(measures: Sequence[Measure], out: Path | None = None) -> dict[Measure, Path]:
    """Where each measure's grouping goes: the first one's to `out`, the others' beside it with their names.

    Raises:
        ConfigError: not a .yaml, or there is a file that usaggr affinity has not written.
    """
    first = out or DEFAULT
    if first.suffix != ".yaml":
        raise ConfigError(f"--out: {first} does not end in .yaml, as a grouping's file must")
    paths = {m: first if i == 0 else first.with_name(f"{first.stem}_{m}.yaml") for i, m in enumerate(measures)}
    for path in paths.values():
        if path.exists() and not _is_ours(path):
            raise ConfigError(
                f"{path}: was not written by usaggr affinity, and is left alone; --out FILE.yaml writes another one"
            )
    return paths


def write_grouping(path: Path, found: Affinities, measure: Measure, blocks: Blocks, limit: int) -> None:
    """Write a grouping file."""
    body = yaml.safe_dump({"blocks": {name: list(tasks) for name, tasks in blocks.items()}}, sort_keys=False, width=116)
    write_atomic(path, "\n".join(f"# {line}" for line in _comment(found, measure, blocks, limit)) + f"\n{body}")


def compared(found: Affinities, measure: Measure, blocks: Blocks) -> dict[str, float]:
    """By a measure, the worth of its own grouping and of those that everybody has."""
    clinical: dict[str, list[str]] = {}
    for task in found.tasks.values():
        clinical.setdefault(task.clinical_group, []).append(task.id)
    known: Mapping[str, Mapping[str, Sequence[str]]] = {
        "affinity": blocks,
        "clinical": clinical,
        "unified": {"unified": tuple(found.tasks)},
        "task_specific": {task_id: (task_id,) for task_id in found.tasks},
    }
    return {name: worth(found, measure, partition) for name, partition in known.items()}


def sweep_command(words: Sequence[str], names: Sequence[str]) -> str:
    """The line that sweeps groupings of these names beside task_specific and unified."""
    kept = [word for word in words if not word.startswith(("groupings=", "reference="))]
    groupings = ",".join(("task_specific", *names, "unified"))
    return shlex.join(["usaggr", "sweep", *kept, f"groupings=[{groupings}]"])


def check_limits(most_blocks: int | None, max_cost: float | None) -> None:
    """Refuse limits that no grouping keeps, before anything is trained.

    Raises:
        ConfigError: which one, and what is allowed.
    """
    if most_blocks is not None and most_blocks < 1:
        raise ConfigError(f"--blocks: a whole number from 1 on, not {most_blocks}")
    if max_cost is not None and not 0 < max_cost < float("inf"):
        raise ConfigError(f"--max-cost: million parameters, a number above 0, not {max_cost:g}")


def estimates_told(found: Affinities, measure: Measure) -> str:
    """Seeds, estimates of a pair, how much a pair's value differs over seeds, and what is missing."""
    of = found.of(measure)
    counts = np.stack([one.estimates for one in of]).sum(axis=0)[~np.eye(len(found.tasks), dtype=bool)]
    least, most = int(counts.min()), int(counts.max())
    seeds = "one seed" if len(of) == 1 else f"{len(of)} seeds"
    told = f"{seeds}, {least if least == most else f'{least} to {most}'} {UNITS[measure]}"
    mean, sd = mean_over_seeds(of)
    if len(of) > 1:
        told += f", sd over seeds {np.nanmedian(sd):.2g} (pairs differ by sd {np.nanstd(mean):.2g})"
    if missing := int((counts == 0).sum()):
        told += f", {missing} of {counts.size} pairs have none and count as 0: raise --overhead"
    return told


def _comment(found: Affinities, measure: Measure, blocks: Blocks, limit: int) -> list[str]:
    head = found.head
    seeds = ", ".join(str(one.seed) for one in found.of(measure))
    how = "all partitions were looked at" if len(found.tasks) <= MOST_EXACT else "greedy merging and local moves"
    values = ", ".join(f"{name} {value:.4g}" for name, value in compared(found, measure, blocks).items())
    counted = "limit" if limit != default_blocks(found.tasks) else "as many as clinical groups"
    lines = [
        MARK.removeprefix("# "),
        f"Study {head.study}, scale {head.scale:g}, variant {head.variant}, seeds {seeds}; at most {limit} blocks "
        f"({counted}); {how}.",
        f"Measure {measure}: {MEANING[measure]}.",
        f"Mean over tasks of what the others of their block have on them: {values}.",
        "Scores of affinity predict gains poorly (arXiv:2301.02873): sweep it beside task_specific, and see.",
    ]
    if measure in SIMILARITIES:
        lines.insert(3, "It says how alike tasks are, not whether one helps the other.")
    return lines


def _is_ours(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8") as file:
            return file.readline().rstrip("\n") == MARK
    except (OSError, UnicodeDecodeError):
        return False
