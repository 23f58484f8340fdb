"""The package never executes code from data, results or studies; each exception is listed with its reason."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "usaggr"

MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "runpy", "code"}
"""Modules that are not imported at all."""
NAMES = {
    "eval", "exec", "compile", "__import__",
    "instantiate", "get_class", "get_method", "get_object", "register_new_resolver",
    "unsafe_load", "full_load", "unsafe_load_all", "full_load_all", "load_all",
    "read_pickle", "load_pickle", "read_hdf", "import_module", "system", "popen",
}  # fmt: skip
"""Functions that are not called, whatever module or object they belong to."""
SAFE_LOADERS = ("yaml.SafeLoader", "yaml.CSafeLoader", "getattr(yaml, 'CSafeLoader', yaml.SafeLoader)")
REQUIRED_OPTIONS = {
    "torch.load": ("weights_only", ("True",)),
    "np.load": ("allow_pickle", ("False",)),
    "numpy.load": ("allow_pickle", ("False",)),
    "yaml.load": ("Loader", SAFE_LOADERS),
}
"""Functions that are safe with one option, and the allowed values of that option."""
ALLOWED = {
    "re.compile": "compiles a pattern; nothing is executed",
    "platform.system": "returns the name of the operating system",
    "torch.compile": "compiles a network that the tool itself has built",
    "importlib.import_module": "local/worker.py: imports the training function, named by the sweep's own process",
}
"""Safe calls with these names, and the reasons."""
IMPORTERS = {"sweep/executors/local/worker.py"}
"""Files that may import modules by name."""


def find_unsafe_code(source: str, file: str = "some.py") -> list[str]:
    """Return the calls and imports in a file that could run code."""
    tree = ast.parse(source)
    aliases = {
        target.id: ast.unparse(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    return [f"{file}:{line}: {finding}" for line, finding in _find_nodes(tree, file, aliases)]


def _find_nodes(tree: ast.AST, file: str, aliases: dict[str, str]) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, f"import {n.name}") for n in names if n.name.split(".")[0] in MODULES)
            case ast.ImportFrom(module=module, names=names):
                if (module or "").split(".")[0] in MODULES:
                    yield node.lineno, f"from {module}"
                yield from ((node.lineno, f"import {n.name}") for n in names if n.name in NAMES)
            case ast.Call():
                if finding := _unsafe_call(node, file, aliases):
                    yield node.lineno, finding


def _unsafe_call(node: ast.Call, file: str, aliases: dict[str, str]) -> str:
    called = ast.unparse(node.func)
    name = called.rpartition(".")[2]
    options = {option.arg: ast.unparse(option.value) for option in node.keywords}
    if options.get("shell", "False") != "False":
        return f"{called} with a shell"
    if called in REQUIRED_OPTIONS:
        option, values = REQUIRED_OPTIONS[called]
        second = ast.unparse(node.args[1]) if called == "yaml.load" and len(node.args) > 1 else "nothing"
        value = options.get(option, second)
        return "" if aliases.get(value, value) in values else f"{called} with {option}={value}"
    if name not in NAMES or (called in ALLOWED and (name != "import_module" or file in IMPORTERS)):
        return ""
    # Methods with these names that are not Python's functions: those of networks and optimizers.
    return "" if name == "eval" and called != "eval" else called


def test_no_file_of_the_package_can_run_code_that_it_reads() -> None:
    files = sorted(PACKAGE.rglob("*.py"))
    assert len(files) > 100
    assert [f for path in files for f in find_unsafe_code(path.read_text(), path.relative_to(PACKAGE).as_posix())] == []


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from joblib import load",
        "import torch; torch.load(path)",
        "import torch; torch.load(path, weights_only=False)",
        "import numpy as np; np.load(path, allow_pickle=True)",
        "import numpy as np; np.load(path)",
        "yaml.load(text, Loader=yaml.Loader)",
        "yaml.load(text, yaml.Loader)",
        "yaml.load(text)",
        "loader = yaml.UnsafeLoader; yaml.load(text, Loader=loader)",
        "yaml.load(text, yaml.SafeLoader) or yaml.unsafe_load(text)",
        "import pandas as pd; pd.read_pickle(path)",
        "hydra.utils.instantiate(config)",
        "from hydra.utils import instantiate",
        "eval(text)",
        "exec(text)",
        "importlib.import_module(name)",
        "os.system(text)",
        "subprocess.run(text, shell=True)",
    ],
)
def test_unsafe_code_is_found(line: str) -> None:
    assert find_unsafe_code(line)


@pytest.mark.parametrize(
    "line",
    [
        "torch.load(path, weights_only=True)",
        "loader = getattr(yaml, 'CSafeLoader', yaml.SafeLoader); yaml.load(text, Loader=loader)",
        "network.eval()",
        "re.compile(text)",
        "subprocess.run(['git', name])",
    ],
)
def test_safe_code_is_not_reported(line: str) -> None:
    assert find_unsafe_code(line) == []
