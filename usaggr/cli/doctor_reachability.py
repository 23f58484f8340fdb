"""Checks that a study's tracker and cluster can be reached from here, for `usaggr doctor`."""

import importlib.util
import socket
from collections.abc import Iterator
from typing import assert_never
from urllib.parse import urlsplit

from usaggr.cli.doctor_findings import Finding
from usaggr.config.executor import LocalConfig, RayConfig, SlurmConfig
from usaggr.config.logger import CsvLogger, MlflowLogger, NoLogger, TensorBoardLogger, WandbLogger
from usaggr.config.study import StudyConfig
from usaggr.errors import UsaggrError
from usaggr.tracking.netrc_files import find_host

_CONNECT_SECONDS = 5.0


def describe_tracker(study: StudyConfig) -> Iterator[Finding]:
    """Yield the findings about the tracker of a study."""
    from usaggr.tracking.record import check_logger, find_mlflow_location, remove_passwords

    logger = study.logger
    try:
        check_logger(study)
    except UsaggrError as error:
        yield Finding("tracker", logger.name, str(error))
        return
    match logger:
        case NoLogger() | CsvLogger() | TensorBoardLogger():
            yield Finding("tracker", logger.name)
        case MlflowLogger():
            location = remove_passwords(find_mlflow_location(study))
            is_server = location.startswith(("http://", "https://"))
            yield Finding("tracker", f"mlflow at {location}", _connect(location) if is_server else None)
        case WandbLogger():
            yield _describe_wandb()
        case _:
            assert_never(logger)


def _describe_wandb() -> Finding:
    """Return the finding about W&B; `check_logger` has reported a missing key."""
    from usaggr.tracking.record import remove_passwords
    from usaggr.tracking.wandb_key import find_wandb_access

    access = find_wandb_access()
    if not access.needs_server:
        return Finding("tracker", f"wandb, {access.mode}")
    address = remove_passwords(access.server)
    return Finding("tracker", f"wandb at {address}, with{'' if access.has_key else 'out'} a key", _connect(address))


def describe_cluster(study: StudyConfig) -> Iterator[Finding]:
    """Yield the findings about the executor of a study."""
    executor = study.executor
    match executor:
        case LocalConfig():
            yield Finding("executor", "local")
        case SlurmConfig():
            yield _describe_slurm(executor)
        case RayConfig():
            yield _describe_ray(executor)
        case _:
            assert_never(executor)


def _describe_slurm(executor: SlurmConfig) -> Finding:
    from usaggr.sweep.executors.slurm.queue import has_slurm, run_command

    if importlib.util.find_spec("submitit") is None:
        return Finding("executor", "slurm", "executor=slurm needs the package submitit: pip install usaggr[slurm]")
    if not has_slurm():
        return Finding("executor", "slurm", "there is no squeue on this machine: run usaggr on a node that has Slurm")
    version = (run_command(["sinfo", "--version"]) or "unknown version").strip()
    chosen = [f"--partition={executor.partition}"] if executor.partition else []
    answer = run_command(["sinfo", "--noheader", "--format=%P %a %D nodes %t", *chosen])
    text = f"slurm ({version}), {'the default partition' if not chosen else executor.partition}"
    if answer is None:
        return Finding("executor", text, "Slurm does not answer: see `sinfo`")
    lines = [line.strip() for line in answer.splitlines() if line.strip()]
    if not lines:
        return Finding("executor", text, f"executor.partition={executor.partition}: there is no such partition")
    # Large clusters have dozens of lines, one per partition and state of nodes.
    return Finding("executor", f"{text}: {'; '.join(lines[:4])}")


def _describe_ray(executor: RayConfig) -> Finding:
    if importlib.util.find_spec("ray") is None:
        return Finding("executor", "ray", "executor=ray needs the package ray: pip install usaggr[ray]")
    if executor.address is None:
        return Finding("executor", "ray, started on this machine")
    # A name such as `auto` has no port; Ray itself finds the cluster.
    warning = _connect(f"ray://{executor.address}") if ":" in executor.address else None
    return Finding("executor", f"ray at {executor.address}", warning)


def _connect(address: str) -> str | None:
    """Open and close a connection to an address; return why that failed, or None."""
    try:
        parts = urlsplit(address)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        socket.create_connection((parts.hostname or "", port), timeout=_CONNECT_SECONDS).close()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        host = find_host(address) or address
        return f"{host} cannot be reached ({reason}): check the address, the network and the proxy"
    return None
