"""Grouping file of an affinity: blocks that `usaggr sweep` reads like any grouping, with a comment on their origin."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import yaml

from usaggr.affinity.blocks import Blocks, count_clinical_groups, score_blocks
from usaggr.affinity.clustering import MAX_EXACT_TASKS
from usaggr.affinity.estimate import Affinities
from usaggr.errors import ConfigError
from usaggr.io.atomic_files import write_atomic
from usaggr.results.affinity import SIMILARITIES, Measure, average_over_seeds

_GENERATED = "# Made by `usaggr affinity`"
"""Start of the first line of files that this command may overwrite; earlier versions continued the line differently."""
FIRST_LINE = f"{_GENERATED}, which may overwrite it."
DEFAULT = Path("conf/grouping/affinity.yaml")
MEANING: dict[Measure, str] = {
    "lookahead": "1 - loss of a task after a step on another / before it",
    "gradient": "cosine of two tasks' gradients of the shared parameters",
    "routing": "similarity of the tasks' routing to experts, minus the mean over all pairs",
    "features": "similarity of the tasks' images to the untrained encoder, minus the mean over all pairs",
}
UNITS: dict[Measure, str] = {
    "lookahead": "estimates per pair",
    "gradient": "estimates per pair",
    "routing": "models",
    "features": "images of each task",
}


def get_grouping_paths(measures: Sequence[Measure], out: Path | None = None) -> dict[Measure, Path]:
    """Return the grouping file of each measure: `out` for the first, files beside it with their names for the others.

    Raises:
        ConfigError: `out` is not a .yaml, or a file exists that usaggr affinity has not written.
    """
    first = out or DEFAULT
    if first.suffix != ".yaml":
        raise ConfigError(f"--out: must end in .yaml; got {first}")
    paths = {m: first if i == 0 else first.with_name(f"{first.stem}_{m}.yaml") for i, m in enumerate(measures)}
    for path in paths.values():
        if path.exists() and not _is_generated(path):
            raise ConfigError(
                f"{path}: was not written by usaggr affinity and is not overwritten; give another file: --out FILE.yaml"
            )
    return paths


def write_grouping(path: Path, affinities: Affinities, measure: Measure, blocks: Blocks, limit: int) -> None:
    """Write a grouping file.

    Args:
        path: File to write.
        affinities: Estimates by measure and seed.
        measure: Measure of the grouping.
        blocks: Blocks of the grouping.
        limit: Limit on the number of blocks, for the comment.
    """
    body = yaml.safe_dump({"blocks": {name: list(tasks) for name, tasks in blocks.items()}}, sort_keys=False, width=116)
    comment = [FIRST_LINE, *(f"# {line}" for line in _describe_grouping(affinities, measure, blocks, limit))]
    write_atomic(path, "\n".join(comment) + f"\n{body}")


def compare_groupings(affinities: Affinities, measure: Measure, blocks: Blocks) -> dict[str, float]:
    """Return the score of a grouping and of the standard groupings by a measure, by name of the grouping.

    Args:
        affinities: Estimates by measure and seed.
        measure: Measure to score by.
        blocks: Blocks of the affinity grouping.
    """
    clinical: dict[str, list[str]] = {}
    for task in affinities.tasks.values():
        clinical.setdefault(task.clinical_group, []).append(task.id)
    groupings: Mapping[str, Mapping[str, Sequence[str]]] = {
        "affinity": blocks,
        "clinical": clinical,
        "unified": {"unified": tuple(affinities.tasks)},
        "task_specific": {task_id: (task_id,) for task_id in affinities.tasks},
    }
    return {name: score_blocks(affinities, measure, partition) for name, partition in groupings.items()}


def format_sweep_command(words: Sequence[str], names: Sequence[str]) -> str:
    """Return the command that sweeps groupings together with task_specific and unified.

    Args:
        words: Arguments of the affinity command: study and overrides.
        names: Names of the groupings.
    """
    arguments = [word for word in words if not word.startswith(("groupings=", "reference="))]
    groupings = ",".join(("task_specific", *names, "unified"))
    return shlex.join(["usaggr", "sweep", *arguments, f"groupings=[{groupings}]"])


def check_limits(max_blocks: int | None, max_cost: float | None) -> None:
    """Check the limits on models before anything is trained.

    Raises:
        ConfigError: A limit that no grouping can keep.
    """
    if max_blocks is not None and max_blocks < 1:
        raise ConfigError(f"--blocks: must be a whole number from 1; got {max_blocks}")
    if max_cost is not None and not 0 < max_cost < float("inf"):
        raise ConfigError(f"--max-cost: must be a number of million parameters above 0; got {max_cost:g}")


def describe_estimates(affinities: Affinities, measure: Measure) -> str:
    """Return a text with the number of seeds and estimates, their variation over seeds, and missing pairs."""
    estimates = affinities.select(measure)
    pairs = ~np.eye(len(affinities.tasks), dtype=bool)
    counts = np.stack([estimate.estimates for estimate in estimates]).sum(axis=0)[pairs]
    least, most = int(counts.min()), int(counts.max())
    seeds = "one seed" if len(estimates) == 1 else f"{len(estimates)} seeds"
    text = f"{seeds}, {least if least == most else f'{least} to {most}'} {UNITS[measure]}"
    mean, sd = average_over_seeds(estimates)
    if len(estimates) > 1:
        text += f", sd over seeds {np.nanmedian(sd):.2g} (pairs differ by sd {np.nanstd(mean):.2g})"
    if missing := int((counts == 0).sum()):
        text += f", {missing} of {counts.size} pairs have none and count as 0: raise --overhead"
    return text


def _describe_grouping(affinities: Affinities, measure: Measure, blocks: Blocks, limit: int) -> list[str]:
    """Return the lines of the comment in a grouping file.

    Args:
        affinities: Estimates by measure and seed.
        measure: Measure of the grouping.
        blocks: Blocks of the grouping.
        limit: Limit on the number of blocks.
    """
    head = affinities.head
    seeds = ", ".join(str(estimate.seed) for estimate in affinities.select(measure))
    is_exact = len(affinities.tasks) <= MAX_EXACT_TASKS
    method = "all partitions were compared" if is_exact else "greedy merging and local search"
    scores = ", ".join(f"{name} {value:.4g}" for name, value in compare_groupings(affinities, measure, blocks).items())
    is_default = limit == count_clinical_groups(affinities.tasks)
    limit_text = "the number of clinical groups" if is_default else "the requested limit"
    lines = [
        f"Study {head.study}, scale {head.scale:g}, variant {head.variant}, seeds {seeds}; at most {limit} blocks "
        f"({limit_text}); {method}.",
        f"Measure {measure}: {MEANING[measure]}.",
        f"Mean over tasks of the affinity of the block's other tasks to the task: {scores}.",
        "Affinity scores predict gains poorly (arXiv:2301.02873): compare this grouping with task_specific in a sweep.",
    ]
    if measure in SIMILARITIES:
        lines.insert(2, "The measure shows how similar tasks are, not whether one helps the other.")
    return lines


def _is_generated(path: Path) -> bool:
    """Return True if a file was written by `usaggr affinity`, so that it may be overwritten."""
    try:
        with path.open(encoding="utf-8") as file:
            return file.readline().startswith(_GENERATED)
    except (OSError, UnicodeDecodeError):
        return False
