"""The wheel: what it holds, and that it works where nothing but the wheel is."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parent.parent
SMALL = ("data.synthetic.samples_per_task=24", "seeds=[0]", "scale=full", "training.budget='16 examples'")
SMALL_TOO = ("training.min_examples=16", "groupings=[unified]", "reference=unified")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of the sources, so that no earlier build leaves anything in it."""
    source = tmp_path_factory.mktemp("source")
    for name in ("usaggr", "conf", "sweeps"):
        shutil.copytree(REPOSITORY / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, source / name)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(source / "dist"), str(source)]
    subprocess.run(build, check=True, capture_output=True)
    return next((source / "dist").glob("*.whl"))


@pytest.fixture(scope="module")
def usaggr(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The installed console script, in an environment that borrows this one's other packages."""
    home = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True)
    python = home / "bin" / "python"
    # A path in a .pth file is searched, but the .pth files there, such as that of an editable install, are not read.
    for packages in home.glob("lib/python*/site-packages"):
        (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, str(wheel)], check=True)
    return home / "bin" / "usaggr"


def run(usaggr: Path, folder: Path, *arguments: str) -> str:
    """Standard output of a command in a folder, which must succeed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run([str(usaggr), *arguments], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_file_of_conf_and_sweeps_and_every_module_is_in_the_wheel(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    wanted = [
        *(f"usaggr/{path.relative_to(REPOSITORY)}" for path in (REPOSITORY / "conf").rglob("*.yaml")),
        *(f"usaggr/{path.relative_to(REPOSITORY)}" for path in (REPOSITORY / "sweeps").rglob("*.yaml")),
        *(str(path.relative_to(REPOSITORY)) for path in (REPOSITORY / "usaggr").rglob("*.py")),
        *(str(path.relative_to(REPOSITORY)) for path in (REPOSITORY / "usaggr").rglob("*.j2")),
        "usaggr/py.typed",
    ]
    assert len(wanted) > 40
    assert set(wanted) - inside == set()


def test_no_tests_nor_anything_else_of_the_repository_is_in_the_wheel(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"usaggr"}


def test_the_installed_tool_composes_in_an_empty_folder_from_its_own_files(usaggr: Path, tmp_path: Path) -> None:
    assert yaml.safe_load(run(usaggr, tmp_path, "config"))["name"] == "demo"
    sources = run(usaggr, tmp_path, "config", "--sources")
    assert f"{usaggr.parent.parent}/lib" in sources
    assert str(REPOSITORY) not in sources


def test_a_users_own_files_come_before_the_installed_ones(usaggr: Path, tmp_path: Path) -> None:
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "sweeps" / "mine.yaml").write_text("defaults: [sweep, override /model: big, _self_]\n")
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "model" / "big.yaml").write_text("defaults: [tiny, _self_]\ndecoder_channels: 128\n")
    composed = yaml.safe_load(run(usaggr, tmp_path, "config", "mine"))
    assert composed["model"]["decoder_channels"] == 128


def test_the_installed_tool_plans_and_sweeps_in_an_empty_folder(usaggr: Path, tmp_path: Path) -> None:
    assert "1 runs: 1 pending" in run(usaggr, tmp_path, "plan", *SMALL, *SMALL_TOO)
    run(usaggr, tmp_path, "sweep", *SMALL, *SMALL_TOO)
    assert (tmp_path / "outputs" / "demo" / "report" / "report.md").is_file()
    assert "1 done" in run(usaggr, tmp_path, "plan", *SMALL, *SMALL_TOO)
