"""``python -m isac_models.kernels``: compile every kernel once, so that later starts load them from disk."""

from __future__ import annotations

import importlib

from isac_models.kernels import MODULES


def main() -> None:
    """Compile (or load) every kernel and print one line for each."""
    for module in MODULES:
        importlib.import_module(f"isac_models.kernels.{module}")
    from isac_models.kernels.compiling import COMPILED

    for entry in COMPILED:
        source = "from the cache" if entry.cached else "compiled"
        print(f"{entry.name.removeprefix('isac_models.kernels.'):40s} {entry.seconds:6.2f} s  {source}")


if __name__ == "__main__":
    main()
