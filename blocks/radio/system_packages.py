"""Bindings that a distribution installs for its own Python: found from a virtual environment, too."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from blocks.radio.interface import RadioError

FOLDERS = ("/usr/lib/python3/dist-packages",)
"""Where Debian and its kin keep them."""


def system_package(module: str, install: str) -> Any:
    """The module, from here or from the distribution's folders.

    Those come last on the path, and only while `module` is imported: nothing else is taken from there that
    is installed here. Raises RadioError, naming what to `install`.
    """
    added = [folder for folder in FOLDERS if folder not in sys.path]
    sys.path.extend(added)
    try:
        return importlib.import_module(module)
    except (ImportError, OSError, AttributeError) as error:
        sys.modules.pop(module, None)
        why = " ".join(str(error).split())
        raise RadioError(f"{module} cannot be imported ({why}): {install}") from None
    finally:
        for folder in added:
            sys.path.remove(folder)
