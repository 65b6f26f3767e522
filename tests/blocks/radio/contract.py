"""What every radio must do, whatever is behind it. A backend's tests derive a class from `RadioContract`.

    class TestZmqRadio(RadioContract):
        @pytest.fixture
        def loop(self) -> Iterator[Loop]: ...

A test is skipped by what the radio declares in its capabilities, and by nothing else.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest

from blocks.radio.interface import (
    Direction,
    Event,
    EventKind,
    Flag,
    Radio,
    RadioError,
    RadioTimeout,
    Received,
)

PATIENCE = 20.0
"""Seconds until a test gives up on something that must happen. A busy machine takes long."""
ROUNDS = 200
DIRECTIONS: tuple[Direction, ...] = ("tx", "rx")


@dataclass
class Loop:
    """An open radio whose receive channel r hears transmit channel r mod tx_channels."""

    radio: Radio
    delay: int = 0
    """Ticks from a sample's tick of transmission to the one of its reception."""
    accuracy: float = 1e-6
    """Largest error of a sample: half a step of the converters, or of float32."""
    rate: tuple[float, float] = (2e6, 2e6)
    """A rate to set, and the actual value that follows."""
    frequency: tuple[float, float] = (2.45e9, 2.45e9)
    gain: tuple[float, float] = (0.0, 0.0)
    bad_rate: float = -1.0
    bad_frequency: float = -1.0
    bad_gain: float = 1000.0
    starve: Callable[[], None] | None = None
    """Makes sure that nothing comes any more; None: nothing comes before `start`."""
    lose: Callable[[int, int], None] | None = None
    """Makes the device lose (first tick, count) of what it is about to receive; OVERFLOW declares it."""


def noise(channels: int, n: int, seed: int = 0) -> np.ndarray:
    """Samples (channels, n) complex64 well below full scale, different in every channel."""
    random = np.random.default_rng(seed)
    floats = random.uniform(-0.5, 0.5, (channels, n, 2)).astype(np.float32)
    return floats.view(np.complex64)[..., 0]


def heard(radio: Radio, sent: np.ndarray) -> np.ndarray:
    """What the receive channels hear of samples (tx_channels, n)."""
    return sent[np.arange(radio.capabilities.rx_channels) % radio.capabilities.tx_channels]


def collect(radio: Radio, most: int = 65536) -> list[Received]:
    """All that a timed reception gives, up to its END."""
    found = []
    for _ in range(10_000):
        found.append(radio.rx.recv(most, PATIENCE))
        if found[-1].flags & Flag.END:
            return found
    raise AssertionError("the reception has no end")


def joined(parts: list[Received]) -> np.ndarray:
    """The samples of parts that follow on each other, side by side."""
    for before, after in itertools.pairwise(parts):
        assert after.time == before.time + before.samples.shape[1]
        assert not after.flags & Flag.GAP
    return np.concatenate([part.samples for part in parts], axis=1)


def soon(radio: Radio) -> int:
    """A tick that a burst can still be sent at, once `rx.start` has been called for it."""
    return radio.now() + max(radio.capabilities.lead, 1000)


def events_with(radio: Radio, kind: EventKind, count: int = 1) -> list[Event]:
    """The events of a kind, waiting for `count` of them; receiving meanwhile, so that time goes on."""
    found: list[Event] = []
    radio.rx.start()
    for _ in range(ROUNDS):
        found += [event for event in radio.events() if event.kind == kind]
        if len(found) >= count:
            break
        radio.rx.recv(1024, PATIENCE)
    radio.rx.stop()
    return found


def refused(call: Callable[[], object]) -> str:
    """The one line with which a call is refused."""
    with pytest.raises(RadioError) as caught:
        call()
    assert not isinstance(caught.value, RadioTimeout)
    message = str(caught.value)
    assert message
    assert "\n" not in message
    return message


