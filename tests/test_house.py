"""The rules of the house: who may import what, how long a file may be, what is documented and what is never used."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "tilework"

LEVELS = (  # a folder may import those of the levels before its own, and itself
    {"errors"},
    {"files", "plain", "collection", "pixels", "wire"},
    {"tensorboard"},
    {"network", "machine"},
    {"isa"},
    {"frontend", "cost", "compiler", "simulator", "train"},
    {"debug", "executable", "counting", "mapping", "training", "calibrating"},
    {"achieving", "checking", "doubling", "measuring", "repeats", "validation"},
    {"explore", "report"},
    {"commands", "cli"},
    {"__init__", "__main__"},
)
TOGETHER = {("commands", "cli"), ("cli", "commands"), ("__main__", "cli")}  # of one level, and yet

USERS = {  # which files may import a package that isn't Python's own, by how their path begins
    "PIL": ("commands/", "frontend/", "pixels.py", "train/data/"),
    "click": ("commands/", "cli.py"),
    "matplotlib": ("report/",),
    "ml_dtypes": ("network/halves.py",),
    "mlxtend": ("train/data/",),
    "msgspec": ("machine/", "isa/", "train/recipe", "train/study.py", "training.py"),
    "numpy": ("",),
    "onnx": ("frontend/to_onnx", "frontend/from_onnx", "frontend/onnx_runtime.py"),
    "onnxruntime": ("frontend/onnx_runtime.py",),
    "pandas": ("plain.py",),
    "pooch": ("train/data/",),
    "rich": ("commands/", "cost/"),
    "safetensors": ("frontend/weight_files.py",),
    "textual": ("debug/app.py",),
    "torch": (
        "machine/measure.py",
        "frontend/from_torch",
        "frontend/from_huggingface",
        "frontend/weight_files.py",
    ),
    "torchvision": ("frontend/from_huggingface_import.py",),
    "transformers": ("frontend/from_huggingface",),
}
DISTRIBUTIONS = {"PIL": "pillow"}  # where it isn't called as it is imported
HEAVY = {"torch", "transformers", "matplotlib", "onnx", "onnxruntime", "numpy", "rich", "msgspec", "PIL"}
IMPORTERS = {"import_module", "__import__", "package"}  # functions that import the module they name

FORBIDDEN_CALLS = {"eval", "exec", "__import__"}
FORBIDDEN_MODULES = {"pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}

FILE_CEILING = 350
PACKAGE_CEILING = 70_000

WRITTEN = ("src", "tests", "docs", "examples", "exercises", "benchmarks", "scripts", ".ci")
OF_ONE_MACHINE = re.compile(r"(?<![\w.~}-])(?:/(?:home|Users|root|work|tmp|opt|mnt|srv)/\w|[A-Z]:\\+Users)")

FILES = sorted(PACKAGE.rglob("*.py"))
each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def folder(module: str) -> str:
    """Where in the package a module lies: its folder, or itself at the top; `__init__` for the package alone."""
    return (*module.split("."), "__init__")[1]


def called(node: ast.Call) -> str:
    return getattr(node.func, "id", getattr(node.func, "attr", ""))


def imports(path: Path) -> Iterator[str]:
    """The modules that a file imports anywhere, by a statement or by a function that takes their name."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} must import by the full name"
            whole = node.module == "tilework"
            yield from (f"tilework.{alias.name}" for alias in node.names if whole and alias.name != "__version__")
            yield str(node.module)
        elif isinstance(node, ast.Call) and called(node) in IMPORTERS:
            first = node.args[0] if node.args else None
            if isinstance(first, ast.Constant):
                yield str(first.value)


def level(name: str) -> int:
    assert any(name in names for names in LEVELS), f"{name} must have a place in LEVELS"
    return next(place for place, names in enumerate(LEVELS) if name in names)


@each_file
def test_imports_go_one_way(path: Path) -> None:
    own = path.relative_to(PACKAGE).with_suffix("").parts[0]
    for module in imports(path):
        if not module.startswith("tilework."):
            continue
        other = folder(module)
        if other != own and (own, other) not in TOGETHER:
            assert level(other) < level(own), f"{own} must not import {module}: see docs/architecture.md"


