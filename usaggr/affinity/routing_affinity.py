"""Similarity of the tasks' routing to experts in unified models, from finished runs of the study without training."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from usaggr.errors import ConfigError, RunError
from usaggr.results import contract
from usaggr.results.routing import read_routing
from usaggr.statistics.routing_similarity import routing_similarity
from usaggr.sweep.planning.study_plan import PlannedRun

Array = NDArray[np.float64]


def check_has_router(model: Any) -> None:
    """Check that a network routes tokens to experts.

    Raises:
        ConfigError: It does not; the message names the configuration that does.
    """
    router = getattr(getattr(model, "experts", None), "router", "uniform")
    if model.name != "m2dino" or model.conditioning != "experts" or router == "uniform":
        raise ConfigError(
            f"--measure routing: model.name={model.name} routes no tokens; it needs model=m2dino with "
            "model.conditioning=experts and a model.experts.router that is not uniform"
        )


def compute_run_similarity(run: PlannedRun) -> Array:
    """Return the routing similarity (T, T) in [0, 1] of the tasks of a finished unified run, sorted by id.

    See `routing_similarity` for the definition.

    Raises:
        ConfigError: The run is not finished, or has no routing.csv.
        RunError: Its routing.csv is damaged.
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