class RadioContract:
    """The tests. `loop` is a fixture of the deriving class, which opens and closes the radio."""

    @pytest.fixture
    def loop(self) -> Loop:
        """An open radio in a loop."""
        raise NotImplementedError

    def test_a_timed_burst_arrives_at_its_tick_with_silence_around_it(self, loop: Loop) -> None:
        radio, n = loop.radio, 700
        _need_timed(radio)
        first = soon(radio)
        burst = noise(radio.capabilities.tx_channels, n)
        radio.tx.send(burst, first + 150)
        radio.rx.start(first + loop.delay, 1200)
        parts = collect(radio)
        assert parts[0].time == first + loop.delay
        got = joined(parts)
        expected = np.zeros((radio.capabilities.rx_channels, 1200), np.complex64)
        expected[:, 150 : 150 + n] = heard(radio, burst)
        assert got.dtype == np.complex64
        assert np.abs(got - expected).max() <= loop.accuracy

    def test_two_bursts_have_silence_between_them(self, loop: Loop) -> None:
        radio = loop.radio
        _need_timed(radio)
        first = soon(radio)
        one, two = (noise(radio.capabilities.tx_channels, 300, seed) for seed in (1, 2))
        radio.tx.send(one, first)
        radio.tx.send(two, first + 777)
        radio.rx.start(first + loop.delay, 1100)
        got = joined(collect(radio))
        expected = np.zeros_like(got)
        expected[:, :300], expected[:, 777:1077] = heard(radio, one), heard(radio, two)
        assert np.abs(got - expected).max() <= loop.accuracy

    def test_samples_without_a_time_follow_on(self, loop: Loop) -> None:
        radio = loop.radio
        _need_timed(radio)
        first = soon(radio)
        whole = noise(radio.capabilities.tx_channels, 900, 3)
        radio.tx.send(whole[:, :350], first, end_of_burst=False)
        radio.tx.send(whole[:, 350:600], start_of_burst=False, end_of_burst=False)
        radio.tx.send(whole[:, 600:], start_of_burst=False)
        radio.rx.start(first + loop.delay, 900)
        got = joined(collect(radio))
        assert np.abs(got - heard(radio, whole)).max() <= loop.accuracy

    def test_a_reception_gives_as_many_samples_as_asked_for_whatever_the_pieces(self, loop: Loop) -> None:
        radio = loop.radio
        _need_timed(radio)
        first = soon(radio)
        burst = noise(radio.capabilities.tx_channels, 1000, 4)
        radio.tx.send(burst, first)
        radio.rx.start(first + loop.delay, 1000)
        parts = collect(radio, most=77)
        assert all(1 <= part.samples.shape[1] <= 77 for part in parts)
        assert [bool(part.flags & Flag.END) for part in parts] == [False] * (len(parts) - 1) + [True]
        assert np.abs(joined(parts) - heard(radio, burst)).max() <= loop.accuracy

    def test_nothing_is_received_before_a_start_or_behind_the_end(self, loop: Loop) -> None:
        refused(lambda: loop.radio.rx.recv(timeout=PATIENCE))
        loop.radio.rx.start(n=100)
        assert joined(collect(loop.radio)).shape == (loop.radio.capabilities.rx_channels, 100)
        refused(lambda: loop.radio.rx.recv(timeout=PATIENCE))

    def test_a_reception_goes_on_until_it_is_stopped(self, loop: Loop) -> None:
        loop.radio.rx.start()
        parts = [loop.radio.rx.recv(512, PATIENCE) for _ in range(5)]
        joined(parts)
        assert not any(part.flags & Flag.END for part in parts)
        loop.radio.rx.stop()
        refused(lambda: loop.radio.rx.recv(timeout=PATIENCE))

    def test_every_burst_is_acknowledged(self, loop: Loop) -> None:
        radio = loop.radio
        _need(radio, EventKind.BURST_ACK)
        first = soon(radio)
        for k in range(3):
            radio.tx.send(noise(radio.capabilities.tx_channels, 64, k), first + 200 * k)
        acknowledged = events_with(radio, EventKind.BURST_ACK, 3)
        times = [event.time for event in acknowledged]
        assert len(times) == 3
        if None not in times:
            assert times == [first, first + 200, first + 400]

    def test_a_burst_whose_time_has_passed_is_reported_and_not_sent(self, loop: Loop) -> None:
        radio = loop.radio
        _need(radio, EventKind.LATE)
        radio.rx.start()
        while radio.now() < 600:
            radio.rx.recv(1024, PATIENCE)
        radio.rx.stop()
        past = radio.now() - 500
        radio.tx.send(noise(radio.capabilities.tx_channels, 300), past)
        radio.rx.start(n=8000)
        assert np.abs(joined(collect(radio))).max() <= loop.accuracy
        late = events_with(radio, EventKind.LATE)
        assert len(late) == 1
        assert late[0].time in (past, None)

    def test_lost_samples_are_told_by_the_ticks(self, loop: Loop) -> None:
        radio = loop.radio
        _need(radio, EventKind.OVERFLOW)
        assert loop.lose is not None, "OVERFLOW is declared: the test must be able to cause it"
        first = soon(radio) + loop.delay
        loop.lose(first + 500, 300)
        radio.rx.start(first, 4000)
        parts, expected = collect(radio), first
        gaps = []
        for part in parts:
            assert bool(part.flags & Flag.GAP) == (part.time != expected)
            gaps += [(expected, part.time)] if part.time != expected else []
            expected = part.time + part.samples.shape[1]
        assert expected == first + 4000
        assert len(gaps) == 1
        lost_from, lost_to = gaps[0]
        assert lost_from <= first + 500 < first + 800 <= lost_to
        assert any(event.kind == EventKind.OVERFLOW for event in radio.events())

    @pytest.mark.parametrize("what", ["channels", "dimensions", "none", "kind", "nan", "infinite", "over"])
    def test_samples_that_cannot_be_sent_are_refused(self, loop: Loop, what: str) -> None:
        channels = loop.radio.capabilities.tx_channels
        samples = noise(channels, 50)
        bad = {
            "channels": noise(channels + 1, 50),
            "dimensions": samples[0],
            "none": samples[:, :0],
            "kind": samples.astype(np.complex128),
            "nan": np.where(np.arange(50) == 7, np.complex64(np.nan), samples),
            "infinite": np.where(np.arange(50) == 7, np.complex64(complex(0, np.inf)), samples),
            "over": np.where(np.arange(50) == 7, np.complex64(1.01), samples),
        }[what]
        refused(lambda: loop.radio.tx.send(bad))

    def test_full_scale_can_be_sent(self, loop: Loop) -> None:
        loop.radio.tx.send(np.full((loop.radio.capabilities.tx_channels, 10), 1 - 1j, np.complex64))

    def test_a_wait_for_nothing_ends(self, loop: Loop) -> None:
        if loop.starve is not None:
            loop.starve()
        loop.radio.rx.start(loop.radio.now() + 10**9)
        with pytest.raises(RadioTimeout) as caught:
            loop.radio.rx.recv(timeout=0.05)
        assert "\n" not in str(caught.value)

    def test_a_reception_of_nothing_is_refused(self, loop: Loop) -> None:
        refused(lambda: loop.radio.rx.start(n=0))

    def test_a_setting_answers_with_its_actual_value(self, loop: Loop) -> None:
        radio = loop.radio
        assert radio.set_rate(loop.rate[0]) == pytest.approx(loop.rate[1])
        assert radio.settings()["rate"] == pytest.approx(loop.rate[1])
        counts = (radio.capabilities.tx_channels, radio.capabilities.rx_channels)
        for direction, channels in zip(DIRECTIONS, counts, strict=True):
            for channel in range(channels):
                actual = radio.set_frequency(direction, channel, loop.frequency[0])
                assert actual == pytest.approx(loop.frequency[1])
                assert radio.set_gain(direction, channel, loop.gain[0]) == pytest.approx(loop.gain[1])
            for name, value in (("frequency", loop.frequency[1]), ("gain", loop.gain[1])):
                assert radio.settings()[f"{direction}_{name}"] == pytest.approx([value] * channels)

    def test_a_setting_that_is_not_supported_is_refused(self, loop: Loop) -> None:
        radio = loop.radio
        refused(lambda: radio.set_rate(loop.bad_rate))
        for direction in DIRECTIONS:
            refused(partial(radio.set_frequency, direction, 0, loop.bad_frequency))
            refused(partial(radio.set_gain, direction, 0, loop.bad_gain))

    def test_a_channel_that_does_not_exist_is_refused(self, loop: Loop) -> None:
        radio = loop.radio
        for channel in (-1, 1000):
            for direction in DIRECTIONS:
                refused(partial(radio.set_gain, direction, channel, loop.gain[0]))
                refused(partial(radio.set_frequency, direction, channel, loop.frequency[0]))

    def test_a_clock_that_does_not_exist_is_refused(self, loop: Loop) -> None:
        loop.radio.set_clock_source("internal")
        loop.radio.set_time_source("internal")
        assert loop.radio.clock_locked()
        assert "sundial" in refused(lambda: loop.radio.set_clock_source("sundial"))
        assert "sundial" in refused(lambda: loop.radio.set_time_source("sundial"))

    def test_a_radio_says_what_it_is(self, loop: Loop) -> None:
        assert ":" in loop.radio.device
        assert isinstance(loop.radio.now(), int)
        assert set(loop.radio.capabilities.emulated) or loop.radio.capabilities.timestamps

    def test_a_radio_closes_twice_and_is_closed_then(self, loop: Loop) -> None:
        loop.radio.close()
        loop.radio.close()
        refused(lambda: loop.radio.tx.send(noise(loop.radio.capabilities.tx_channels, 10)))
        refused(lambda: loop.radio.rx.recv(timeout=PATIENCE))


def _need(radio: Radio, kind: EventKind) -> None:
    if kind not in radio.capabilities.events:
        pytest.skip(f"{radio.device.partition(':')[0]} declares no {kind} events")
    _need_timed(radio)


def _need_timed(radio: Radio) -> None:
    if not radio.capabilities.timed_transmit:
        pytest.skip(f"{radio.device.partition(':')[0]} declares no timed transmission")
