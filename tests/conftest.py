"""Setup of all tests: a separate cache, no downloads, one thread, and the folder of real data."""

import gc
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, settings

import usaggr  # noqa: F401  (before torchvision is imported by anything else)
from tests.composing import compose_once
from tests.hydra_cache import HydraCache
from tests.slurm.cluster import slurm  # noqa: F401  (a fixture: one Slurm for all tests)
from usaggr.config import hydra
from usaggr.sweep.executors.local import executor, forkserver

os.environ.setdefault("HF_HUB_OFFLINE", "1")
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

# A time limit per example is meaningless on a machine that runs several tests at once.
_EVERY_PROFILE = settings(deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
# Fast tests use the same few examples each time; `make test-slow` repeats the property tests with many random ones.
settings.register_profile("fast", _EVERY_PROFILE, max_examples=25, derandomize=True)
settings.register_profile("thorough", _EVERY_PROFILE, max_examples=400)
settings.load_profile(os.environ.get("USAGGR_HYPOTHESIS", "fast"))

# Tests parse and write configuration files thousands of times; libyaml does both several times as fast as Python does.
yaml.SafeLoader = yaml.CSafeLoader  # type: ignore[assignment,misc]
yaml.SafeDumper = yaml.CSafeDumper  # type: ignore[assignment,misc]

_compose_with_hydra = hydra.compose_values
hydra.compose_values = compose_once(_compose_with_hydra)
_hydra_cache = HydraCache()
_hydra_cache.switch_on()


def pytest_collection_finish() -> None:
    """Exclude all imported objects from later garbage collections, which otherwise take half a second each."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _separate_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep hashes, phantoms and resized images of tests out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("USAGGR_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def _no_database_of_another_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the address that Lightning's logger for MLflow leaves in the environment of its process."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def composed_by_hydra(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let Hydra compose every configuration, for tests of how it does so."""
    monkeypatch.setattr(hydra, "compose_values", _compose_with_hydra)
    _hydra_cache.switch_off()
    yield
    _hydra_cache.switch_on()


@pytest.fixture(scope="module")
def kept_server() -> Iterator[None]:
    """Share one fork server among all executors of a module's tests; each would otherwise start its own.

    It is not for tests of how an executor starts, ends or replaces its server
    (tests/sweep/executors/test_executor.py).
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(executor, "start_worker_server", partial(executor.start_worker_server, ahead=True))
        patch.setattr(executor, "stop_server", lambda: None)
        yield
    forkserver.stop_server()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return a folder with real images in the FM_UIA layout; skip the test if there is none."""
    folder = os.environ.get("USAGGR_TEST_DATA")
    if not folder:
        pytest.skip("USAGGR_TEST_DATA names no folder with real data in the FM_UIA layout")
    return Path(folder)
