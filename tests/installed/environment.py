"""A fresh environment in which usaggr is installed as a user installs it: `pip install .`, not editable."""

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
    """An environment with usaggr, and the folder in which its commands are run."""

    home: Path
    """Folder of the virtual environment."""
    source: Path
    """Copy of the sources that were installed."""
    folder: Path
    """Empty at first."""

    def pip_install(self, requirement: str) -> None:
        """Install something in the environment."""
        pip = [str(self.home / "bin" / "python"), "-m", "pip", "install", "--quiet", requirement]
        subprocess.run(pip, check=True, cwd=self.source)

    def run(self, *words: str, status: int = 0) -> str:
        """Return what `usaggr WORDS` prints, on both streams; it must end with the exit status."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        command = [str(self.home / "bin" / "usaggr"), *words]
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True)
        printed = done.stdout + done.stderr
        assert done.returncode == status, f"{' '.join(words)}: exit status {done.returncode}\n{printed}"
        return printed


def install(folder: Path) -> Installation:
    """Make a fresh environment below a folder and install a copy of the sources in it."""
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
