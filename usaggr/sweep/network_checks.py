"""Checks, before a sweep's first run, that each network which its runs ask for can be built with its weights.

In a process of its own, since this one imports no torch: it comes from the server that the runs' workers come from, so
that the imports are paid once.
"""

import json
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Literal

from usaggr.config.model import ModelConfig
from usaggr.errors import ConfigError, RunError, UsaggrError
from usaggr.io.atomic_files import write_atomic
from usaggr.models.weights import find_weights_file
from usaggr.progress import Progress
from usaggr.results import contract
from usaggr.results.integrity import read_json, typed
from usaggr.sweep.planning.study_plan import Plan, PlannedRun
from usaggr.tasks import Task
from usaggr.tracking.record import to_preload

DOWNLOADS = contract.TAKEN_WEIGHTS
"""In a study's directory: what the weights were that came from the library under an id, by encoder."""
_LOOK = 0.25
"""Seconds between two looks at whether there is an answer."""


@dataclass(frozen=True)
class Network:
    """One of the networks that the runs ask for."""

    model: ModelConfig
    tasks: tuple[Task, ...]
    """Of all runs that ask for it."""
    size: tuple[int, int]
    """Height and width of its input in pixels."""
    variant: str
    """The first that has it."""


_Answer = tuple[Literal["fits", "fault", "error"], str]
"""fits: what the downloaded weights are, else empty; fault: the user's, in one line; error: ours, with its trace."""


def check_networks(plan: Plan, runs: Sequence[PlannedRun], progress: Progress) -> None:
    """Build each network that the runs ask for once; the server of the workers is left for the executor.

    Raises:
        ConfigError: an encoder, weights or sizes that do not fit; or weights that are others than earlier ones of the
            study under the same id.
        RunError: no process can be started, or a network fails for a reason that is no user's.
    """
    from usaggr.sweep.executors.local.executor import server_for
    from usaggr.sweep.executors.local.forkserver import stop_server

    networks = distinct_networks(plan, runs)
    fetched = any(network.model.weights and find_weights_file(network.model) is None for network in networks)
    what = "networks checked, with downloads of weights that are not here yet" if fetched else "networks checked"
    context = server_for(plan.study.executor.machine, preload=to_preload(plan.study), ahead=True)
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(there, networks), daemon=True)
    try:
        progress.start(what, len(networks))
        process.start()
        there.close()
        for network in networks:
            _take(plan, network, here)
            progress.advance()
    except BaseException:
        stop_server(patience=0.0)
        raise
    finally:
        progress.finish()
        here.close()
        if process.pid is not None:
            process.kill()
            process.join()


def distinct_networks(plan: Plan, runs: Sequence[PlannedRun]) -> list[Network]:
    """The networks of the runs, each model with each size of images once, with the tasks of all its runs."""
    tasks: dict[str, set[str]] = {}
    first: dict[str, PlannedRun] = {}
    for run in runs:
        key = f"{run.study.model.model_dump_json()} {run.study.data.input_size}"
        first.setdefault(key, run)
        tasks.setdefault(key, set()).update(run.spec.tasks)
    known = plan.manifest.dataset.tasks
    return [
        Network(
            run.study.model,
            tuple(known[task_id] for task_id in sorted(tasks[key])),
            run.study.data.input_size,
            run.spec.variant,
        )
        for key, run in first.items()
    ]


def _take(plan: Plan, network: Network, pipe: Connection) -> None:
    """Take in what the process says of a network."""
    try:
        while not pipe.poll(_LOOK):
            pass
        kind, text = pipe.recv()
    except (OSError, EOFError) as error:
        raise RunError(
            f"the process that checks the network {network.model.name} died, killed or without memory; the same "
            "command checks it again"
        ) from error
    of_variant = f"variant {network.variant}: " if len(plan.study.variants) > 1 else ""
    match kind:
        case "fault":
            raise ConfigError(of_variant + text)
        case "error":
            raise RunError(f"{of_variant}the network {network.model.name} cannot be built:\n{text}")
        case _ if text:
            _compare_download(plan, network.model, text)


def _compare_download(plan: Plan, model: ModelConfig, content: str) -> None:
    """Note what the weights under an id are; refuse others than those that finished runs of the study began with."""
    path = plan.directory / DOWNLOADS
    known = _read_downloads(path)
    before = known.get(model.encoder, content)
    if before != content and any(run.state() == "done" for run in plan.runs if _same_weights(run.study.model, model)):
        raise ConfigError(
            f"model.weights={model.weights}: the weights of {model.encoder} are others ({content}) than those that "
            f"runs of this study began with ({before}); begin another study with name=..."
        )
    write_atomic(path, json.dumps({**known, model.encoder: content}, indent=2) + "\n")


@dataclass(frozen=True)
class _Downloads:
    """What weights.json holds."""

    weights: dict[str, str]
    """Encoder: repository, file and SHA-256."""


def _read_downloads(path: Path) -> dict[str, str]:
    """Return what weights.json says of each encoder; nothing where there is no such file yet.

    Raises:
        RunError: it is damaged.
    """
    if not path.is_file():
        return {}
    remedy = "put the file back as it was, or remove it if no run of the study began with weights of the library"
    return typed(path, {"weights": read_json(path, remedy)}, _Downloads, remedy).weights


def _same_weights(one: ModelConfig, other: ModelConfig) -> bool:
    return (one.name, one.encoder, one.weights) == (other.name, other.encoder, other.weights)


def _answer(pipe: Connection, networks: Sequence[Network]) -> None:
    """Check the networks one after another, in the process of its own."""
    from usaggr.models.checking import check_network
    from usaggr.sweep.executors.local.worker import end_with_parent

    end_with_parent()
    for network in networks:
        answer: _Answer
        try:
            answer = "fits", check_network(network.model, network.tasks, network.size) or ""
        except UsaggrError as error:
            answer = "fault", str(error)
        except Exception:
            answer = "error", traceback.format_exc()
        pipe.send(answer)
