"""Bursts found in a stream of frames, cut anywhere, with samples missing."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from blocks import BurstSynchroniser
from isac_models.waveform.burst_format import BurstFormat
from tests.isac_models.waveform.array_scene import HEADER, qpsk, vectors_at
from tests.isac_models.waveform.scene import noise

FORM = BurstFormat()
DELAY, CFO, BURSTS, LEAD = 37.3, 1.3e-3, 6, 500
Arrays = dict[str, np.ndarray]


def stream() -> np.ndarray:
    """Three channels, bursts on the last two, in slots from tick LEAD on: (n, 3) complex64."""
    rng = np.random.default_rng(1)
    length = LEAD + (BURSTS + 1) * FORM.slot
    out = 0.1 * noise(rng, length, 3)
    for b in range(BURSTS):
        symbols = FORM.assemble(qpsk(rng, 256), HEADER, np.ones(16))[:1]
        at = LEAD + b * FORM.slot
        part = vectors_at(FORM, symbols, FORM.slot + 100, DELAY + FORM.pulse.delay)[0][: length - at]
        out[at : at + part.size, 1:] += part[:, None] * [1.0, 0.5j]
    return np.asarray(out * np.exp(2j * np.pi * CFO * np.arange(length))[:, None], np.complex64)


def block(channels: tuple[int, int] = (1, 3)) -> BurstSynchroniser:
    """Started."""
    new = BurstSynchroniser(FORM, 3, channels)
    new.start()
    return new


def feed(one: BurstSynchroniser, samples: np.ndarray, cuts: list[int], time: int | None = None) -> Arrays:
    """All bursts, of the stream cut in these places; `time`: of the first sample, told in a tag."""
    out = []
    for a, b in pairwise([0, *cuts, len(samples)]):
        one.tags = {} if time is None else {"time": time + a, "lost": 0}
        out.append(one.work(samples[a:b]))
        one.position += b - a
    last = one.flush()
    out += [last] if last is not None else []
    return {key: np.concatenate([part[key] for part in out]) for key in out[0]}


def test_bursts_are_found_where_they_are_at_the_offset_that_they_have() -> None:
    one = block()
    out = feed(one, stream(), [], time=10_000)
    place = out["time"] + out["start"] - FORM.pulse.delay - 10_000
    expected = LEAD + DELAY + FORM.slot * np.arange(BURSTS)
    assert np.abs(place[:BURSTS] - expected).max() < 0.1
    assert np.abs(out["cfo"][:BURSTS] - CFO).max() < 2e-5
    assert out["found"][:BURSTS].all()
    assert not out["lost"][:BURSTS].any()
    assert not out["slip"].any()
    assert out["window"].shape[1:] == (2, one.width)
    first = int(out["time"][0]) - 10_000
    assert np.array_equal(out["window"][0], stream()[first : first + one.width, 1:].T)
    assert {key: str(values.dtype) for key, values in out.items()} == {
        "window": "complex64",
        "time": "int64",
        "start": "float64",
        "cfo": "float64",
        "found": "bool",
        "lost": "int64",
        "slip": "int64",
    }


@pytest.mark.parametrize("piece", [1, 333, 1280, 4000])
def test_how_the_stream_is_cut_changes_nothing(piece: int) -> None:
    samples = stream()
    cuts = list(range(piece, len(samples), piece)) if piece > 1 else [1, 2, 3, 1279, 1280, 5000, 5001]
    whole, parts = feed(block(), samples, [], 0), feed(block(), samples, cuts, 0)
    for key, values in whole.items():
        assert np.array_equal(parts[key], values), key


def test_without_a_tag_the_place_in_the_stream_is_the_time() -> None:
    samples = stream()
    with_tag, without = feed(block(), samples, [3000], 0), feed(block(), samples, [3000])
    assert np.array_equal(with_tag["time"], without["time"])


def test_missing_samples_are_told_with_the_windows_that_they_are_missing_in() -> None:
    samples = stream()
    hole = slice(LEAD + 2 * FORM.slot + 300, LEAD + 2 * FORM.slot + 800)
    one = block()
    out: list[Any] = []
    for part in (slice(0, hole.start), slice(hole.stop, None)):
        one.tags = {"time": part.start, "lost": 0}
        out.append(one.work(samples[part]))
    found = {key: np.concatenate([part[key] for part in out]) for key in out[0]}
    assert found["lost"].tolist()[:5] == [0, 0, 500, 0, 0]
    assert not found["window"][2][:, hole.start - int(found["time"][2]) :][:, :500].any()
    assert one.result()["lost_samples"] == 500
    assert one.result()["bursts_hit_by_losses"] == 1
    assert one.result()["restarts"] == 0


def test_samples_lost_without_a_word_are_told_where_the_burst_clock_was_set_anew() -> None:
    samples = np.concatenate([stream()[: LEAD + BURSTS * FORM.slot], stream()[LEAD:]])
    at = LEAD + 2 * FORM.slot + 600
    samples = np.concatenate([samples[:at], samples[at + 333 :]])
    out = feed(block(), samples, [], 0)
    assert out["slip"][out["slip"] != 0].tolist() == [-333]
    assert not out["slip"][: 2 + 1].any()
    assert block().result()["slips"] == 0


def test_channels_of_another_clock_are_left_out() -> None:
    out = feed(block((0, 1)), stream(), [], 0)
    assert len(out["time"]) == 0
    out = feed(block((2, 3)), stream(), [], 0)
    assert out["window"].shape[1] == 1
    assert np.sum(out["found"]) == BURSTS


def test_a_stream_that_ends_early_gives_its_last_burst_with_silence_behind_it() -> None:
    samples = stream()[: LEAD + BURSTS * FORM.slot - 10]
    one = block()
    before = one.work(samples)
    last = one.flush()
    assert len(before["time"]) == BURSTS - 1
    assert last is not None
    assert last["found"].tolist()[0]
    end = LEAD + BURSTS * FORM.slot - 10 - int(last["time"][0])
    assert not last["window"][0][:, end:].any()


def test_a_stream_without_samples_has_nothing_to_flush() -> None:
    assert block().flush() is None


def test_a_second_run_counts_from_nothing() -> None:
    one = block()
    feed(one, stream(), [], 0)
    one.start()
    assert one.result() == {
        "found": 0,
        "missed": 0,
        "lost_samples": 0,
        "bursts_hit_by_losses": 0,
        "slips": 0,
        "slipped_samples": 0,
        "restarts": 0,
    }
