"""The finder on streams with delays, drift, fades, lost samples and restarts."""

import numpy as np
import pytest
from numpy.typing import NDArray

from isac_models.waveform import header
from isac_models.waveform.burst_format import BurstFormat
from isac_models.waveform.finder import BurstFinder, FoundBurst
from isac_models.waveform.pulse import fractional_delay

FORMAT = BurstFormat()
BEAM = np.zeros(16, complex)
BEAM[3] = 1.0
LEAD = 200
"""Samples of silence before slot 0."""
Values = NDArray[np.complexfloating]


def stream(bursts: int, delay: float, drift: float = 0.0, cfo: float = 0.0, noise: float = 0.05) -> Values:
    """One antenna's samples of `bursts` slots; burst b comes `delay` + b `drift` samples late."""
    random = np.random.default_rng(3)
    out = np.zeros((1, LEAD + (bursts + 1) * FORMAT.slot), complex)
    for b in range(bursts):
        symbols = np.exp(2j * np.pi * (random.integers(4, size=FORMAT.payload) + 0.5) / 4)
        x = FORMAT.modulate(FORMAT.assemble(symbols, header.encode(b, 0), BEAM))[3]
        at = delay + b * drift
        part = np.zeros(FORMAT.slot + 64, complex)
        part[: x.size] = x
        first = LEAD + b * FORMAT.slot + int(at)
        out[0, first : first + part.size] += fractional_delay(part, at - int(at))[: out.shape[1] - first]
    out *= np.exp(2j * np.pi * cfo * np.arange(out.shape[1]))
    out += noise * (random.normal(size=out.shape) + 1j * random.normal(size=out.shape)) / np.sqrt(2)
    return out.astype(np.complex64)


def feed(finder: BurstFinder, samples: Values, cuts: list[int], time: int = 0) -> list[FoundBurst]:
    """Push the samples cut in places."""
    found = []
    for a, b in zip([0, *cuts], [*cuts, samples.shape[1]], strict=True):
        found += finder.push(samples[:, a:b], time + a)
    return found


def starts(found: list[FoundBurst]) -> Values:
    """Ticks of the bursts' first samples."""
    return np.array([one.time + one.sync.start - FORMAT.pulse.delay - LEAD for one in found])


@pytest.mark.parametrize("piece", [257, 1280, 5000])
def test_every_burst_is_found_where_it_is_however_the_stream_is_cut(piece: int) -> None:
    samples = stream(10, 37.3, cfo=0.004)
    finder = BurstFinder(FORMAT, 1)
    found = feed(finder, samples, list(range(piece, samples.shape[1], piece)), time=5000)
    assert len(found) == 10
    assert np.abs(starts(found) - 5000 - 37.3 - FORMAT.slot * np.arange(10)).max() < 0.1
    assert np.abs(np.array([one.sync.cfo for one in found]) - 0.004).max() < 2e-5
    assert all(one.sync.detected for one in found)


def test_a_clock_that_drifts_is_followed_through_a_fade() -> None:
    samples = stream(60, 20.2, drift=0.0128)  # 10 ppm of a slot
    faded = slice(LEAD + 20 * FORMAT.slot, LEAD + 23 * FORMAT.slot)
    random = np.random.default_rng(9)
    samples[:, faded] = 0.05 * random.normal(size=(1, 3 * FORMAT.slot))
    finder = BurstFinder(FORMAT, 1)
    found = finder.push(samples, 0)[:60]
    assert [one.sync.detected for one in found] == [not 20 <= b < 23 for b in range(60)]
    error = starts(found) - 20.2 - (FORMAT.slot + 0.0128) * np.arange(60)
    assert np.abs(error).max() < 0.15


def test_samples_lost_with_a_word_are_counted_and_the_bursts_behind_them_found() -> None:
    samples = stream(12, 30.0)
    finder = BurstFinder(FORMAT, 1)
    first, gap = LEAD + 4 * FORMAT.slot + 200, 900
    found = finder.push(samples[:, :first], 0) + finder.push(samples[:, first + gap :], first + gap)
    assert finder.lost == gap
    assert [one.lost for one in found] == [0] * 4 + [900] + [0] * 7
    assert finder.slips == 0
    assert np.abs(starts(found) - 30.0 - FORMAT.slot * np.arange(12)).max() < 0.2


def test_samples_lost_without_a_word_are_a_slip_of_the_burst_clock() -> None:
    samples = stream(30, 30.0)
    at, gap = LEAD + 10 * FORMAT.slot + 600, 333
    samples = np.concatenate([samples[:, :at], samples[:, at + gap :]], axis=1)
    finder = BurstFinder(FORMAT, 1)
    found = finder.push(samples, 0)
    slips = [one.slip for one in found if one.slip]
    assert slips == [-gap]
    assert finder.slipped == gap
    behind = [one for one in found if one.time > at + 6 * FORMAT.slot]
    place = (starts(behind) - 30.0 + gap) / FORMAT.slot
    assert np.abs(place - np.round(place)).max() < 1e-3
    assert sum(one.sync.detected for one in behind) >= 13


def test_a_device_that_starts_again_is_searched_again() -> None:
    finder = BurstFinder(FORMAT, 1)
    samples = stream(6, 12.0)
    assert sum(one.sync.detected for one in finder.push(samples, 100_000)) == 6
    again = [one for one in finder.push(samples, 0) if one.sync.detected]
    assert finder.restarts == 1
    assert len(again) == 6
    assert np.abs(starts(again) - 12.0 - FORMAT.slot * np.arange(6)).max() < 0.1


def test_noise_alone_holds_no_burst() -> None:
    random = np.random.default_rng(4)
    noise = random.normal(size=(1, 200 * FORMAT.slot)) + 1j * random.normal(size=(1, 200 * FORMAT.slot))
    finder = BurstFinder(FORMAT, 1)
    assert finder.push(noise.astype(np.complex64), 0) == []
    assert finder.flush() == []


def test_silence_between_bursts_does_not_move_the_clock() -> None:
    samples = stream(40, 25.0)
    random = np.random.default_rng(5)
    quiet = slice(LEAD + 10 * FORMAT.slot, LEAD + 25 * FORMAT.slot)
    samples[:, quiet] = 0.05 * random.normal(size=(1, 15 * FORMAT.slot))
    finder = BurstFinder(FORMAT, 1)
    found = [one for one in finder.push(samples, 0) if one.sync.detected]
    assert finder.slips == 0
    assert len(found) >= 24
    place = (starts(found) - 25.0) / FORMAT.slot
    assert np.abs(place - np.round(place)).max() < 1e-3


def test_the_last_burst_is_given_at_the_end_although_its_window_is_cut() -> None:
    samples = stream(3, 40.0)[:, : LEAD + 3 * FORMAT.slot - 20]
    finder = BurstFinder(FORMAT, 1)
    found = finder.push(samples, 0)
    assert len(found) == 2
    assert len(found + finder.flush()) >= 3
