"""What all tests share: nothing of the user's cache, no downloads, one thread, and where real data are."""

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

# Times of single examples say nothing on a machine that runs several tests at once.
_EVERY_PROFILE = settings(deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
# Fast tests try the same few examples each time; `make test-slow` runs the property tests again with many random ones.
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
    """Keep what importing has made out of every later garbage collection, which takes half a second otherwise."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keeps hashes, phantoms and resized images of tests out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("USAGGR_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def composed_by_hydra(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let Hydra compose every configuration, for the tests of how it does so."""
    monkeypatch.setattr(hydra, "compose_values", _compose_with_hydra)
    _hydra_cache.switch_off()
    yield
    _hydra_cache.switch_on()


@pytest.fixture(scope="module")
def kept_server() -> Iterator[None]:
    """Let all executors of a module's tests have one fork server, which each would otherwise start for itself.

    Not for tests of how an executor starts, ends or replaces its server (tests/sweep/executors/test_executor.py).
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(executor, "server_for", partial(executor.server_for, ahead=True))
        patch.setattr(executor, "stop_server", lambda: None)
        yield
    forkserver.stop_server()


@pytest.fixture
def real_data() -> Path:
    """A folder with real images in the FM_UIA layout; the test is skipped where there is none."""
    folder = os.environ.get("USAGGR_TEST_DATA")
    if not folder:
        pytest.skip("USAGGR_TEST_DATA names no folder with real data in the FM_UIA layout")
    return Path(folder)
