"""A real Slurm of one node, started once for all tests that request it."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.slurm import FOLDER, NEEDED


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield the folder of a running Slurm, with SLURM_CONF set."""
    missing = [name for name in NEEDED if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None]
    if missing:
        pytest.skip(f"no {missing[0]}: apt-get install slurmctld slurmd slurmdbd slurm-client munge mariadb-server")
    if os.getuid() != 0:
        pytest.skip("Slurm's daemons are started by root")
    pytest.importorskip("submitit", reason="submitit is not installed: pip install usaggr[slurm]")
    folder = tmp_path_factory.mktemp("slurm")
    base = Path(tempfile.gettempdir()).resolve()
    for directory in [folder, *(parent for parent in folder.parents if base in parent.parents)]:
        directory.chmod(0o755)  # the database runs as another user
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{os.environ['PATH']}:/usr/sbin:/sbin")
        patch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
        try:
            subprocess.run([FOLDER / "start-slurm", folder], check=True, timeout=240)
            yield folder
        finally:
            subprocess.run([FOLDER / "stop-slurm", folder], check=False, timeout=120)
