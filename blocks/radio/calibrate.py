"""Measure the chains of a radio's array: bursts at a reflector at boresight."""

from __future__ import annotations

import time as clock
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from blocks.radio.interface import TIMEOUT, Radio, RadioError
from isac_models.constellation import Constellation
from isac_models.scenario import Scenario
from isac_models.waveform import header
from isac_models.waveform.burst_format import REFERENCE_POWER, BurstFormat
from isac_models.waveform.calibration_vectors import PILOT_REPEATS, Calibration, CalibrationEstimator
from isac_models.waveform.finder import BurstFinder, FoundBurst

BURSTS = 24
LEAST_PILOTS = 64
"""Symbols of a burst's pilots: those at either end are not looked at, and small arrays have few."""
SECONDS = 60.0
"""How long a calibration may take."""


def key_of(radio: Radio, session: str) -> dict[str, Any]:
    """What a calibration of this radio, as it is set, holds for."""
    return {"device": radio.device, "session": session, **radio.settings()}


def calibrate(
    radio: Radio, scenario: Scenario, layout: BurstFormat, key: Mapping[str, Any], bursts: int = BURSTS
) -> Calibration:
    """Send `bursts` with repeated pilots and no equaliser, and estimate the chains from what comes back.

    The receive channels 0 … K-1 are the array; in front of it stands one strong reflector at boresight.
    Raises RadioError when nothing of it is received, UserError when there is more than one reflector.
    """
    k = scenario.antennas
    layout = replace(layout, pilot_repeats=max(PILOT_REPEATS, -(-LEAST_PILOTS // k)))
    random = np.random.default_rng(bursts)
    symbols = Constellation(scenario.order).points[random.integers(scenario.order, size=layout.payload)]
    sent = header.encode(0, 0)
    # Orthogonal beams in turns: with chains of unknown phase, any single one may have a null at boresight.
    scale = np.sqrt(REFERENCE_POWER * layout.samples_per_symbol)
    samples = [
        (scale * layout.modulate(layout.assemble(symbols, sent, beam))).astype(np.complex64)
        for beam in layout.orthogonal[:, :k].T
    ]
    estimator, finder = CalibrationEstimator(layout), BurstFinder(layout, k)
    radio.rx.start()
    first = -(-(radio.now() + radio.capabilities.lead) // layout.slot) * layout.slot + layout.slot
    bursts_found: list[FoundBurst] = []
    number, deadline = 0, clock.monotonic() + SECONDS
    received = radio.rx.recv(1)
    while len(bursts_found) < bursts and clock.monotonic() < deadline:
        # A few ahead of what has been received: a queue need not hold them all.
        while number < len(bursts_found) + 8 and number < 2 * bursts:
            radio.tx.send(samples[number % k], first + number * layout.slot)
            number += 1
        received = radio.rx.recv(layout.slot, TIMEOUT)
        found = finder.push(received.samples[:k], received.time)
        bursts_found += [burst for burst in found if burst.sync.detected and not burst.lost]
        if received.time > first + (2 * bursts + 4) * layout.slot:
            break
    if len(bursts_found) < bursts:
        raise RadioError(
            f"calibration: {len(bursts_found)} of {bursts} bursts came back: look at gain and reflector"
        )
    end = first + number * layout.slot
    while received.time + received.samples.shape[1] < end:  # what is still on its way
        received = radio.rx.recv(layout.slot, TIMEOUT)
    # One clock for both directions: bursts come the same time after they were sent, whatever the beam.
    places = np.array([(one.time + one.sync.start - first) % layout.slot for one in bursts_found])
    common = float(np.median(places))
    for one, place in zip(bursts_found, places, strict=True):
        estimator.add(one.window, one.sync.start + common - place, one.sync.cfo)
    return estimator.estimate(key)
