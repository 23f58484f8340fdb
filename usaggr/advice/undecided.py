"""Cells that sweeps left undecided and that speak of the new data, with the seeds and the command that would decide."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from usaggr.advice.evidence import ONE_SEED, EvidenceCell, SweepEvidence
from usaggr.advice.rule import LEVELS, Level, bears_on
from usaggr.advice.sharing_modes import NewTask
from usaggr.results import contract


@dataclass(frozen=True)
class Undecided:
    """An undecided cell."""

    cell: EvidenceCell
    bears_on: tuple[str, ...]
    """Tasks of the new data."""
    level: Level
    """The nearest at which it speaks of one of them."""
    command: str
    """Trains the seeds that it lacks; empty where no number of seeds would decide."""


def undecided(tasks: Sequence[tuple[NewTask, frozenset[str]]], sweeps: Sequence[SweepEvidence]) -> list[Undecided]:
    """Undecided cells that speak of any of these tasks, those that need the fewest seeds first.

    Cells that no number of seeds would decide come last: they need more test subjects. Those that would not count as
    evidence with more seeds either, such as unconverged ones, are left out.

    Args:
        tasks: each with the ways under which it would share a model.
        sweeps: the evidence.
    """
    found = [cell for sweep in sweeps for cell in _of_sweep(tasks, sweep)]
    return sorted(found, key=lambda u: (u.cell.seeds_needed is None, u.cell.seeds_needed or 0))


def command(sweep: SweepEvidence, needed: int) -> str:
    """The command line that adds seeds to a sweep, up to a number of them; what is trained stays."""
    seeds = list(sweep.seeds)
    candidate = 0
    while len(seeds) < needed:
        if candidate not in seeds:
            seeds.append(candidate)
        candidate += 1
    folder = Path(sweep.name)
    words = ["usaggr", "sweep", str(folder / contract.STUDY), f"seeds=[{','.join(map(str, seeds))}]"]
    if Path(sweep.outputs) / sweep.study != folder:
        words += [f"outputs={folder.parent}", f"name={folder.name}"]
    return shlex.join(words)


def _of_sweep(tasks: Sequence[tuple[NewTask, frozenset[str]]], sweep: SweepEvidence) -> Iterator[Undecided]:
    for cell in sweep.cells:
        if cell.verdict != "undecided" or cell.unusable not in ("", ONE_SEED):
            continue
        levels: dict[str, Level] = {}
        for new, ways in tasks:
            level = bears_on(new, cell) if cell.way in ways else None
            if level is not None:
                levels[new.task.id] = level
        if levels:
            nearest = min(levels.values(), key=LEVELS.index)
            line = command(sweep, cell.seeds_needed) if cell.seeds_needed is not None else ""
            yield Undecided(cell, tuple(sorted(levels)), nearest, line)
