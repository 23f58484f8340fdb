"""Numbers do not depend on the vector instructions that torch uses: the numeric tests run with all supported sets.

torch selects the widest set by itself, so an ordinary test run covers only that one. Another order of sums rounds
differently. If a test passes only with some sets, it compares more digits than float32 has, or a sample's result
depends on its neighbors in the batch.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[1]
NUMERIC = (
    "tests/models/test_experts.py",
    "tests/models/test_heads.py",
    "tests/models/test_m2dino.py",
    "tests/models/test_network.py",
    "tests/training/test_balancing.py",
    "tests/training/test_memory_format.py",
    "tests/training/test_losses.py",
    "tests/training/test_objective.py",
    "tests/training/test_run.py",
    "tests/inference/test_loaded_model.py",
    "tests/test_earlier_versions.py",
)
"""Tests that compare what torch computes in two ways."""
FLAGS = {
    "default": set[str](),
    "avx2": {"avx2", "fma"},
    "avx512": {"avx512f", "avx512vl", "avx512bw", "avx512dq", "fma"},
}
"""Values of ATEN_CPU_CAPABILITY on x86, and the processor's flags that torch requires for each."""


def capabilities() -> list[str]:
    """Return the sets of instructions that this processor supports, except the one that torch selects by itself."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return []
    flags = next((set(line.partition(":")[2].split()) for line in lines if line.startswith("flags")), set[str]())
    usual = torch.backends.cpu.get_cpu_capability().lower()
    return [name for name, needed in FLAGS.items() if flags and needed <= flags and name != usual]


def run_under(capability: str, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "ATEN_CPU_CAPABILITY": capability}
    return subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True)


@pytest.mark.slow
@pytest.mark.skipif(not capabilities(), reason="torch knows one set of instructions of this processor")
@pytest.mark.parametrize("capability", capabilities() or ["default"])
def test_the_numeric_tests_pass_with_every_set_of_instructions(capability: str) -> None:
    reported = run_under(capability, "-c", "import torch; print(torch.backends.cpu.get_cpu_capability())")
    assert reported.stdout.strip().lower() == capability
    tested = run_under(capability, "-m", "pytest", "-q", "-p", "no:cacheprovider", *NUMERIC)
    assert tested.returncode == 0, tested.stdout[-5000:]


def test_the_numeric_tests_exist() -> None:
    assert [path for path in NUMERIC if not (ROOT / path).is_file()] == []
