"""The waveform that a radio needs: pulses, bursts, synchronisation, pilots, leakage."""

from __future__ import annotations

CORRECTIONS = ("calibration", "cfo", "pilots", "leakage")
"""What the receivers correct, and can leave out to show what it is worth."""


def preload() -> None:
    """Load the compiled kernels now: no stream waits for them, and processes made later inherit them."""
    from isac_models.kernels import bursts, phase, preamble, pulse, separation

    _ = bursts, phase, preamble, pulse, separation
