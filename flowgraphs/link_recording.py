"""Which recorder and which player a file name asks for."""

from __future__ import annotations

import argparse
import os
from typing import Any

from blocks import FramePlayer, FrameRecorder, RadioPlayer, SigmfPlayer, SigmfRecorder
from blocks.runtime import Flags, Flowgraph, Real
from blocks.runtime.sigmf_meta import DATA, META, is_sigmf
from isac_models.errors import UserError

STALE = "The front end was started again during the recorded run, its calibration did not hold to the end"
DESCRIPTION = "Radar echoes of a simulated link in virtual time: sample rate 1 is one snapshot a unit of time"


def connect_recorder(graph: Flowgraph, options: argparse.Namespace, reflector: Any, detector: Any) -> None:
    """Record echoes and truth under options.record; a SigMF recording holds what was detected as well.

    Raises UserError where the file cannot be written.
    """
    about = {"seed": options.seed, "rho": options.rho, "program": "isac_link"}
    if not _wants_sigmf(options.record):
        graph.connect(reflector, FrameRecorder(options.record, options.scenario, reflector.produces, about))
        return
    recorder = SigmfRecorder(
        options.record,
        options.scenario,
        truth={"present": Flags(), "angle": Real()},
        decisions={"detected": Flags(), "estimated_angle": Real()},
        description=DESCRIPTION,
        about=about,
    )
    graph.connect(detector, recorder)


def open_player(options: argparse.Namespace) -> FramePlayer | SigmfPlayer | RadioPlayer:
    """The player of options.recording: a RadioPlayer of a radio's samples that can be received again.

    Raises UserError where it cannot be played.
    """
    if _wants_sigmf(options.recording):
        player = SigmfPlayer(options.recording)
        return RadioPlayer(player.recording) if "isac:radio" in player.recording.signal.about else player
    return FramePlayer(options.recording, options.salvage)


def stale(player: FramePlayer | SigmfPlayer | RadioPlayer) -> bool:
    """Whether what was sensed counts for nothing: the calibration did not hold to the end of the run."""
    return bool(getattr(player.recording, "stale", False))


def _wants_sigmf(path: str) -> bool:
    """Whether a recording is SigMF by its name."""
    ending = os.path.splitext(path)[1]
    if ending in (DATA, ".sigmf", ".sigmf-collection"):
        raise UserError(f"{path}: a SigMF recording is named by its metadata, NAME{META}")
    return is_sigmf(path)
