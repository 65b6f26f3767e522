"""Why a block failed, in one line that can be printed and sent whatever was raised."""

from __future__ import annotations

import traceback
from dataclasses import dataclass

from isac_models.errors import one_line, printable

LONGEST_CAUSE = 1000  # characters


@dataclass(frozen=True)
class Failure:
    """Why a block failed: `frame` is the sequence number at hand, None outside of `work`."""

    block: str
    frame: int | None
    cause: str
    traceback: str

    def __str__(self) -> str:
        where = "" if self.frame is None else f" at frame {self.frame}"
        return f"block {self.block} failed{where}: {self.cause}"


def failure_of(block: str, frame: int | None, error: BaseException) -> Failure:
    """The failure that `error`, being handled now, is."""
    return Failure(block, frame, cause_of(error), _trace(error))


def _trace(error: BaseException) -> str:
    """The traceback, line by line as it can be printed."""
    return "\n".join(map(printable, "".join(traceback.format_exception(error)).split("\n")))


def cause_of(error: BaseException) -> str:
    """What was raised, in one line."""
    try:
        said = "; ".join([str(error), *getattr(error, "__notes__", ())])
        text = " ".join(said.split())[:LONGEST_CAUSE]
    except Exception:  # noqa: BLE001 - an exception whose own text fails
        text = ""
    return one_line(f"{type(error).__name__}: {text}" if text else type(error).__name__)
