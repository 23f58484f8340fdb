"""Versions, device, threads, memory and limits of this machine, for `usaggr doctor`."""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from usaggr.cli.doctor_findings import Finding
from usaggr.io.bounded_content import parse_json
from usaggr.io.cores import count_bound_cores
from usaggr.io.system_limits import explain_semaphores, explain_system_limit

if TYPE_CHECKING:
    from usaggr.config.study import StudyConfig

_OTHER_PACKAGES = (
    "torchmetrics", "hydra-core", "omegaconf", "pydantic", "pyarrow", "pillow", "matplotlib", "pebble", "rich", "typer",
)  # fmt: skip
_EXTRAS = (
    "ray", "submitit", "onnx", "onnxruntime", "tensorboard", "mlflow-skinny", "mlflow", "wandb", "torchjd", "pydicom",
    "nibabel",
)  # fmt: skip
"""Packages of the optional extras."""
_NEWEST_PYTHON = (3, 14)
"""Newest Python on which usaggr was tried."""
_MIN_MEMORY_GIB = 2.0
"""Available memory below which two small runs do not fit beside each other."""
_GIB = 2**30
_PROBE_SECONDS = 120
_PROBE = """
import json, torch
gpus = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
mps = getattr(torch.backends, "mps", None)
print(json.dumps({"torch": torch.__version__, "cuda": torch.version.cuda, "mps": bool(mps and mps.is_available()),
    "gpus": [f"{gpu.name}, {gpu.total_memory / 2**30:.0f} GiB" for gpu in gpus]}))
"""
"""Program that imports torch in a process of its own, because the import may fail, hang or be killed."""


def describe_machine(study: "StudyConfig | None") -> Iterator[Finding]:
    """Yield the findings about versions, device, threads, memory and limits.

    `study` gives the accelerator and the workers; None if there is no valid study.
    """
    yield from _describe_versions()
    yield _describe_device(study)
    yield _describe_threads(study)
    yield _describe_memory()
    yield _describe_limits()
    yield _describe_semaphores()
    yield _describe_text()


def _describe_versions() -> Iterator[Finding]:
    from usaggr import __version__
    from usaggr.sweep.execution.provenance import collect_provenance

    provenance = collect_provenance()
    commit = provenance["git_commit"]
    yield Finding("usaggr", f"{__version__}{f', commit {commit}' if commit else ''}, {Path(__file__).parents[1]}")
    newer = sys.version_info[:2] > _NEWEST_PYTHON
    yield Finding(
        "python",
        f"{provenance['python']}, {sys.executable}",
        f"usaggr was tried with Python 3.11 to {'.'.join(map(str, _NEWEST_PYTHON))}" if newer else None,
    )
    yield Finding("system", str(provenance["platform"]))
    packages: dict[str, str] = {name: text for name, text in provenance["packages"].items() if name != "usaggr"}
    packages |= {name: number for name in _OTHER_PACKAGES if (number := _read_version(name))}
    yield Finding("packages", _join(packages), _find_wrong_versions())
    extras = {name: number for name in _EXTRAS if (number := _read_version(name))}
    yield Finding("extras", _join(extras) or "none")


def _join(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in versions.items())


def _read_version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _find_wrong_versions() -> str | None:
    """Return the required packages that are missing or have a version that usaggr was not made for; None if none."""
    try:
        from packaging.requirements import Requirement

        required = [Requirement(text) for text in metadata.requires("usaggr") or ()]
    except (ImportError, metadata.PackageNotFoundError):
        return None
    wrong = []
    for requirement in required:
        # Requirements of extras and of other systems do not apply here.
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        number = _read_version(requirement.name)
        if number is None:
            wrong.append(f"{requirement.name} is missing")
        elif not requirement.specifier.contains(number, prereleases=True):
            wrong.append(f"{requirement.name} {number} is not {requirement.specifier}")
    return f"{'; '.join(wrong)}: pip install --upgrade usaggr" if wrong else None


