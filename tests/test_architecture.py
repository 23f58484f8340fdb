"""Architecture of the package: direction of imports, use of torch, and size of files and functions."""

import ast
import graphlib
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from usaggr.results import contract

PACKAGE = Path(__file__).parent.parent / "usaggr"
FILES = sorted(PACKAGE.rglob("*.py"))

ROOMS = (
    ("errors", "safe_path", "stopping", "torchvision_ops"),
    ("tasks",),
    ("io",),
    ("progress",),
    ("config",),
    ("document",),
    ("results",),
    ("tracking",),
    ("data",),
    ("metrics",),
    ("models",),
    ("training",),
    ("statistics",),
    ("analysis",),
    ("sweep",),
    ("affinity",),
    ("advice",),
    ("challenge",),
    ("inference",),
    ("report",),
    ("cli",),
    ("__main__",),
)
"""Packages and modules in order; each one imports only from itself and those before it."""

WITH_TORCH = {"models", "training"}
"""Packages whose modules import torch; `WITH_TORCH_FILES` lists the modules of other packages that do."""
WITH_TORCH_FILES = {
    "data/batches/batches.py",
    "data/batches/augment.py",
    "affinity/feature_similarity.py",
    "affinity/gradient_probe.py",
    "affinity/probed_training.py",
    "torchvision_ops.py",
    "tracking/backends.py",
    "tracking/lightning_logger.py",
    "inference/loaded_model.py",
    "inference/onnx_graph.py",
}
TORCH = {"torch", "torchvision", "pytorch_lightning", "segmentation_models_pytorch", "timm", "monai", "torchmetrics"}


def find_room(module: str) -> int:
    """Return the position in ROOMS of a module such as usaggr.data.split.make_split."""
    name = module.split(".")[1]
    return next(i for i, room in enumerate(ROOMS) if name in room)


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)


def _may_import_torch(path: Path) -> bool:
    inside = path.relative_to(PACKAGE)
    return inside.parts[0] in WITH_TORCH or str(inside) in WITH_TORCH_FILES


def imports(path: Path, include_functions: bool) -> Iterator[str]:
    """Yield the modules that a file imports, except those imported only for type checkers."""
    unvisited: list[ast.AST] = [parsed(path)]
    while unvisited:
        node = unvisited.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and not include_functions:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield str(node.module)
        unvisited.extend(ast.iter_child_nodes(node))


def inner_imports(path: Path, include_functions: bool) -> set[str]:
    return {module for module in imports(path, include_functions) if module.startswith("usaggr.")}


def test_a_file_has_at_most_400_lines() -> None:
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in FILES}
    assert {name: length for name, length in lengths.items() if length > 400} == {}


def test_a_function_fits_on_a_screen() -> None:
    too_long = [
        f"{name_of(path)}.{node.name}"
        for path in FILES
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (node.end_lineno or 0) - node.lineno >= 60
    ]
    assert too_long == []


def test_rooms_import_only_from_rooms_before_them() -> None:
    upward = [
        f"{name_of(path)} imports {module}"
        for path in FILES
        if path != PACKAGE / "__init__.py"
        for module in inner_imports(path, include_functions=True)
        # The sweep executes runs, so it imports training inside functions; the test below checks that.
        if not (path.is_relative_to(PACKAGE / "sweep") and module.startswith("usaggr.training"))
        and find_room(module) > find_room(name_of(path))
    ]
    assert upward == []


def test_no_module_name_occurs_twice() -> None:
    """Names of modules whose role repeats by design are exceptions."""
    names = Counter(path.stem for path in FILES if path.name != "__init__.py")
    roles = {"chapter", "tables", "figure", "topic", "executor"}
    # usaggr.data.images is the name that scripts of earlier versions import.
    assert {name for name, count in names.items() if count > 1} == roles | {"images"}


def test_no_modules_import_each_other_in_a_cycle() -> None:
    graph = {name_of(path): inner_imports(path, include_functions=True) for path in FILES if path.name != "__init__.py"}
    sorter = graphlib.TopologicalSorter({name: modules & graph.keys() for name, modules in graph.items()})
    sorter.prepare()  # raises CycleError, whose message names the modules


