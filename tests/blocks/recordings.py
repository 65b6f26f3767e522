"""Recordings for tests, changed as somebody else might have."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any


def edited(path: Path, edit: Callable[[dict[str, Any]], Any]) -> Path:
    """The SigMF recording at `path`, with other metadata from now on."""
    values = json.loads(path.read_text())
    edit(values)
    path.write_text(json.dumps(values))
    return path
