"""The fit of κ, frequency and drift in one kernel against the same step by step."""

from __future__ import annotations

import numpy as np
import pytest

from isac_models.waveform.burst_format import BurstFormat
from isac_models.waveform.receiver import _Fitter, _Phasor

FORM = BurstFormat()


@pytest.mark.parametrize("header", [False, True])
@pytest.mark.parametrize("curve", [0.0, 3e-6, -2e-5])
@pytest.mark.parametrize("noise", [0.0, 0.3, 2.0])
def test_both_forms_find_the_same(header: bool, curve: float, noise: float) -> None:
    fitter = _Fitter(FORM, header)
    random = np.random.default_rng(1)
    for delta in (-1.9e-3, 0.0, 4e-4):
        turns = fitter.places * (delta + curve * fitter.places / 2)
        values = (0.7 - 2j) * np.exp(2j * np.pi * turns) + noise * (
            random.normal(size=turns.size) + 1j * random.normal(size=turns.size)
        )
        one, two = fitter.fit(values), fitter.fit_plain(values)
        assert one.gain == pytest.approx(two.gain, abs=1e-9)
        assert (one.delta, one.curve) == pytest.approx((two.delta, two.curve), abs=1e-12)


def test_silence_has_no_channel() -> None:
    found = _Fitter(FORM, True).fit(np.zeros(_Fitter(FORM, True).places.size))
    assert (found.gain, found.curve) == (0, 0)


def test_the_channel_between_the_known_symbols_is_that_of_the_plain_form() -> None:
    phasor = _Phasor(0.7 - 2j, -1.9e-3, 2e-5)
    at = np.arange(3, 900, 7)
    assert np.allclose(phasor.turn(at), phasor.turn_plain(at), rtol=0, atol=1e-12)
    assert np.allclose(phasor.at(at), (0.7 - 2j) * phasor.turn_plain(at), rtol=0, atol=1e-12)