def test_file_names_of_the_results_contract_occur_only_in_results() -> None:
    names = {str(value) for name, value in vars(contract).items() if name.isupper() and "." in str(value)}
    assert {"plan.csv", "result.json", "weights/scored.safetensors"} <= names
    spelled = [
        f"{name_of(path)}, line {node.lineno}: {node.value}"
        for path in FILES
        if not path.is_relative_to(PACKAGE / "results")
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.split("/")[-1] in names
    ]
    assert spelled == []


def test_the_package_has_eight_files_next_to_its_folders() -> None:
    names = (
        "__init__.py __main__.py errors.py progress.py py.typed safe_path.py stopping.py tasks.py torchvision_ops.py"
    )
    assert sorted(path.name for path in PACKAGE.iterdir() if path.is_file()) == names.split()


def test_the_sweep_imports_training_only_inside_functions() -> None:
    files = sorted((PACKAGE / "sweep").rglob("*.py"))
    assert files
    early = {name_of(path): inner_imports(path, include_functions=False) for path in files}
    assert [name for name, modules in early.items() if any(m.startswith("usaggr.training") for m in modules)] == []


def test_torch_is_imported_only_where_it_is_needed() -> None:
    light = [path for path in FILES if not _may_import_torch(path)]
    assert len(light) > 100
    heavy = {name_of(path): {m.split(".")[0] for m in imports(path, include_functions=False)} & TORCH for path in light}
    assert {name: packages for name, packages in heavy.items() if packages} == {}


def loaded_after(*modules: str) -> set[str]:
    """Return the top-level packages in memory after a new interpreter has imported these modules."""
    code = f"import sys, {', '.join(modules)}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    completed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(completed.stdout.split())


def test_planning_and_reporting_load_no_torch() -> None:
    modules = [name_of(path) for path in FILES if path.name != "__init__.py" and _is_light(path)]
    assert {"usaggr.sweep.planning.study_plan", "usaggr.config.compose", "usaggr.cli.main"} <= set(modules)
    assert not loaded_after(*modules) & TORCH


def test_the_command_line_and_status_load_no_slow_package() -> None:
    """The commands `--help` and `status` must answer within a second."""
    assert not loaded_after("usaggr.cli.main") & (
        TORCH | {"hydra", "pandas", "numpy", "scipy", "sklearn", "matplotlib", "cv2"}
    )


def _is_light(path: Path) -> bool:
    return not _may_import_torch(path) or path == PACKAGE / "torchvision_ops.py"


PARSERS = {
    "json.load": None,
    "json.loads": "io/bounded_content.py",
    "yaml.load": "io/bounded_content.py",
    "yaml.safe_load": None,
    "yaml.full_load": None,
    "yaml.load_all": None,
    "yaml.safe_load_all": None,
    "yaml.parse": "io/bounded_content.py",
    "OmegaConf.load": None,
    "csv.reader": "io/bounded_content.py",
    "csv.DictReader": "io/bounded_content.py",
    "pd.read_csv": "results/curve.py",  # of a text that is bounded
    "pd.read_json": None,
    "pd.read_parquet": None,
    "parquet.read_table": None,
    "parquet.read_schema": "io/bounded_parquet.py",
    "parquet.ParquetFile": "io/bounded_parquet.py",
    "np.genfromtxt": None,
    "np.loadtxt": None,
}
"""For each parser without limits, the only file that may call it; None: no file."""


def test_hostile_files_meet_a_bounded_parser_everywhere() -> None:
    calls = [
        (ast.unparse(node.func), str(path.relative_to(PACKAGE)), node.lineno)
        for path in FILES
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call)
    ]
    violations = [f"{file}:{line}: {name}" for name, file, line in calls if PARSERS.get(name, file) != file]
    assert not violations, "take the parsers of usaggr.io.bounded_content and usaggr.io.bounded_parquet"
    assert {name for name, *_ in calls if name in PARSERS} == {name for name, file in PARSERS.items() if file}
