"""Compiled pulse shaping and matched filtering against scipy.signal.upfirdn in double precision."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy.signal import upfirdn

from isac_models.kernels import pulse
from isac_models.waveform.pulse import RootRaisedCosine

Values = np.ndarray[Any, Any]
RESOLUTION = float(np.finfo(np.float32).eps)
SIZES = [(1, 1, 41, 2), (16, 300, 41, 2), (17, 37, 61, 3), (3, 50, 5, 2), (2, 5, 3, 7)]
"""Channels, symbols, taps, step; the last has steps longer than the filter."""


def drawn(seed: int, *shape: int) -> Values:
    """Standard normal values, float32."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def shaped(symbols: Values, taps: Values, step: int) -> Values:
    """What the kernel makes of symbols (S, 2C)."""
    out = np.full(((len(symbols) - 1) * step + taps.size, symbols.shape[1]), np.nan, np.float32)
    pulse.shape(out, symbols, taps, step)
    return out


def filtered(samples: Values, taps: Values, first: int, step: int, count: int) -> Values:
    """What the kernel makes of samples (L, 2C)."""
    out = np.full((count, samples.shape[1]), np.nan, np.float32)
    pulse.matched_filter(out, samples, taps, first, step)
    return out


def bound(samples: Values, taps: Values) -> float:
    """Of the rounding error of a sum of taps.size products in single precision (Higham, γ_n)."""
    return float(2 * taps.size * RESOLUTION * np.abs(samples).max() * np.abs(taps).sum())


@pytest.mark.parametrize(("channels", "symbols", "taps", "step"), SIZES)
def test_shaping_is_upfirdn(channels: int, symbols: int, taps: int, step: int) -> None:
    given, h = drawn(1, symbols, 2 * channels), drawn(2, taps)
    expected = upfirdn(h.astype(float), given.astype(float), up=step, axis=0)
    assert np.abs(shaped(given, h, step) - expected).max() < bound(given, h)


@pytest.mark.parametrize(("channels", "samples", "taps", "step"), SIZES)
@pytest.mark.parametrize("first", [-1000, -70, -7, 0, 3, 20, 299, 1000])
def test_matched_filtering_is_upfirdn_of_the_reversed_taps_and_zero_outside(
    channels: int, samples: int, taps: int, step: int, first: int
) -> None:
    given, h = drawn(3, samples, 2 * channels), drawn(4, taps)
    count = 40
    # Zeros enough for every output to lie inside.
    low, high = max(0, -first), max(0, first + (count - 1) * step + taps - samples)
    padded = np.pad(given.astype(float), ((low, high), (0, 0)))
    whole = upfirdn(h[::-1].astype(float), padded, axis=0)[taps - 1 :]
    expected = whole[first + low :: step][:count]
    found = filtered(given, h, first, step, count)
    assert expected.shape == found.shape
    assert np.abs(found - expected).max() <= bound(given, h)


def test_a_tap_alone_copies() -> None:
    given = drawn(5, 30, 8)
    assert np.array_equal(filtered(given, np.ones(1, np.float32), 4, 2, 10), given[4:24:2])
    assert np.array_equal(shaped(given, np.ones(1, np.float32), 1), given)


def test_outputs_do_not_depend_on_how_many_are_asked_for_at_once() -> None:
    given, h = drawn(6, 400, 32), drawn(7, 41)
    whole = filtered(given, h, -33, 2, 230)
    cuts = [0, 1, 2, 17, 64, 129, 230]
    parts = [filtered(given, h, -33 + 2 * a, 2, b - a) for a, b in pairwise(cuts)]
    assert np.array_equal(np.concatenate(parts).view(np.uint32), whole.view(np.uint32))


def test_a_channel_does_not_depend_on_those_beside_it() -> None:
    given, h = drawn(8, 120, 34), drawn(9, 41)
    pairs = [(0, 2), (2, 6), (6, 20), (20, 34)]
    alone = [np.ascontiguousarray(given[:, a:b]) for a, b in pairs]
    together = np.concatenate([shaped(one, h, 2) for one in alone], axis=1)
    assert np.array_equal(together.view(np.uint32), shaped(given, h, 2).view(np.uint32))
    together = np.concatenate([filtered(one, h, -21, 2, 70) for one in alone], axis=1)
    assert np.array_equal(together.view(np.uint32), filtered(given, h, -21, 2, 70).view(np.uint32))


def test_where_a_burst_lies_in_the_window_changes_no_bit() -> None:
    # The same samples further back, filtered from as much further on.
    given, h = drawn(10, 90, 32), drawn(11, 41)
    moved = np.pad(given, ((13, 0), (0, 0)))
    assert np.array_equal(filtered(given, h, -5, 2, 40), filtered(moved, h, 8, 2, 40))


@pytest.mark.parametrize("rolloff", [0.25, 0.35, 1.0])
def test_the_taps_of_a_root_raised_cosine_are_those_of_the_plain_form(rolloff: float) -> None:
    form = RootRaisedCosine(2, rolloff, 10)
    # 0 and 1 / (2 rolloff) samples are where numerator and denominator vanish.
    for shift in (0.0, -0.37, 0.999, 1 / (2 * rolloff) % 1, 1e-10):
        assert np.allclose(form._single_taps(shift), form.taps(shift), rtol=0, atol=1e-7)
