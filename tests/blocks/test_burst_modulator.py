"""The burst modulator alone: its samples from closed forms, and streams cut anywhere."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy.signal import upfirdn

from blocks import BurstModulator
from isac_models.scenario import Scenario
from isac_models.waveform import header
from isac_models.waveform.burst_format import BurstFormat
from tests.isac_models.waveform.scene import root_raised_cosine

Arrays = dict[str, np.ndarray]
SCENARIO = Scenario(transmit_energy=4.0)
FORM = BurstFormat()
RNG = np.random.default_rng(1)
BEAM = RNG.normal(size=(16, 2)) @ [1, 1j]
BEAM *= 2 / np.linalg.norm(BEAM)


def snapshots(count: int) -> Arrays:
    """x = v s with E_tx = 4, symbols and messages."""
    message = np.random.default_rng(2).integers(4, size=count).astype(np.uint8)
    symbol = np.exp(0.5j * np.pi * (message + 0.5)).astype(np.complex64)
    transmitted = (symbol[:, None] * BEAM).astype(np.complex64)
    return {"transmitted": transmitted, "symbol": symbol, "message": message}


def bursts(given: Arrays, cuts: list[int], block: BurstModulator) -> Arrays:
    """Everything that comes out of the given snapshots cut in these places."""
    block.start()
    out = [
        block.work(**{key: values[a:b] for key, values in given.items()})
        for a, b in pairwise([0, *cuts, len(given["message"])])
    ]
    last = block.flush()
    return {key: np.concatenate([one[key] for one in [*out, *([last] if last else [])]]) for key in out[0]}


def test_samples_are_the_symbols_of_the_format_under_the_pulse_at_the_reference_power() -> None:
    weights = np.exp(1j * np.arange(16)) * np.linspace(0.8, 1.2, 16)
    given = snapshots(FORM.payload)
    out = bursts(given, [], BurstModulator(SCENARIO, FORM, BEAM, weights))
    assert {key: values.dtype for key, values in out.items()} == {
        "samples": np.complex64,
        "number": np.int64,
        "payload_message": np.uint8,
        "payload_symbol": np.complex64,
    }
    x = np.zeros((16, FORM.symbols), complex)
    x[:, :191] = np.outer(BEAM, FORM.preamble)
    x[:, 191:207] = 2 * FORM.orthogonal  # unit energy a column, times E_tx
    x[:, 207:303] = np.outer(BEAM, header.encode(0, 0))
    places = [303 + k + k // 16 + 1 for k in range(256)]
    x[:, places] = given["transmitted"].T
    pilots = [303 + 17 * k for k in range(17)]
    x[:, pilots] = np.outer(BEAM, FORM.phase_pilots)
    taps = root_raised_cosine(np.arange(-20, 21) / 2, 0.35) / np.sqrt(2)
    scale = np.sqrt(10**-1.2 * 2 / 4.0)
    expected = scale * weights[:, None] * upfirdn(taps, x, up=2, axis=1)
    assert out["samples"].shape == (1, 16, FORM.samples)
    assert np.abs(out["samples"][0] - expected).max() < 1e-4


def test_the_payload_has_the_reference_power_and_nothing_is_over_full_scale() -> None:
    out = bursts(snapshots(40 * FORM.payload), [], BurstModulator(SCENARIO, FORM, BEAM))
    payload = out["samples"][:, :, 2 * 310 : 2 * 560]
    power = np.sum(np.abs(payload) ** 2, axis=1)
    # Bursts are independent of each other.
    spread = power.mean(axis=1).std() / np.sqrt(40)
    assert power.mean() == pytest.approx(10**-1.2, abs=5 * spread + 1e-4)
    assert max(np.abs(out["samples"].real).max(), np.abs(out["samples"].imag).max()) <= 1


@pytest.mark.parametrize("cuts", [[1], [100, 256, 300], [255, 257, 511, 700], [10, 10, 10, 770], [769]])
def test_how_the_stream_is_cut_changes_nothing(cuts: list[int]) -> None:
    given = snapshots(3 * FORM.payload + 2)
    block = BurstModulator(SCENARIO, FORM, BEAM)
    whole, parts = bursts(given, [], block), bursts(given, cuts, block)
    assert whole["number"].tolist() == [0, 1, 2, 3]
    for key, values in whole.items():
        assert np.array_equal(parts[key], values), key


def test_what_is_left_at_the_end_is_filled_up_with_its_first_message() -> None:
    given = snapshots(FORM.payload + 10)
    out = bursts(given, [], BurstModulator(SCENARIO, FORM, BEAM))
    assert np.array_equal(out["payload_message"][1, :10], given["message"][256:])
    assert set(out["payload_message"][1, 10:].tolist()) == {int(given["message"][256])}
    assert np.array_equal(out["payload_symbol"][0], given["symbol"][:256])


def test_a_stream_of_whole_bursts_or_of_nothing_leaves_nothing() -> None:
    block = BurstModulator(SCENARIO, FORM, BEAM)
    block.start()
    assert block.flush() is None
    assert len(block.work(**snapshots(256))["number"]) == 1
    assert block.flush() is None


def test_a_second_run_begins_with_burst_0_again() -> None:
    block = BurstModulator(SCENARIO, FORM, BEAM)
    first, second = (bursts(snapshots(300), [], block) for _ in range(2))
    assert first["number"].tolist() == second["number"].tolist() == [0, 1]
    assert np.array_equal(first["samples"], second["samples"])


def test_numbers_go_round_after_24_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    block: Any = BurstModulator(SCENARIO, FORM, BEAM)
    block.start()
    block._number = (1 << 24) - 1
    out = block.work(**snapshots(512))
    assert out["number"].tolist() == [(1 << 24) - 1, 0]
