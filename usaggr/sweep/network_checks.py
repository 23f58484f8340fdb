"""Check, before a sweep's first run, that each network of its runs can be built with its weights.

The check runs in a separate process, because the sweep's process imports no torch. The process is forked from the
server that also forks the runs' workers, so that the imports are paid once.
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
from usaggr.io.system_limits import explain_system_limit
from usaggr.models.weight_sizes import WeightSizes
from usaggr.models.weights import find_weights_file
from usaggr.progress import Progress
from usaggr.results import contract
from usaggr.results.integrity import parse_content, read_json
from usaggr.sweep.planning.study_plan import Plan, PlannedRun
from usaggr.tasks import Task
from usaggr.tracking.record import list_modules_to_preload

DOWNLOADS = contract.TAKEN_WEIGHTS
"""File in a study's directory that records the weights that the library downloaded, by encoder."""
_POLL_SECONDS = 0.25
"""Seconds between two checks for an answer; between them the process reacts to Ctrl-C."""


@dataclass(frozen=True)
class Network:
    """A distinct network of the runs."""

    model: ModelConfig
    tasks: tuple[Task, ...]
    """Tasks of all runs with this network."""
    size: tuple[int, int]
    """Height and width of its input in pixels."""
    variant: str
    """Name of the first variant with this network."""

    @property
    def key(self) -> str:
        """Text that distinguishes the networks of one plan."""
        return make_network_key(self.model, self.size)


_CheckResult = tuple[Literal["fits", "fault", "error"], str, WeightSizes | None]
"""Result of a check, its text, and the sizes of a network that fits.

* fits: repository, file and SHA-256 of downloaded weights; empty if none were downloaded.
* fault: the user's error in one line.
* error: an internal error with its traceback.
"""


def make_network_key(model: ModelConfig, size: tuple[int, int]) -> str:
    """Return the text that distinguishes a network, without its tasks, from the others of a plan."""
    return f"{model.model_dump_json()} {size}"


def check_networks(plan: Plan, runs: Sequence[PlannedRun], progress: Progress) -> dict[str, WeightSizes]:
    """Build each distinct network of the runs once, in a separate process.

    The process comes from the server of the workers, which stays alive for the executor.

    Args:
        plan: runs of the study.
        runs: runs to train.
        progress: counts the networks.

    Returns:
        The sizes of each network with the tasks of these runs, by `Network.key`.

    Raises:
        ConfigError: an encoder, weights or sizes do not fit; or weights differ from those of earlier runs of the study
            under the same id.
        RunError: no process can be started, or a network fails because of an internal error.
    """
    from usaggr.sweep.executors.local.executor import start_worker_server
    from usaggr.sweep.executors.local.forkserver import stop_server

    networks = find_distinct_networks(plan, runs)
    may_download = any(network.model.weights and find_weights_file(network.model) is None for network in networks)
    label = "networks checked, missing weights downloaded" if may_download else "networks checked"
    context = start_worker_server(plan.study.executor.machine, preload=list_modules_to_preload(plan.study), ahead=True)
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_check_in_process, args=(sender, networks), daemon=True)
    sizes: dict[str, WeightSizes] = {}
    try:
        progress.start(label, len(networks))
        process.start()
        sender.close()  # else this process holds a sender itself, and never sees the end of a process that died
        for network in networks:
            sizes[network.key] = _receive_result(plan, network, receiver)
            progress.advance()
    except BaseException:  # also Ctrl-C: no executor will come that would stop the server
        stop_server(patience=0.0)
        raise
    finally:
        progress.finish()
        receiver.close()
        if process.pid is not None:
            process.kill()
            process.join()
    return sizes


