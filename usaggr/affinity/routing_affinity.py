"""Affinity measure `routing`: similarity of the experts to which two tasks route their tokens.

It is read from the finished unified runs of a study, so that nothing is trained for it.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from usaggr.errors import ConfigError, RunError
from usaggr.results import contract
from usaggr.results.routing import read_routing
from usaggr.statistics.routing_similarity import compute_routing_similarity
from usaggr.sweep.planning.study_plan import PlannedRun

Array = NDArray[np.float64]


def check_has_router(model: Any) -> None:
    """Check that the section `model` of a configuration describes a network that routes tokens to experts.

    Raises:
        ConfigError: The network has no router; the message names the keys that give it one.
    """
    # Some networks have no key `experts`. They are treated as a uniform router, which weighs all experts equally.
    router = getattr(getattr(model, "experts", None), "router", "uniform")
    if model.name != "m2dino" or model.conditioning != "experts" or router == "uniform":
        raise ConfigError(
            f"--measure routing: model.name={model.name} routes no tokens; it needs model=m2dino with "
            "model.conditioning=experts and a model.experts.router that is not uniform"
        )


def compute_run_similarity(run: PlannedRun) -> Array:
    """Return the routing similarity of each pair of tasks in a finished unified run.

    See `usaggr.statistics.routing_similarity` for the definition.

    Returns:
        (T tasks, T tasks) symmetric similarities in [0, 1]; tasks are sorted by id.

    Raises:
        ConfigError: The run is not finished, or has no routing.csv.
        RunError: The routing.csv of the run is damaged.
    """
    if run.read_state() != "done":
        raise ConfigError(
            f"--measure routing: the unified run of seed {run.spec.seed} at scale {run.spec.scale:g} is not done "
            f"({run.directory}); train it first: usaggr sweep with unified among its groupings"
        )
    path = run.directory / contract.ROUTING
    try:
        routing = read_routing(path, tuple(sorted(run.spec.tasks)))
        return compute_routing_similarity(routing.share)
    except FileNotFoundError as error:
        raise ConfigError(
            f"--measure routing: {run.directory} has no {contract.ROUTING}; remove the run and sweep again"
        ) from error
    except RunError as error:
        raise RunError(f"{path}: cannot be used ({error}); remove the run and sweep again") from error
