"""How alike a unified model routes its tasks to experts: from finished runs of the study, nothing is trained."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from usaggr.errors import ConfigError, RunError
from usaggr.results import contract
from usaggr.results.routing import read_routing
from usaggr.statistics.routing_similarity import routing_similarity
from usaggr.sweep.planning.study_plan import PlannedRun

Array = NDArray[np.float64]


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
    path = run.directory / contract.ROUTING
    try:
        return routing_similarity(read_routing(path, tuple(sorted(run.spec.tasks))).share)
    except FileNotFoundError as error:
        raise ConfigError(
            f"--measure routing: {run.directory} has no {contract.ROUTING}; remove the run and sweep again"
        ) from error
    except RunError as error:
        raise RunError(f"{path}: cannot be used ({error}); remove the run and sweep again") from error