@each_file
def test_packages_are_imported_where_they_may_be(path: Path) -> None:
    place = path.relative_to(PACKAGE).as_posix()
    for name in {module.partition(".")[0] for module in imports(path)} - {"tilework"} - sys.stdlib_module_names:
        assert name in USERS, f"{place} imports {name}, which must be a dependency and stand in USERS"
        assert place.startswith(USERS[name]), f"{place} must not import {name}; {', '.join(USERS[name])} may"


def test_packages_are_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    declared = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    names = {re.split(r"[^\w-]", requirement)[0] for requirement in declared}
    assert {DISTRIBUTIONS.get(name, name) for name in USERS} <= names


def modules_after(code: str, *arguments: str) -> tuple[set[str], str]:
    """The modules that a fresh Python holds after it ran the code, and what it printed."""
    show = "import json, sys, atexit\natexit.register(lambda: sys.stderr.write(json.dumps(list(sys.modules))))\n"
    ran = subprocess.run(
        [sys.executable, "-c", show + code, *arguments], capture_output=True, text=True, encoding="utf-8"
    )
    assert ran.returncode == 0, ran.stderr
    return set(json.loads(ran.stderr)), ran.stdout


def test_importing_tilework_imports_nothing_else() -> None:
    modules, _ = modules_after("import tilework")
    assert {name for name in modules if name.startswith("tilework")} == {"tilework"}
    assert not modules & HEAVY


def test_counting_a_network_imports_only_what_it_needs() -> None:
    modules, output = modules_after("from tilework.cli import main\nmain()", "count", "resnet152")
    assert "60,192,808" in output
    assert not modules & HEAVY
    for path in FILES:
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        if ".".join(parts).removesuffix(".__init__") in modules:
            assert "numpy" not in {module.partition(".")[0] for module in imports(path)}, f"{path} must not need NumPy"


def lines(path: Path) -> int:
    return len(path.read_text("utf-8").splitlines())


@each_file
def test_no_file_is_too_long(path: Path) -> None:
    assert lines(path) <= FILE_CEILING, "delete or divide before you raise the ceiling"


def test_the_package_is_not_too_long() -> None:
    assert sum(map(lines, FILES)) <= PACKAGE_CEILING, "delete before you raise the ceiling"


@each_file
def test_public_names_are_documented(path: Path) -> None:
    """Modules, functions and classes; not a function that is one `return`, nor a class that is only declarations."""
    body = tree(path).body
    assert not body or ast.get_docstring(tree(path)), f"{path} must begin with a docstring"
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node) or is_plain(node), f"{path}:{node.lineno} {node.name} must have a docstring"


def is_plain(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
    if isinstance(node, ast.ClassDef):
        return all(isinstance(statement, ast.Assign | ast.AnnAssign | ast.Pass) for statement in node.body)
    return len(node.body) == 1 and isinstance(node.body[0], ast.Return)


@each_file
def test_nothing_runs_code_from_data(path: Path) -> None:
    assert not {module.partition(".")[0] for module in imports(path)} & FORBIDDEN_MODULES
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            where = f"{path}:{node.lineno}"
            options = {keyword.arg: keyword.value for keyword in node.keywords}
            assert not (isinstance(node.func, ast.Name) and node.func.id in FORBIDDEN_CALLS), f"{where} {called(node)}"
            assert is_constant(options.get("allow_pickle"), None, False), f"{where} must not allow pickles"
            if ast.unparse(node.func) == "torch.load":
                assert is_constant(options.get("weights_only"), True), f"{where} must load weights only"


def is_constant(node: ast.expr | None, *allowed: object) -> bool:
    value = node.value if isinstance(node, ast.Constant) else node
    return any(value is constant for constant in allowed)


def written() -> Iterator[Path]:
    yield from (path for path in ROOT.iterdir() if path.is_file())
    for name in WRITTEN:
        yield from (path for path in (ROOT / name).rglob("*") if path.is_file() and "__pycache__" not in path.parts)


def test_no_path_of_one_machine_is_written_down() -> None:
    found = []
    for path in written():
        raw = path.read_bytes()
        if b"\0" not in raw:
            text = raw.decode("utf-8", "replace").splitlines()
            found += [
                f"{path.relative_to(ROOT)}:{n}: {line}" for n, line in enumerate(text, 1) if OF_ONE_MACHINE.search(line)
            ]
    assert found == []
