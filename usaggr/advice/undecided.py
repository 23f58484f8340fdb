"""Undecided cells of the sweeps that concern the new data, with the command that is likely to decide them."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from usaggr.advice.evidence import ONE_SEED, EvidenceCell, SweepEvidence
from usaggr.advice.rule import LEVELS, Level, find_level
from usaggr.advice.sharing_modes import NewTask
from usaggr.results import contract


@dataclass(frozen=True)
class Undecided:
    """Undecided cell that concerns tasks of the new data."""

    cell: EvidenceCell
    task_ids: tuple[str, ...]
    """Tasks of the new data that the cell concerns."""
    level: Level
    """Highest similarity between the cell's task and one of these tasks."""
    command: str
    """Command that trains the missing seeds; empty without a number of seeds needed."""


def find_undecided(tasks: Sequence[tuple[NewTask, frozenset[str]]], sweeps: Sequence[SweepEvidence]) -> list[Undecided]:
    """Return the undecided cells that concern any of these tasks, sorted by the number of seeds needed.

    Cells without such a number come last: with one seed, a second one is needed first; with more, no number of seeds
    is likely to decide, so that more test subjects are needed. Cells that would not count as evidence with more seeds
    either, such as unconverged ones, are left out.

    Args:
        tasks: Each task with the sharing modes under which it would share a model.
        sweeps: Evidence of each sweep.
    """
    undecided = [cell for sweep in sweeps for cell in _undecided_in(tasks, sweep)]
    return sorted(undecided, key=lambda u: (u.cell.seeds_needed is None, u.cell.seeds_needed or 0))


def make_command(sweep: SweepEvidence, needed: int) -> str:
    """Return the command line that adds seeds to a sweep until it has the needed number; finished runs are kept."""
    seeds = list(sweep.seeds)
    candidate = 0
    while len(seeds) < needed:
        if candidate not in seeds:
            seeds.append(candidate)
        candidate += 1
    folder = Path(sweep.name)
    words = ["usaggr", "sweep", str(folder / contract.STUDY), f"seeds=[{','.join(map(str, seeds))}]"]
    # A folder that was moved or renamed would otherwise be trained again at the place that its study names.
    if Path(sweep.outputs) / sweep.study != folder:
        words += [f"outputs={folder.parent}", f"name={folder.name}"]
    return shlex.join(words)


def _undecided_in(tasks: Sequence[tuple[NewTask, frozenset[str]]], sweep: SweepEvidence) -> Iterator[Undecided]:
    for cell in sweep.cells:
        if cell.verdict != "undecided" or cell.unusable not in ("", ONE_SEED):
            continue
        levels: dict[str, Level] = {}
        for new, modes in tasks:
            level = find_level(new, cell) if cell.mode in modes else None
            if level is not None:
                levels[new.task.id] = level
        if levels:
            nearest = min(levels.values(), key=LEVELS.index)
            command = make_command(sweep, cell.seeds_needed) if cell.seeds_needed is not None else ""
            yield Undecided(cell, tuple(sorted(levels)), nearest, command)
