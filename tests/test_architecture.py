"""The rules of the house: who may import whom, how large a file may grow, what must be documented."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import blocks

ROOT = Path(__file__).resolve().parent.parent
PRODUCT = ("blocks", "isac_models", "flowgraphs", "benchmarks")
LINK = "flowgraphs/isac_link.py"
LONGEST_FILE = 400
# What a script of flowgraphs/ imports from beside it has a name of its own.
ABOVE_THE_BLOCKS = {
    "flowgraphs",
    "benchmarks",
    "tests",
    *(path.stem for path in (ROOT / "flowgraphs").glob("*.py")),
}
# Methods that Block documents once for every block.
INHERITED = {"start", "work", "finish", "abort", "result"}
# What every block may use: the runtime, and the radios behind their one interface.
LIBRARIES_OF_BLOCKS = ("blocks.runtime.", "blocks.radio.")
IMPORTERS = {"import_module", "__import__"}
UNSAFE_MODULES = {"cPickle", "cloudpickle", "dill", "joblib", "jsonpickle", "marshal", "pickle", "shelve"}


def python_files(*folders: str) -> list[str]:
    """Paths, relative to the root, of the Python files below `folders`."""
    found = (path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return sorted(path.relative_to(ROOT).as_posix() for path in found)


@cache
def parse(path: str) -> ast.Module:
    """Syntax tree of a file of the project."""
    return ast.parse((ROOT / path).read_text(encoding="utf-8"), path)


def dotted(node: ast.expr) -> str:
    """`np.random.default_rng` for the expression of that name, "" for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (before := dotted(node.value)):
        return f"{before}.{node.attr}"
    return ""


def imports(path: str) -> Iterator[str]:
    """Every module that a file imports at any depth; `from a import b` yields both a and a.b."""
    package = path.removesuffix(".py").split("/")[:-1]
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parent = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*parent, *(node.module or "").split(".")]).strip(".")
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and dotted(node.func).split(".")[-1] in IMPORTERS:
            yield from (str(given.value) for given in node.args[:1] if isinstance(given, ast.Constant))


def roots(path: str) -> set[str]:
    """Top-level packages that a file imports."""
    return {module.split(".")[0] for module in imports(path)}


def is_block_file(path: str) -> bool:
    """Whether a path is blocks/NAME.py with a block in it."""
    return path.count("/") == 1 and Path(path).stem not in {"__init__", "registry"}


def class_name(file: str) -> str:
    """`MisoChannel` for miso_channel."""
    return file.title().replace("_", "")


@pytest.mark.parametrize("path", python_files("isac_models"))
def test_the_mathematics_knows_nothing_of_streams(path: str) -> None:
    assert not roots(path) & {"blocks", *ABOVE_THE_BLOCKS}


@pytest.mark.parametrize("path", python_files("blocks"))
def test_blocks_know_nothing_of_the_graphs_that_use_them(path: str) -> None:
    assert not roots(path) & ABOVE_THE_BLOCKS


# blocks/__init__.py is the index of all blocks, and loads one only when it is asked for.
@pytest.mark.parametrize("path", [path for path in python_files("blocks") if path != "blocks/__init__.py"])
def test_blocks_never_import_each_other(path: str) -> None:
    of_blocks = {m for m in imports(path) if m.split(".")[0] == "blocks"}
    shared = ("blocks", "blocks.runtime", "blocks.radio")
    assert [m for m in sorted(of_blocks - {*shared}) if not m.startswith(LIBRARIES_OF_BLOCKS)] == []


# A pipe of the graph is made in one file. A radio that speaks ZeroMQ is no pipe: others define its protocol.
# Nor is the laboratory's control socket: it asks another program for scenes and truths.
USERS_OF_ZMQ = {"blocks/runtime/transport.py", "blocks/radio/zmq_ports.py", "blocks/radio/lab.py"}


@pytest.mark.parametrize("path", python_files(*PRODUCT))
def test_zmq_is_imported_for_the_pipes_and_for_what_speaks_to_other_programs(path: str) -> None:
    if path not in USERS_OF_ZMQ and not path.startswith("benchmarks/reference/"):
        assert "zmq" not in roots(path)


