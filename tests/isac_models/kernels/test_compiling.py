"""Compiling kernels: cached where possible, working where not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from isac_models import kernels
from isac_models.kernels.compiling import COMPILED

ROOT = Path(__file__).resolve().parents[3]
USE = """
import numpy as np
from isac_models.kernels import philox
from isac_models.kernels.compiling import COMPILED
out = np.empty(4, np.uint32)
philox.words(out, 0, 0, 0, 0, 0)
print(hex(out[0]), any(entry.cached for entry in COMPILED))
"""


def run(*arguments: str, **environment: str) -> str:
    """Standard output of a Python process started in the project."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_kernel_is_listed_when_compiled() -> None:
    lines = run("-m", "isac_models.kernels").splitlines()
    names = {line.split()[0] for line in lines}
    assert {name.partition(".")[0] for name in names} == set(kernels.MODULES)
    assert {"philox.normals", "propagation.add_echo", "matched_filter.maximum"} <= names
    assert len(names) == len(lines)


def test_the_kernels_of_the_link_are_compiled_alone() -> None:
    names = {
        line.split()[0].partition(".")[0] for line in run("-m", "isac_models.kernels", "link").splitlines()
    }
    assert names == set(kernels.LINK)
    assert {"philox", "propagation", "matched_filter", "pulse", "preamble"} <= names


@pytest.mark.parametrize("kind", ["a file", "damaged"])
def test_an_unusable_cache_costs_time_only(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "cache"
    if kind == "a file":
        folder.write_text("not a folder")
    else:
        run("-c", USE, NUMBA_CACHE_DIR=str(folder))
        indexes = list(folder.rglob("*.nbi"))
        assert indexes
        for index in indexes:
            index.write_bytes(index.read_bytes()[:100])
    word, cached = run("-c", USE, NUMBA_CACHE_DIR=str(folder)).split()
    assert word == "0x6627e8d5"
    assert kind != "damaged" or cached == "False"


def test_importing_the_package_does_not_import_numba() -> None:
    modules = "isac_models.kernels, isac_models.draws, isac_models.propagation, isac_models.detection"
    assert run("-c", f"import sys, {modules}; print('numba' in sys.modules)").strip() == "False"


def test_each_kernel_reports_how_it_was_made() -> None:
    from isac_models.kernels import philox  # noqa: F401  the import compiles

    assert all(entry.seconds >= 0 and entry.name.startswith("isac_models.kernels.") for entry in COMPILED)
    assert len({entry.name for entry in COMPILED}) == len(COMPILED) > 0
