"""The wheel contains every file of the package, and works in an environment without the checkout."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).parent.parent
TINY_SWEEP = (
    "data.synthetic.samples_per_task=24",
    "data.synthetic.tasks=[breast_2cls,fetal_head]",
    "data.image_size=32",
    "seeds=[0]",
    "scale=full",
    "training.budget='8 examples'",
    "training.min_examples=8",
    "groupings=[unified]",
    "reference=unified",
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a wheel built from a copy of the sources, so that it contains no leftovers of an earlier build."""
    source = tmp_path_factory.mktemp("source")
    for name in ("usaggr", "conf", "sweeps"):
        shutil.copytree(REPOSITORY / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, source / name)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(source / "dist"), str(source)]
    subprocess.run(build, check=True, capture_output=True)
    return next((source / "dist").glob("*.whl"))


@pytest.fixture(scope="module")
def usaggr(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the console script of the wheel, in an environment that borrows only third-party packages."""
    home = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True)
    python = home / "bin" / "python"
    # Python searches a folder in a .pth file but ignores .pth files inside it, such as that of an editable install.
    for packages in home.glob("lib/python*/site-packages"):
        (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--no-compile", str(wheel)], check=True)
    return home / "bin" / "usaggr"


def run(command: list[str], folder: Path) -> str:
    """Run a command that must succeed, without Python's environment variables, and return its standard output."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    completed = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert completed.returncode == 0, completed.stdout + completed.stderr
    return completed.stdout


def files_of(folder: Path) -> set[str]:
    """Return the relative paths of all files of a folder that belong in a wheel."""
    files = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(folder).as_posix() for path in files}


def test_the_wheel_contains_the_files_of_the_checkout_and_no_others(wheel: Path) -> None:
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    expected = {f"usaggr/{name}" for name in files_of(REPOSITORY / "usaggr")}
    expected |= {f"usaggr/{top}/{name}" for top in ("conf", "sweeps") for name in files_of(REPOSITORY / top)}
    assert len(expected) > 300
    assert inside == expected


def test_every_module_of_the_wheel_can_be_imported_without_the_checkout(
    wheel: Path, usaggr: Path, tmp_path: Path
) -> None:
    files = [Path(name) for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".py")]
    modules = sorted(".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in files)
    code = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]: importlib.import_module(name)\n"
        "files = {module.__file__ for name, module in sys.modules.items() if name.split('.')[0] == 'usaggr'}\n"
        "print(*sorted(files), sep='\\n')\n"
    )
    imported = run([str(usaggr.parent / "python"), "-c", code, *modules], tmp_path).splitlines()
    assert len(imported) == len(modules)
    assert all(Path(file).is_relative_to(usaggr.parents[1]) for file in imported)


def test_the_installed_tool_composes_in_an_empty_folder_with_its_own_files(usaggr: Path, tmp_path: Path) -> None:
    sources = run([str(usaggr), "config", "--sources"], tmp_path)
    assert f"{usaggr.parent.parent}/lib" in sources
    assert str(REPOSITORY) not in sources


def test_a_users_own_files_take_precedence_over_installed_ones(usaggr: Path, tmp_path: Path) -> None:
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "sweeps" / "mine.yaml").write_text("defaults: [sweep, override /model: big, _self_]\n")
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "model" / "big.yaml").write_text("defaults: [tiny, _self_]\ndecoder_channels: 128\n")
    composed = yaml.safe_load(run([str(usaggr), "config", "mine"], tmp_path))
    assert composed["model"]["decoder_channels"] == 128


def test_the_installed_tool_sweeps_and_reports_in_an_empty_folder(usaggr: Path, tmp_path: Path) -> None:
    run([str(usaggr), "sweep", *TINY_SWEEP], tmp_path)
    results = tmp_path / "outputs" / "demo"
    assert (results / "report" / "report.md").is_file()
    assert "1 done" in run([str(usaggr), "status", str(results)], tmp_path)