@pytest.mark.parametrize("path", python_files(*PRODUCT))
def test_nothing_unpickles(path: str) -> None:
    assert not roots(path) & UNSAFE_MODULES
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Call):
            assert dotted(node.func) != "torch.load", f"{path}:{node.lineno}"
            for keyword in node.keywords:
                allowed = isinstance(keyword.value, ast.Constant) and keyword.value.value is False
                assert keyword.arg != "allow_pickle" or allowed, f"{path}:{node.lineno}"


@pytest.mark.parametrize("path", python_files(*PRODUCT, "tests"))
def test_a_file_can_be_read_in_one_sitting(path: str) -> None:
    assert len((ROOT / path).read_text(encoding="utf-8").splitlines()) <= LONGEST_FILE


def undocumented(body: list[ast.stmt], inherited: frozenset[str] = frozenset()) -> Iterator[str]:
    """Names of the public functions, classes and methods in `body` that have no docstring."""
    for node in body:
        if not isinstance(
            node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
        ) or node.name.startswith("_"):
            continue
        described_elsewhere = any(
            dotted(decorator).split(".")[-1] in {"overload", "setter", "override"}
            for decorator in node.decorator_list
        )
        if not ast.get_docstring(node) and node.name not in inherited and not described_elsewhere:
            yield f"{node.name} (line {node.lineno})"
        if isinstance(node, ast.ClassDef):
            yield from undocumented(node.body, frozenset(INHERITED if node.bases else ()))


@pytest.mark.parametrize("path", python_files(*PRODUCT))
def test_what_is_public_is_documented(path: str) -> None:
    tree = parse(path)
    assert ast.get_docstring(tree) or not tree.body, "the module has no docstring"
    assert list(undocumented(tree.body)) == []


@pytest.mark.parametrize("path", [path for path in python_files("blocks") if is_block_file(path)])
def test_a_block_stands_in_a_file_of_its_name(path: str) -> None:
    public = [n.name for n in parse(path).body if isinstance(n, ast.ClassDef) and not n.name.startswith("_")]
    assert public == [class_name(Path(path).stem)]


def test_the_index_of_blocks_is_complete() -> None:
    index = set(imports("blocks/__init__.py"))
    files = [Path(path).stem for path in python_files("blocks") if is_block_file(path)]
    assert {f"blocks.{file}" for file in files} <= index
    assert sorted(blocks.__all__) == sorted(class_name(file) for file in files)
    for file in files:
        assert getattr(blocks, class_name(file)).__module__ == f"blocks.{file}"


@pytest.mark.parametrize("path", python_files("blocks", "isac_models"))
def test_tests_mirror_the_code(path: str) -> None:
    folder, _, name = path.rpartition("/")
    if not name.startswith("__"):
        assert (ROOT / "tests" / folder / f"test_{name}").is_file()


# Run in a process of its own: what a script imports, and what anything tried to import.
WATCH = """
import importlib.abc, json, runpy, sys

class Watch(importlib.abc.MetaPathFinder):
    tried = set()
    def find_spec(self, name, path=None, target=None):
        self.tried.add(name.partition(".")[0])

sys.meta_path.insert(0, Watch())
script, log = sys.argv[1:3]
sys.argv = [script, *sys.argv[3:]]
sys.path[0] = script.rpartition("/")[0]
try:
    runpy.run_path(script, run_name="__main__")
    status = 0
except SystemExit as stop:
    status = stop.code or 0
with open(log, "w") as file:
    json.dump([status, sorted(Watch.tried)], file)
"""


def libraries_tried(tmp_path: Path, *arguments: str) -> set[str]:
    """Top-level modules that a successful run of the link imports or tries to import."""
    log = tmp_path / "imports.json"
    command = [sys.executable, "-c", WATCH, str(ROOT / LINK), str(log), *arguments]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        timeout=300,
    )
    assert log.exists(), done.stderr
    status, tried = json.loads(log.read_text())
    assert status == 0, done.stderr
    return set(tried)


def test_help_answers_without_loading_what_it_does_not_need(tmp_path: Path) -> None:
    heavy = {"llvmlite", "matplotlib", "numba", "scipy", "torch"}
    assert not libraries_tried(tmp_path, "--help") & heavy


@pytest.mark.parametrize("precoder", ["baseline", "learned"])
def test_the_link_runs_without_torch(tmp_path: Path, precoder: str) -> None:
    tried = libraries_tried(tmp_path, "--precoder", precoder, "--snapshots", "4096", "--json")
    assert "blocks" in tried
    assert not tried & {"matplotlib", "torch"}
