"""``python -m isac_models.kernels [MODULE …]``: compile kernels, so that later starts load them from disk.

Without a name all of them, with `link` those that a link without networks runs.
"""

from __future__ import annotations

import importlib

from isac_models.kernels import LINK, MODULES
from isac_models.options import Parser


def main() -> None:
    """Compile (or load) kernels and print one line for each."""
    parser = Parser(prog="python -m isac_models.kernels", description="Compile kernels, all by default.")
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"link, or {', '.join(MODULES)}")
    named = parser.parse_args().modules
    unknown = [name for name in named if name not in (*MODULES, "link")]
    if unknown:
        parser.error(f"no kernels {unknown[0]!r}: there is link, {', '.join(MODULES)}")
    wanted = {name for given in named for name in (LINK if given == "link" else (given,))}
    for module in (name for name in MODULES if not named or name in wanted):
        importlib.import_module(f"isac_models.kernels.{module}")
    from isac_models.kernels.compiling import COMPILED

    for entry in COMPILED:
        source = "from the cache" if entry.cached else "compiled"
        print(f"{entry.name.removeprefix('isac_models.kernels.'):40s} {entry.seconds:6.2f} s  {source}")


if __name__ == "__main__":
    main()
