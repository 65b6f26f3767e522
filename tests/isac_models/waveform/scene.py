"""Bursts as a receiver with a clock of its own would sample them, written apart from the code under test."""

from __future__ import annotations

from typing import Any

import numpy as np

from isac_models.waveform.burst_format import BurstFormat

Values = np.ndarray[Any, Any]


def noise(rng: np.random.Generator, *shape: int) -> Values:
    """CN(0, 1)."""
    return np.asarray((rng.standard_normal(shape) + 1j * rng.standard_normal(shape)) / np.sqrt(2))


def root_raised_cosine(t: Values, rolloff: float) -> Values:
    """g(t), t in symbols, energy 1 over continuous time; away from its removable singularities."""
    t = t + 1e-7
    top = np.sin(np.pi * t * (1 - rolloff)) + 4 * rolloff * t * np.cos(np.pi * t * (1 + rolloff))
    return np.asarray(top / (np.pi * t * (1 - (4 * rolloff * t) ** 2)))


def sampled(
    form: BurstFormat,
    symbols: Values,
    length: int,
    start: float,
    cfo: float = 0.0,
    drift: float = 0.0,
    clock: float = 0.0,
) -> Values:
    """A burst of scalar `symbols` whose symbol 0 is centred at `start`: (length,) complex128.

    The receiver's sample n is taken (1 + clock) as late; frequency in cycles per sample, drift per sample².
    """
    t = (np.arange(length) - start) * (1 + clock)
    at = t[:, None] / form.samples_per_symbol - np.arange(symbols.size)
    pulse = np.where(np.abs(at) <= form.half_span, root_raised_cosine(at, form.rolloff), 0.0)
    turn = np.exp(2j * np.pi * (cfo * t + drift * t**2 / 2))
    return np.asarray(turn * (pulse @ symbols) / np.sqrt(form.samples_per_symbol))


def scalar_stream(
    form: BurstFormat, payload: Values, header: Values, channel: Values, beam: Values
) -> Values:
    """hᵀ x_k over a burst: (S,) complex128."""
    return np.asarray(channel @ form.assemble(payload, header, beam))


def steering(antennas: int, angle: float) -> Values:
    """a(θ) of half a wavelength's spacing, (antennas,)."""
    places = (np.arange(antennas) - (antennas - 1) / 2) / 2
    return np.asarray(np.exp(-2j * np.pi * places * np.sin(angle)))
