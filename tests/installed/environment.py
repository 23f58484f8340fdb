"""A new environment in which usaggr is installed as users install it: `pip install .`, not editable."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
SOURCES = ("usaggr", "conf", "sweeps", "pyproject.toml", "setup.py", "README.md", "LICENSE")


@dataclass(frozen=True)
class Installation:
    """An environment with usaggr, and the folder in which its commands run."""

    home: Path
    """Folder of the virtual environment."""
    source: Path
    """Copy of the sources that were installed."""
    folder: Path
    """Current folder of the commands; empty at first."""

    def pip_install(self, requirement: str) -> None:
        """Install a package in the environment."""
        pip = [str(self.home / "bin" / "python"), "-m", "pip", "install", "--quiet", requirement]
        subprocess.run(pip, check=True, cwd=self.source)

    def run(self, *words: str, status: int = 0) -> str:
        """Run `usaggr WORDS`, check its exit status, and return its output on both streams."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        command = [str(self.home / "bin" / "usaggr"), *words]
        completed = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True)
        printed = completed.stdout + completed.stderr
        assert completed.returncode == status, f"{' '.join(words)}: exit status {completed.returncode}\n{printed}"
        return printed


def install(folder: Path) -> Installation:
    """Create an environment below a folder, and install a copy of the sources in it."""
    source = folder / "source"
    source.mkdir()
    for name in SOURCES:
        if (REPOSITORY / name).is_dir():
            shutil.copytree(REPOSITORY / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(REPOSITORY / name, source / name)
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    (folder / "empty").mkdir()
    installation = Installation(folder / "venv", source, folder / "empty")
    installation.pip_install(".")
    return installation
