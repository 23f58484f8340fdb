"""How alike a unified model routes its tasks to experts: from finished runs of the study, nothing is trained."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usaggr.errors import ConfigError, RunError
from usaggr.statistics.routing_similarity import routing_similarity
from usaggr.sweep.planning.plan import PlannedRun

Array = NDArray[np.float64]
_ROUNDING = 2e-3
"""By how much shares may miss a sum of 1: they are written with some digits."""


def check_routes(model: Any) -> None:
    """Refuse a network that has no experts to route to.

    Raises:
        ConfigError: says which networks have.
    """
    router = getattr(getattr(model, "experts", None), "router", "uniform")
    if model.name != "m2dino" or model.conditioning != "experts" or router == "uniform":
        raise ConfigError(
            f"--measure routing: model.name={model.name} routes no tokens; it needs model=m2dino with "
            "model.conditioning=experts and a model.experts.router that is not uniform"
        )


def run_similarity(run: PlannedRun) -> Array:
    """(T, T) similarity in [0, 1] of the tasks of a finished unified run, by id (see `routing_similarity`).

    Raises:
        ConfigError: the run is not done, or has no routing.csv.
        RunError: its routing.csv cannot be used.
    """
    if run.state() != "done":
        raise ConfigError(
            f"--measure routing: the unified run of seed {run.spec.seed} at scale {run.spec.scale:g} is not done "
            f"({run.directory}); train it first: usaggr sweep with unified among its groupings"
        )
    path = run.directory / "routing.csv"
    if not path.is_file():
        raise ConfigError(f"--measure routing: {run.directory} has no routing.csv; remove the run and sweep again")
    try:
        return routing_similarity(_shares(path, run.spec.tasks))
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise RunError(f"{path}: cannot be used ({error}); remove the run and sweep again") from error


def _shares(path: Path, tasks: tuple[str, ...]) -> Array:
    """(T, transformer blocks, experts) shares of the tasks' tokens."""
    with path.open(newline="", encoding="utf-8") as file:
        found = {
            (row["task"], int(row["block"]), int(row["expert"])): float(row["share"]) for row in csv.DictReader(file)
        }
    blocks, experts = sorted({key[1] for key in found}), sorted({key[2] for key in found})
    wanted = [[[(task, block, expert) for expert in experts] for block in blocks] for task in sorted(tasks)]
    if len(found) != len(tasks) * len(blocks) * len(experts) or not found:
        raise ValueError("not one row for each task of the run, block and expert")
    shares = np.array([[[found[key] for key in row] for row in of] for of in wanted])
    if not np.isfinite(shares).all() or shares.min() < 0 or np.abs(shares.sum(axis=-1) - 1).max() > _ROUNDING:
        raise ValueError("shares do not sum to 1 over the experts of a task and block")
    return shares