def find_distinct_networks(plan: Plan, runs: Sequence[PlannedRun]) -> list[Network]:
    """Return each combination of model and image size once, with the tasks of all its runs."""
    task_ids: dict[str, set[str]] = {}
    first_runs: dict[str, PlannedRun] = {}
    for run in runs:
        key = make_network_key(run.study.model, run.study.data.input_size)
        first_runs.setdefault(key, run)
        task_ids.setdefault(key, set()).update(run.spec.tasks)
    all_tasks = plan.manifest.dataset.tasks
    networks = []
    for key, run in first_runs.items():
        tasks = tuple(all_tasks[task_id] for task_id in sorted(task_ids[key]))
        networks.append(Network(run.study.model, tasks, run.study.data.input_size, run.spec.variant))
    return networks


def _receive_result(plan: Plan, network: Network, receiver: Connection) -> WeightSizes:
    """Wait for the result of a network's check, and return its sizes; record or compare the weights that it downloaded.

    Args:
        plan: runs of the study.
        network: the network that is checked next.
        receiver: end of the pipe from the checking process.

    Raises:
        ConfigError: the network does not fit.
        RunError: the process died, or met an internal error.
    """
    try:
        while not receiver.poll(_POLL_SECONDS):
            pass
        kind, text, sizes = receiver.recv()
    except (OSError, EOFError) as error:
        raise RunError(
            f"the process that checks the network {network.model.name} died, killed or out of memory; run the same "
            "command to check it again"
        ) from error
    prefix = f"variant {network.variant}: " if len(plan.study.variants) > 1 else ""
    match kind:
        case "fault":
            raise ConfigError(*(prefix + text).splitlines())
        case "error":
            raise RunError(f"{prefix}the network {network.model.name} cannot be built:", *text.splitlines())
        case _ if text:
            _record_download(plan, network.model, text)
    assert isinstance(sizes, WeightSizes)
    return sizes


def _record_download(plan: Plan, model: ModelConfig, content: str) -> None:
    """Record the downloaded weights of an encoder; refuse weights that differ from those of finished runs.

    Args:
        plan: runs of the study.
        model: model whose weights were downloaded.
        content: repository, file and SHA-256 of the weights.

    Raises:
        ConfigError: finished runs of the study have other weights under the same id.
    """
    path = plan.directory / DOWNLOADS
    recorded = _read_downloads(path)
    recorded_content = recorded.get(model.encoder, content)
    runs = [run for run in plan.runs if _has_same_weights(run.study.model, model)]
    # Without finished runs, nothing depends on the earlier weights: the new ones replace their record.
    if recorded_content != content and any(run.read_state() == "done" for run in runs):
        raise ConfigError(
            f"model.weights={model.weights}: the downloaded weights of {model.encoder} ({content}) differ from those "
            f"that runs of this study started with ({recorded_content}); start another study with name=..."
        )
    write_atomic(path, json.dumps({**recorded, model.encoder: content}, indent=2) + "\n")


@dataclass(frozen=True)
class _Downloads:
    """Content of weights.json."""

    weights: dict[str, str]
    """Repository, file and SHA-256 of the weights, by encoder."""


def _read_downloads(path: Path) -> dict[str, str]:
    """Return the content of weights.json by encoder; empty if there is no such file yet.

    Raises:
        RunError: the file is damaged.
    """
    if not path.is_file():
        return {}
    remedy = "restore the file, or remove it if no run of the study started with downloaded weights"
    return parse_content(path, {"weights": read_json(path, remedy)}, _Downloads, remedy).weights


def _has_same_weights(model: ModelConfig, other: ModelConfig) -> bool:
    return (model.name, model.encoder, model.weights) == (other.name, other.encoder, other.weights)


def _check_in_process(sender: Connection, networks: Sequence[Network]) -> None:
    """Check the networks one after another and send each result; runs in the separate process."""
    from usaggr.models.checking import check_network
    from usaggr.sweep.executors.local.worker import end_with_parent

    end_with_parent()  # a killed sweep must not leave this process behind
    for network in networks:
        result: _CheckResult
        try:
            checked = check_network(network.model, network.tasks, network.size)
            result = "fits", checked.download or "", checked.sizes
        except UsaggrError as error:
            result = "fault", str(error), None
        except Exception as error:
            limit = explain_system_limit(error)
            result = ("fault", limit, None) if limit else ("error", traceback.format_exc(), None)
        sender.send(result)
