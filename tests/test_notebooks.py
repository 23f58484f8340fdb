"""The notebooks run from the first to the last cell, and are stored without outputs."""

import json
from pathlib import Path

import pytest

from tests.report.sweeps import FakeSweep, level
from usaggr.report.build import build_report
from usaggr.tasks import CATALOGUE

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_without_outputs(path: Path) -> None:
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    assert cells
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)


@pytest.mark.slow
def test_the_notebook_on_your_own_data_goes_from_images_to_a_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("USAGGR_OUTPUT", str(tmp_path))
    notebook = nbformat.read(NOTEBOOKS[1], as_version=4)
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute(cwd=str(NOTEBOOKS[1].parent))
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert "120 valid samples of 2 tasks, 0 errors" in str(outputs)
    assert "\\x1b" not in str(outputs), "the output contains escape sequences for terminals"
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 2
    assert (tmp_path / "outputs" / "own" / "report" / "index.html").is_file()


@pytest.mark.slow
def test_the_notebook_on_formats_goes_from_exports_to_a_sweep_of_five_tasks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("USAGGR_OUTPUT", str(tmp_path))
    notebook = nbformat.read(NOTEBOOKS[2], as_version=4)
    assert "pandas" not in str([cell.source for cell in notebook.cells])
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute(cwd=str(NOTEBOOKS[2].parent))
    outputs = str([output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs])
    assert "150 valid samples of 5 tasks, 0 errors" in outputs
    results = tmp_path / "outputs" / "hospital"
    assert len(list(results.glob("runs/*/result.json"))) == 6
    report = (results / "report" / "report.md").read_text()
    assert all(name in report for name in ("left ventricle", "bright", "left", "fibroid", "lesion"))


@pytest.mark.slow
def test_the_notebook_on_reports_runs_on_a_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nbformat
    from nbclient import NotebookClient

    sweep = FakeSweep(tmp_path / "study", scales=(0.25, 1.0))
    sweep.finish(lambda task, block, scale, seed: level(CATALOGUE[task], 0.4 + 0.03 * seed + 0.02 * len(block)))
    build_report([sweep.directory])
    monkeypatch.setenv("USAGGR_OUTPUT", str(sweep.directory))
    notebook = nbformat.read(NOTEBOOKS[0], as_version=4)
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute(cwd=str(NOTEBOOKS[0].parent))
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert "30 runs, 3 tasks" in str(outputs[0])
    assert any("image/png" in output.get("data", {}) for output in outputs)
