"""The communication receiver as a block: bursts, their noise, and bursts that have lost samples."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from blocks import BurstReceiver
from isac_models.errors import UserError
from isac_models.waveform import header, receiver
from isac_models.waveform.burst_format import BurstFormat
from isac_models.waveform.synchronise import Sync
from tests.isac_models.waveform.array_scene import qpsk, vectors_at
from tests.isac_models.waveform.scene import noise

FORM = BurstFormat()
WIDTH, START, GAIN, LEVEL = FORM.samples + 128, 84.4, 5.0, 1 / 512
Arrays = dict[str, np.ndarray]


def windows(count: int, cfo: float = 0.0, seed: int = 1) -> tuple[Arrays, np.ndarray]:
    """Bursts 10, 11, … of channel gain 5 over noise of power LEVEL², and their payload symbols."""
    rng = np.random.default_rng(seed)
    window = np.empty((count, 1, WIDTH), np.complex64)
    symbols = qpsk(rng, count * 256).reshape(count, 256)
    for b in range(count):
        x = FORM.assemble(symbols[b], header.encode(10 + b), np.ones(16))[:1]
        signal = GAIN * np.exp(1j * b) * vectors_at(FORM, x, WIDTH, START)
        turn = np.exp(2j * np.pi * cfo * np.arange(WIDTH))
        window[b] = LEVEL * (signal * turn + noise(rng, 1, WIDTH))
    given = {
        "window": window,
        "start": np.full(count, START),
        "cfo": np.full(count, cfo),
        "found": np.ones(count, bool),
        "lost": np.zeros(count, np.int64),
    }
    return given, symbols


def run(block: BurstReceiver, given: Arrays, cuts: list[int]) -> Arrays:
    """The block on the bursts cut in these places."""
    block.start()
    count = len(given["start"])
    out = [block.work(**{k: v[a:b] for k, v in given.items()}) for a, b in pairwise([0, *cuts, count])]
    return {key: np.concatenate([one[key] for one in out]) for key in out[0]}


def test_payload_channel_and_header_come_back_scaled_to_the_scenario_s_noise() -> None:
    given, symbols = windows(12, cfo=1e-3)
    block = BurstReceiver(FORM, WIDTH, noise_power=2.0)
    out = run(block, given, [])
    assert out["number"].tolist() == list(range(10, 22))
    error = out["payload"] - out["csi"] * symbols
    # 12 · 256 symbols, noise 2 and, from κ̂, a few per cent more; the noise is measured in 12 silences.
    assert np.mean(np.abs(error) ** 2) == pytest.approx(2.0, rel=0.2)
    # |κ| = 5 over noise 1, in units of √2: 5 √2. Its error is that of some 300 known symbols.
    tail = out["csi"][6:]
    assert np.abs(np.abs(tail) / (GAIN * np.sqrt(2)) - 1).max() < 0.1
    assert np.abs(10 * np.log10(out["snr"][6:] / GAIN**2)).max() < 0.8
    assert block.result() == {"bursts": 12, "headers": 12, "cfo": 1e-3}


def test_every_burst_is_what_the_receiver_makes_of_it_with_the_noise_so_far() -> None:
    given, _ = windows(5)
    out = run(BurstReceiver(FORM, WIDTH), given, [])
    plain = receiver.BurstReceiver(FORM)
    powers = []
    for b in range(5):
        window = given["window"][b, 0]
        quiet = window[receiver.silent(FORM, START, WIDTH)]
        powers.append(np.mean(np.abs(quiet) ** 2))
        alone = plain.receive(window, Sync(START, 0.0, 0.0, True), float(np.mean(powers)))
        assert np.allclose(out["payload"][b], alone.payload, rtol=1e-4)
        assert np.allclose(out["csi"][b], alone.csi, rtol=1e-4)


@pytest.mark.parametrize("cuts", [[1], [3, 3, 4], [1, 2, 3, 4, 5, 6]])
def test_how_the_stream_is_cut_changes_nothing(cuts: list[int]) -> None:
    given, _ = windows(7)
    block = BurstReceiver(FORM, WIDTH)
    whole, parts = run(block, given, []), run(block, given, cuts)
    for key, values in whole.items():
        assert np.array_equal(parts[key], values), key


def test_a_burst_that_has_lost_samples_has_no_number_and_teaches_no_noise() -> None:
    given, _ = windows(6)
    for b in (0, 3):
        given["lost"][b] = 700
        given["window"][b, :, 600:] = 0
    block = BurstReceiver(FORM, WIDTH)
    out = run(block, given, [])
    assert out["number"].tolist() == [-1, 11, 12, -1, 14, 15]
    others = [1, 2, 4, 5]
    alone = run(block, {key: values[others] for key, values in given.items()}, [])
    assert np.array_equal(out["payload"][others], alone["payload"])
    assert all(np.isfinite(out[key]).all() for key in ("payload", "csi", "snr"))


def test_a_window_of_zeros_is_no_burst_and_teaches_no_noise() -> None:
    # Converters give nothing but zeros where the noise is below their first step.
    given, _ = windows(4)
    for b in (0, 2):
        given["window"][b], given["found"][b] = 0, False
    block = BurstReceiver(FORM, WIDTH)
    out = run(block, given, [])
    assert out["number"].tolist() == [-1, 11, -1, 13]
    assert all(np.isfinite(out[key]).all() for key in ("payload", "csi", "snr"))
    alone = run(block, {key: values[1::2] for key, values in given.items()}, [])
    assert np.array_equal(out["payload"][1::2], alone["payload"])


def test_without_frequency_correction_a_burst_is_lost() -> None:
    given, symbols = windows(4, cfo=4e-3)
    errors = []
    for corrected in (True, False):
        out = run(BurstReceiver(FORM, WIDTH, cfo_correction=corrected), given, [])
        decided = np.angle(out["payload"] / np.where(out["csi"] == 0, 1, out["csi"]) * symbols.conj())
        errors.append(np.mean(np.abs(decided) > np.pi / 4))
    assert errors[0] == 0
    assert errors[1] > 0.3


def test_no_bursts_give_nothing() -> None:
    given, _ = windows(2)
    out = run(BurstReceiver(FORM, WIDTH), {key: values[:0] for key, values in given.items()}, [])
    assert {key: len(values) for key, values in out.items()} == dict.fromkeys(out, 0)
    assert out["payload"].shape == (0, 256)


def test_samples_that_are_no_numbers_are_refused_in_one_line() -> None:
    given, _ = windows(1)
    given["window"][0, 0, 500] = np.nan
    with pytest.raises(UserError, match="not finite numbers"):
        run(BurstReceiver(FORM, WIDTH), given, [])


def test_before_a_run_there_is_nothing_to_report() -> None:
    assert BurstReceiver(FORM, WIDTH).result() == {}
