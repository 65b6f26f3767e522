"""The front end shares no code with the link."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "tests" / "hil" / "frontend"
OURS = {"blocks", "isac_models", "flowgraphs", "benchmarks"}
ALLOWED = {"numpy", "scipy", "zmq", *sys.stdlib_module_names}
OWN = "tests.hil.frontend"
FILES = sorted(path.name for path in FOLDER.glob("*.py"))


def imported(path: Path) -> set[str]:
    """Modules that a file imports, at any depth."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: imports are absolute here"
            found.add(node.module or "")
    return found


@pytest.mark.parametrize("name", FILES)
def test_a_file_imports_only_libraries_and_its_neighbours(name: str) -> None:
    for module in imported(FOLDER / name):
        allowed = module.split(".")[0] in ALLOWED or module == OWN or module.startswith(f"{OWN}.")
        assert allowed, f"{name} imports {module}"


def test_the_running_program_has_loaded_nothing_of_the_project(tmp_path: Path) -> None:
    # The program runs as it is started by hand, until its standard input ends; then its modules are listed.
    code = (
        "import json, runpy, sys\n"
        f"sys.argv = ['frontend', '--until-eof', '--address', 'zmq:ipc://{tmp_path}']\n"
        "try:\n"
        "    runpy.run_module('tests.hil.frontend', run_name='__main__')\n"
        "except SystemExit as end:\n"
        "    print(json.dumps([end.code, sorted(sys.modules)]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    status, modules = json.loads(done.stdout.splitlines()[-1])
    assert status == 0, done.stderr
    assert f"{OWN}.engine" in modules
    assert f"{OWN}.zmq_server" in modules
    assert not {module.split(".")[0] for module in modules} & OURS
    of_tests = {module for module in modules if module.startswith("tests")}
    assert all(module in {"tests", "tests.hil"} or module.startswith(OWN) for module in of_tests)
