"""Kernels that follow a preamble against their plain forms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from isac_models.kernels import preamble
from isac_models.waveform import synchronise as forms
from isac_models.waveform.burst_format import BurstFormat

FORM = BurstFormat()
Values = np.ndarray[Any, Any]


def samples(channels: int, seed: int = 1, length: int = 480) -> Values:
    """A preamble from sample 50.3 on in noise, level, as `_checked` gives it: (C, L)."""
    random = np.random.default_rng(seed)
    wave = FORM.pulse.shape(FORM.preamble.astype(np.complex128))[FORM.pulse.delay :]
    y = random.normal(size=(channels, length)) + 1j * random.normal(size=(channels, length))
    count = min(wave.size, length - 50)
    gains = 2 * np.exp(2j * np.pi * random.random(channels))
    y[:, 50 : 50 + count] += gains[:, None] * wave[:count]
    return forms._checked(y.astype(np.complex64))


@pytest.mark.parametrize("channels", [1, 3, 16])
def test_a_window_is_made_level_and_silence_stays(channels: int) -> None:
    window = samples(channels) * np.float32(3e-3)
    window[0] = 0
    rows, power = np.empty((100, 2 * channels), np.float32), np.empty(channels)
    preamble.level(rows, power, np.ascontiguousarray(window).view(np.float32), 40)
    part = window[:, 40:140].astype(np.complex128)
    expected = np.mean(np.abs(part) ** 2, axis=1)
    assert np.allclose(power, expected, rtol=1e-5)
    scale = np.where(expected > 0, np.sqrt(np.maximum(expected, 1e-30)), 1)
    assert np.allclose(rows.view(np.complex64).T, part / scale[:, None], atol=1e-5)


@pytest.mark.parametrize("channels", [1, 16])
@pytest.mark.parametrize("cfo", [0.0, 0.004])
def test_places_are_looked_at_one_by_one_as_by_fourier_transforms(channels: int, cfo: float) -> None:
    y = samples(channels)
    one, two = (look(y, FORM, 46, 55, cfo) for look in (forms._look, forms._look_plain))
    assert one[0] == two[0]
    assert one[1] == pytest.approx(two[1], rel=1e-4)


# Before the window, in it, and so late that its end is cut.
@pytest.mark.parametrize("first", [-20, 30, 200])
@pytest.mark.parametrize("channels", [1, 16])
def test_a_step_of_scoring_and_the_periodogram_are_those_of_the_plain_form(channels: int, first: int) -> None:
    y, template = samples(channels), forms._template(FORM, 19)
    for cfo in (0.0, 0.0013):
        compiled, plain = (step(y, template, first, cfo) for step in (forms._step, forms._step_plain))
        assert compiled == pytest.approx(plain, rel=2e-3, abs=2e-5)
        offsets = forms._offsets(0.002)
        assert forms._turn(y, template, first, cfo, offsets) == forms._turn_plain(
            y, template, first, cfo, offsets
        )


@pytest.mark.parametrize("channels", [1, 3, 16])
def test_a_window_whose_channels_lie_side_by_side_is_made_level_alike(channels: int) -> None:
    window = samples(channels) * np.float32(3e-3)
    window[0] = 0
    rows, power = np.empty((2, 100, 2 * channels), np.float32), np.empty((2, channels))
    preamble.level(rows[0], power[0], np.ascontiguousarray(window).view(np.float32), 40)
    preamble.level_rows(rows[1], power[1], np.ascontiguousarray(window.T).view(np.float32), 40)
    assert np.allclose(power[1], power[0], rtol=1e-6)
    assert np.allclose(rows[1], rows[0], rtol=1e-6)
