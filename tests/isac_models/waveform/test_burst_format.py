from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from isac_models.errors import UserError
from isac_models.waveform.burst_format import BurstFormat, zadoff_chu
from tests.isac_models.waveform.scene import noise


@pytest.mark.parametrize(("length", "root"), [(16, 1), (63, 25), (17, 1)])
def test_zadoff_chu_has_unit_modulus_and_no_periodic_correlation(length: int, root: int) -> None:
    z = zadoff_chu(length, root)
    assert np.allclose(np.abs(z), 1)
    correlation = np.fft.ifft(np.abs(np.fft.fft(z)) ** 2) / length
    assert np.allclose(correlation, np.eye(length)[0], atol=1e-9)


def test_the_preamble_repeats_sixteen_symbols_eight_times_and_ends_in_sixty_three() -> None:
    preamble = BurstFormat().preamble
    assert preamble.size == 8 * 16 + 63
    assert np.allclose(preamble[:112], preamble[16:128])
    assert np.allclose(np.abs(preamble), 1)


@pytest.mark.parametrize(
    "form", [BurstFormat(), BurstFormat(antennas=5, payload=48, pilot_spacing=12, pilot_repeats=3, order=16)]
)
def test_every_place_of_a_burst_is_taken_once(form: BurstFormat) -> None:
    parts = (form.preamble_at, form.orthogonal_at, form.header_at, form.payload_at, form.phase_at)
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(form.symbols))
    assert form.payload_at.size == form.payload
    assert form.phase_at.size == form.phase_pilots.size == form.payload // form.pilot_spacing + 1


def test_phase_pilots_enclose_every_group_of_the_payload() -> None:
    form = BurstFormat(payload=32, pilot_spacing=8)
    assert np.array_equal(np.diff(form.phase_at), np.full(4, 9))
    assert form.phase_at[0] + 1 == form.payload_at[0]
    assert form.phase_at[-1] == form.payload_at[-1] + 1


def test_the_defaults_are_the_figures_of_the_link() -> None:
    form = BurstFormat()
    assert (form.symbols, form.slot, form.samples) == (191 + 16 + 96 + 256 + 17, 1280, 575 * 2 + 41)
    assert form.samples < form.slot
    assert (form.bits, form.payload_bytes) == (2, 64)
    assert BurstFormat(order=16).payload_bytes == 128


@pytest.mark.parametrize("antennas", [1, 2, 5, 16, 21])
@pytest.mark.parametrize("repeats", [1, 3])
def test_pilots_are_orthogonal_over_the_antennas(antennas: int, repeats: int) -> None:
    pilots = BurstFormat(antennas=antennas, pilot_repeats=repeats).orthogonal
    assert pilots.shape == (antennas, antennas * repeats)
    assert np.allclose(pilots @ pilots.conj().T, repeats * np.eye(antennas), atol=1e-12)
    assert np.allclose(np.linalg.norm(pilots, axis=0), 1)
    assert np.allclose(np.abs(pilots), 1 / np.sqrt(antennas))


def test_all_but_the_orthogonal_pilots_goes_through_the_beam() -> None:
    form = BurstFormat(antennas=4, payload=32)
    rng = np.random.default_rng(1)
    beam, payload, header = noise(rng, 4), noise(rng, 32), noise(rng, 96)
    x = form.assemble(payload, header, beam)
    assert x.shape == (4, form.symbols)
    assert np.allclose(x[:, form.payload_at], np.outer(beam, payload))
    assert np.allclose(x[:, form.header_at], np.outer(beam, header))
    assert np.allclose(x[:, form.preamble_at], np.outer(beam, form.preamble))
    assert np.allclose(x[:, form.phase_at], np.outer(beam, form.phase_pilots))
    assert np.allclose(x[:, form.orthogonal_at], form.orthogonal)


def test_symbols_stand_where_the_format_says_once_modulated() -> None:
    form = BurstFormat(antennas=2, payload=32)
    x = form.assemble(noise(np.random.default_rng(2), 32), np.ones(96), np.ones(2))
    samples = form.modulate(x)
    assert samples.shape == (2, form.samples)
    assert samples.dtype == np.complex64
    assert np.allclose(form.pulse.sample(samples, form.pulse.delay, form.symbols), x, atol=0.02)


def test_the_mean_power_of_a_burst_is_that_of_its_symbols_over_the_samples_of_one() -> None:
    form = BurstFormat(antennas=2, payload=1024)
    symbols = np.exp(0.5j * np.pi * np.random.default_rng(3).integers(0, 4, 1024))
    samples = form.modulate(form.assemble(symbols, np.ones(96), np.array([0.6, 0.8j])))
    first = form.pulse.delay + form.header_at[-1] * 2
    power = np.mean(np.sum(np.abs(samples[:, first + 40 : -60]) ** 2, axis=0))
    assert power == pytest.approx(1 / 2, abs=5 * 0.5 / np.sqrt(1024))


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ({"order": 8}, "order"),
        ({"antennas": 0}, "antennas must be at least 1, not 0"),
        ({"payload": 8}, "payload must be at least 16"),
        ({"payload": 100}, "multiple of pilot_spacing"),
        ({"pilot_spacing": 0}, "pilot_spacing"),
        ({"pilot_repeats": 0}, "pilot_repeats"),
        ({"half_span": 3}, "half_span"),
        ({"guard": 35}, "guard must be at least 36, not 35"),
        ({"samples_per_symbol": 1}, "samples_per_symbol"),
        ({"rolloff": 0.0}, "rolloff"),
    ],
)
def test_a_format_that_cannot_be_is_refused(setting: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        BurstFormat(**setting)