def _describe_device(study: "StudyConfig | None") -> Finding:
    """Import torch in another process, and describe its devices."""
    # -P, so that a file torch.py in the current folder is not imported in place of torch.
    command = [sys.executable, "-P", "-c", _PROBE]
    try:
        finished = subprocess.run(
            command, capture_output=True, encoding="utf-8", errors="replace", timeout=_PROBE_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = explain_system_limit(error) or str(error)
        return Finding("device", "unknown", f"torch cannot be imported: {reason}")
    if finished.returncode != 0:
        lines = finished.stderr.strip().splitlines() or [f"the process ended with status {finished.returncode}"]
        reason = explain_system_limit(ImportError(lines[-1])) or lines[-1]
        return Finding("device", "unknown", f"torch cannot be imported: {reason}")
    # Libraries may print warnings before the answer.
    answer: dict[str, Any] = parse_json(finished.stdout.splitlines()[-1])
    devices = answer["gpus"] or (["Apple GPU (mps)"] if answer["mps"] else ["no GPU"])
    build = f"CUDA {answer['cuda']}" if answer["cuda"] else "without CUDA"
    wants_gpu = study is not None and study.training.accelerator == "gpu"
    has_gpu = bool(answer["gpus"] or answer["mps"])
    warning = "training.accelerator=gpu, but torch sees no GPU: use auto or cpu" if wants_gpu and not has_gpu else None
    return Finding("device", f"{'; '.join(devices)} (torch {answer['torch']}, {build})", warning)


def _describe_threads(study: "StudyConfig | None") -> Finding:
    from usaggr.sweep.executors.local.placement import count_usable_cores

    text = f"{count_usable_cores()} usable cores; bound to {count_bound_cores()} of {os.cpu_count()}"
    if study is not None:
        executor = study.executor.machine
        text += f"; executor.workers={executor.workers or 'null'}, executor.threads={executor.threads or 'null'}"
    variables = [f"{name}={os.environ[name]}" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS") if name in os.environ]
    return Finding("threads", "; ".join([text, *variables]))


def _describe_memory() -> Finding:
    import psutil

    memory = psutil.virtual_memory()
    available = memory.available / _GIB
    warning = "too little for a sweep: end other programs" if available < _MIN_MEMORY_GIB else None
    return Finding("memory", f"{available:.1f} of {memory.total / _GIB:.1f} GiB available", warning)


def _describe_limits() -> Finding:
    """Describe the limits of a process; too few open files are refused by every command, so they need no warning."""
    memory = resource.getrlimit(resource.RLIMIT_AS)[0]
    limits = {
        "open files": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        "processes": resource.getrlimit(resource.RLIMIT_NPROC)[0],
        "MiB of memory": memory if memory == resource.RLIM_INFINITY else memory // 2**20,
    }
    infinity = resource.RLIM_INFINITY
    text = ", ".join(f"{'unlimited' if limit == infinity else limit} {name}" for name, limit in limits.items())
    is_low = memory != infinity and memory < 4 * _GIB
    return Finding("limits", text, "ulimit -v: torch alone may need more; raise it" if is_low else None)


def _describe_semaphores() -> Finding:
    """Create a lock of processes, as a sweep does for its workers."""
    import multiprocessing

    try:
        # A lock is a semaphore in /dev/shm, which a container may lack or limit.
        multiprocessing.get_context("spawn").Lock()
    except OSError as error:
        return Finding("locks", "cannot be created", explain_semaphores(error))
    return Finding("locks", "can be created")


def _describe_text() -> Finding:
    names = ("LC_ALL", "LC_CTYPE", "LANG", "PYTHONUTF8", "PYTHONIOENCODING")
    variables = [f"{name}={os.environ[name]}" for name in names if name in os.environ]
    terminal = getattr(sys.stdout, "encoding", None)
    return Finding("text", "; ".join([f"files {sys.getfilesystemencoding()}, terminal {terminal}", *variables]))
