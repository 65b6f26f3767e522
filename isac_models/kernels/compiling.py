"""How kernels are compiled: at import, for one stated signature, and kept on disk."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, TypeVar

import numba
from numba import types

__all__ = ["COMPILED", "FLOAT", "WORD", "called", "inlined", "kernel", "readable", "types", "writable"]

F = TypeVar("F", bound=Callable[..., Any])

FLOAT = types.float32
WORD = types.uint64


def readable(dtype: Any, dimensions: int) -> Any:
    """Type of a C-contiguous array argument that the kernel only reads (read-only arrays fit too)."""
    return types.Array(dtype, dimensions, "C", readonly=True)


def writable(dtype: Any, dimensions: int) -> Any:
    """Type of a C-contiguous array argument that the kernel writes."""
    return types.Array(dtype, dimensions, "C")


@dataclass(frozen=True)
class Compiled:
    """One kernel: what it is called, how long it took to make ready, whether the disk had it."""

    name: str
    seconds: float
    cached: bool


COMPILED: list[Compiled] = []


def kernel(
    *arguments: Any, uses: ModuleType | None = None, label: str = "", fused: bool = True
) -> Callable[[F], F]:
    """Compile a function of these argument types that returns nothing.

    `uses`: a module whose functions the kernel inlines; the cache then tells that module's versions apart.
    `label`: what tells a function that is compiled more than once from itself in `COMPILED`.

    `fused`: whether a multiplication and an addition may become one operation; their order stays as written.

    The machine code is kept in numba's cache directory. Where none is writable, or the cache is damaged, it
    is compiled for this process alone.
    """
    signature = types.void(*arguments)

    def compile_one(function: F) -> F:
        if uses is not None:
            source = hashlib.sha256(Path(str(uses.__file__)).read_bytes()).hexdigest()
            function = FunctionType(function.__code__, function.__globals__, function.__name__)  # type: ignore[assignment]
            function.__qualname__ = f"{function.__name__}_{source[:16]}"
        start = time.perf_counter()
        options: dict[str, Any] = {
            "nogil": True,
            "error_model": "numpy",
            "fastmath": {"contract"} if fused else False,
        }
        try:
            compiled: Any = numba.njit(signature, cache=True, **options)(function)
            cached = bool(sum(compiled.stats.cache_hits.values()))
        except Exception:  # noqa: BLE001  an unusable cache shows in many ways; a real error comes again here
            compiled = numba.njit(signature, cache=False, **options)(function)
            cached = False
        COMPILED.append(
            Compiled(f"{function.__module__}.{function.__name__}{label}", time.perf_counter() - start, cached)
        )
        return compiled  # type: ignore[no-any-return]

    return compile_one


def inlined(function: F) -> F:
    """A helper that is inlined into the kernels of its own file."""
    helper: F = numba.njit(inline="always")(function)  # type: ignore[assignment]
    return helper


def called(function: F) -> F:
    """A helper that the kernels of its own file call: compiled once, where inlining would take long."""
    compiled: Any = numba.njit(nogil=True, error_model="numpy", fastmath={"contract"})(function)
    return compiled  # type: ignore[no-any-return]
