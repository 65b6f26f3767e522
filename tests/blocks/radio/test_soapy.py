"""SoapyRadio through real SoapySDR and a driver of our own: the contract, and what goes wrong."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from blocks.radio.interface import EventKind, Flag, RadioError, RadioTimeout
from blocks.radio.registry import open_radio
from blocks.radio.soapy import SoapyRadio
from tests.blocks.radio.contract import PATIENCE, Loop, RadioContract, collect, heard, joined, noise, refused
from tests.blocks.radio.soapy_loop import arguments, need_driver, served
from tests.hil.frontend.stream_server import Server


class TestSoapyRadio(RadioContract):
    @pytest.fixture
    def loop(self) -> Iterator[Loop]:
        need_driver()
        with served() as server, SoapyRadio(arguments(server)) as radio:
            yield Loop(
                radio,
                accuracy=0.0,
                gain=(3.1, 3.0),
                lose=lambda first, count: server.inject("overflow", at=first, samples=count),
            )


@pytest.fixture
def pair() -> Iterator[tuple[SoapyRadio, Server]]:
    """A radio and the server behind its driver."""
    need_driver()
    with served() as server, SoapyRadio(arguments(server)) as radio:
        yield radio, server


Pair = tuple[SoapyRadio, Server]


def kinds(radio: SoapyRadio) -> list[EventKind]:
    """What has happened since the last call."""
    return [event.kind for event in radio.events()]


def test_sixteen_and_seventeen_channels_with_timestamps_are_declared(pair: Pair) -> None:
    capabilities = pair[0].capabilities
    assert (capabilities.tx_channels, capabilities.rx_channels) == (16, 17)
    assert capabilities.timestamps
    assert capabilities.phase_coherent
    assert capabilities.virtual_time
    assert capabilities.events == set(EventKind)
    assert not capabilities.emulated


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_the_driver_speaks_over_both_kinds_of_socket(kind: str, tmp_path: Path) -> None:
    need_driver()
    address = f"stream:unix:{tmp_path}/radio" if kind == "unix" else "stream:tcp://127.0.0.1:0"
    with served(address=address) as server, SoapyRadio(arguments(server)) as radio:
        burst_through(radio, 5000, 3000)


def burst_through(radio: SoapyRadio, n: int, at: int) -> None:
    """A burst goes out at a tick from now and comes back at the same one."""
    first = radio.now()
    sent = noise(radio.capabilities.tx_channels, n)
    radio.tx.send(sent, first + at)
    radio.rx.start(first, at + n + 100)
    expected = np.zeros((radio.capabilities.rx_channels, at + n + 100), np.complex64)
    expected[:, at : at + n] = heard(radio, sent)
    np.testing.assert_array_equal(joined(collect(radio)), expected)


@pytest.mark.parametrize("rate", [1e6 / 3, 1.92e6, 2_083_333.25, 30.72e6])
def test_ticks_stay_ticks_at_rates_whose_ticks_are_no_whole_nanoseconds(pair: Pair, rate: float) -> None:
    radio, server = pair
    assert radio.set_rate(rate) == rate
    server.device.engine.time = 10**12 + 7
    assert radio.now() == 10**12 + 7
    burst_through(radio, 300, 777)
    assert [event.time for event in radio.events()] == [10**12 + 784]


def test_some_of_the_channels_can_be_used(pair: Pair) -> None:
    _, server = pair
    pair[0].close()
    with SoapyRadio(arguments(server), tx_channels=2, rx_channels=3) as radio:
        radio.tx.send(noise(2, 100), 50)
        radio.rx.start(50, 100)
        got = joined(collect(radio))
        np.testing.assert_array_equal(got[:2], noise(2, 100))
        assert got.shape == (3, 100)
        assert not got[2].any()


def test_a_burst_longer_than_the_driver_takes_at_once_stays_one(pair: Pair) -> None:
    burst_through(pair[0], 40_000, 100)
    assert kinds(pair[0]) == [EventKind.BURST_ACK]


def test_a_burst_that_does_not_go_on_is_an_underflow(pair: Pair) -> None:
    radio, _ = pair
    radio.tx.send(noise(16, 100), 500, end_of_burst=False)
    radio.rx.start(0, 1000)
    collect(radio)
    assert [(event.kind, event.time) for event in radio.events()] == [(EventKind.UNDERFLOW, 600)]
    radio.tx.send(noise(16, 100), start_of_burst=False)
    radio.rx.start(1000, 200)
    np.testing.assert_array_equal(joined(collect(radio))[:, :100], heard(radio, noise(16, 100)))
    assert kinds(radio) == [EventKind.BURST_ACK]


def test_overlapping_bursts_are_refused(pair: Pair) -> None:
    radio, _ = pair
    radio.tx.send(noise(16, 100), 500)
    assert "tick 550 is taken" in refused(lambda: radio.tx.send(noise(16, 100), 550))


def test_bursts_without_a_time_follow_on_each_other(pair: Pair) -> None:
    radio, _ = pair
    radio.tx.send(noise(16, 100, 1), 500)
    radio.tx.send(noise(16, 100, 2))
    radio.rx.start(500, 200)
    np.testing.assert_array_equal(joined(collect(radio))[:16, 100:], noise(16, 100, 2))
    assert [event.time for event in radio.events()] == [500, 600]


def test_events_and_samples_are_there_while_a_send_waits_for_room(pair: Pair) -> None:
    radio, server = pair
    server.device.queue = 1000
    radio.tx.send(noise(16, 900), 100)
    waiting = threading.Thread(target=lambda: radio.tx.send(noise(16, 200), 1000, timeout=20), daemon=True)
    waiting.start()
    asked = threading.Thread(target=radio.events, daemon=True)
    asked.start()
    asked.join(5)
    assert not asked.is_alive()
    radio.rx.start(0, 1200)
    collect(radio)  # makes room
    waiting.join(10)
    assert not waiting.is_alive()


def test_a_full_queue_ends_the_wait_and_empties_by_receiving(pair: Pair) -> None:
    radio, server = pair
    server.device.queue = 1000
    radio.tx.send(noise(16, 900), 100)
    with pytest.raises(RadioTimeout, match=r"queue stayed full for 0\.01 s, 0 of 200 samples were taken"):
        radio.tx.send(noise(16, 200), timeout=0.01)
    radio.rx.start(0, 1500)
    collect(radio)
    burst_through(radio, 200, 10)
    assert kinds(radio) == [EventKind.BURST_ACK] * 2


@pytest.mark.parametrize(("kind", "event"), [("drop", "sequence_gap"), ("overflow", "overflow")])
def test_lost_samples_are_counted_by_the_timestamps(pair: Pair, kind: str, event: str) -> None:
    radio, server = pair
    server.inject(kind, at=400, samples=150)
    server.inject(kind, at=900, samples=7)
    radio.rx.start(100, 1000)
    parts = collect(radio)
    assert [(p.time, p.samples.shape[1], bool(p.flags & Flag.GAP)) for p in parts] == [
        (100, 300, False),
        (550, 350, True),
        (907, 193, True),
    ]
    assert [(e.kind, e.time, e.samples) for e in radio.events()] == [(event, 400, 150), (event, 900, 7)]


def test_samples_that_are_not_numbers_are_a_gap(pair: Pair) -> None:
    radio, server = pair
    server.inject("nan", samples=20)
    radio.rx.start(0, 1000)
    parts = collect(radio)
    assert all(np.isfinite(part.samples).all() for part in parts)
    assert sum(part.samples.shape[1] for part in parts) == 980
    assert [(e.kind, e.time, e.samples) for e in radio.events()] == [(EventKind.SEQUENCE_GAP, 500, 20)]


def test_a_burst_that_the_device_calls_late_is_told_and_the_next_one_leaves(pair: Pair) -> None:
    radio, server = pair
    server.inject("late")
    radio.tx.send(noise(16, 100), 300)
    radio.tx.send(noise(16, 100), 500)
    radio.rx.start(0, 700)
    got = joined(collect(radio))
    assert not got[:, :500].any()
    np.testing.assert_array_equal(got[:16, 500:600], noise(16, 100))
    assert [(e.kind, e.time) for e in radio.events()] == [(EventKind.LATE, 300), (EventKind.BURST_ACK, 500)]


def test_a_stall_ends_a_wait_and_loses_nothing(pair: Pair) -> None:
    radio, server = pair
    radio.tx.send(noise(16, 100), 10)
    radio.rx.start(0, 200)
    server.inject("stall", seconds=0.3)
    with pytest.raises(RadioTimeout, match=r"no samples within 0\.01 s"):
        radio.rx.recv(timeout=0.01)
    got = joined(collect(radio))
    np.testing.assert_array_equal(got[:16, 10:110], noise(16, 100))
    assert kinds(radio) == [EventKind.BURST_ACK]


@pytest.mark.parametrize("fault", ["garbage", "half", "huge", "close"])
def test_a_connection_that_breaks_is_made_again_and_the_gap_is_told(pair: Pair, fault: str) -> None:
    radio, server = pair
    radio.set_gain("rx", 3, 7.0)
    radio.rx.start()
    first = radio.rx.recv(1000, PATIENCE)
    radio.tx.send(noise(16, 100), 10**6)
    server.inject(fault)
    part = radio.rx.recv(1000, PATIENCE)
    events = radio.events()
    assert part.time >= first.samples.shape[1]
    assert bool(part.flags & Flag.GAP) == (part.time != first.samples.shape[1])
    assert {EventKind.SEQUENCE_GAP, EventKind.LATE} == {event.kind for event in events}
    gap = next(event for event in events if event.kind == EventKind.SEQUENCE_GAP)
    assert (gap.time, gap.samples) == (first.samples.shape[1], part.time - first.samples.shape[1])
    assert "the connection was lost" in gap.detail
    assert server.device.gains["rx"][3] == 7.0


@pytest.mark.parametrize(("taken", "again"), [(1000, 1280), (1279, 1280), (1280, 2560)])
def test_a_device_that_begins_anew_goes_on_at_a_later_multiple_of_the_grid(
    pair: Pair, taken: int, again: int
) -> None:
    radio, server = pair
    radio.set_rate(2e6)
    radio.set_frequency("tx", 5, 1e9)
    radio.rx.start(0, 20_000)
    assert sum(radio.rx.recv(n, PATIENCE).samples.shape[1] for n in (taken // 2, taken - taken // 2)) == taken
    server.inject("restart")
    part = radio.rx.recv(1000, PATIENCE)
    assert part.flags & Flag.GAP
    assert part.time == again
    gap = radio.events()[-1]
    assert (gap.kind, gap.time, gap.samples) == (EventKind.SEQUENCE_GAP, taken, again - taken)
    assert "began anew" in gap.detail
    assert (server.device.rate, server.device.frequencies["tx"][5]) == (2e6, 1e9)
    rest = collect(radio)
    assert rest[-1].time + rest[-1].samples.shape[1] == 20_000
    burst_through(radio, 300, 100)


def test_a_device_that_is_gone_is_told_in_a_line_and_what_was_sent_was_late(pair: Pair) -> None:
    radio, server = pair
    radio.tx.send(noise(16, 100), 5000)
    radio.rx.start()
    radio.rx.recv(100, PATIENCE)
    server.inject("restart", seconds=3600)
    with pytest.raises(RadioTimeout, match=r"no SoapySDR device .*cannot be reached") as caught:
        radio.rx.recv(timeout=0.3)
    assert "\n" not in str(caught.value)
    with pytest.raises(RadioTimeout, match=r"send: no device within 0\.01 s: no SoapySDR device"):
        radio.tx.send(noise(16, 100), 7000, timeout=0.01)
    for call in (
        radio.now,
        radio.clock_locked,
        lambda: radio.set_gain("tx", 0, 0),
        lambda: radio.set_rate(1e6),
    ):
        with pytest.raises(RadioError):
            call()
    assert radio.events() == []
    radio.rx.stop()


def test_a_device_that_cannot_be_reached_is_refused() -> None:
    need_driver()
    message = refused(lambda: SoapyRadio("driver=isacstream,address=127.0.0.1:1"))
    assert "127.0.0.1:1: cannot be reached (Connection refused)" in message
    assert "unix" in refused(lambda: SoapyRadio("driver=isacstream,address=nowhere"))
    assert "no SoapySDR device for 'driver=sundial'" in refused(lambda: SoapyRadio("driver=sundial"))


def test_a_device_that_says_nothing_is_refused_in_time() -> None:
    need_driver()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        line = refused(lambda: SoapyRadio(f"driver=isacstream,address={address},patience=0.05"))
    assert "does not answer in time" in line


def test_a_device_that_is_in_use_is_refused(pair: Pair) -> None:
    assert "in use" in refused(lambda: SoapyRadio(f"{arguments(pair[1])},patience=4"))
    burst_through(pair[0], 100, 10)


def test_more_channels_than_there_are_are_refused(pair: Pair) -> None:
    pair[0].close()
    assert "17 receive channels, not 18" in refused(lambda: SoapyRadio(arguments(pair[1]), rx_channels=18))
    assert "16 transmit channels, not -1" in refused(lambda: SoapyRadio(arguments(pair[1]), tx_channels=-1))


def test_a_rate_that_the_device_has_not_is_refused_with_those_it_has(pair: Pair) -> None:
    assert "1000 to 1e+08" in refused(lambda: pair[0].set_rate(2e8))
    pair[0].close()
    assert "not supported" in refused(lambda: SoapyRadio(arguments(pair[1]), rate=1.0))


def test_a_clock_that_is_not_locked_is_refused(pair: Pair) -> None:
    radio, server = pair
    radio.set_clock_source("external")
    server.inject("unlock")
    assert not radio.clock_locked()
    assert "the reference clock is not locked" in refused(radio.rx.start)


def test_a_start_in_the_past_is_refused(pair: Pair) -> None:
    radio, _ = pair
    radio.rx.start(0, 500)
    collect(radio)
    assert "tick 499 has passed, the next is 500" in refused(lambda: radio.rx.start(499))


def test_sending_goes_on_while_somebody_receives(pair: Pair) -> None:
    radio, server = pair
    radio.rx.start(10**5, 1000)
    server.device.losses.clear()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(collect, radio)
        radio.tx.send(noise(16, 100), 10**9)
        assert joined(waiting.result(PATIENCE)).shape == (17, 1000)


def test_paced_time_gives_what_is_due(tmp_path: Path) -> None:
    need_driver()
    with served(pace=1e5) as server, SoapyRadio(arguments(server)) as radio:
        burst_through(radio, 500, 1000)


def test_the_registry_opens_it_by_name(pair: Pair) -> None:
    pair[0].close()
    with open_radio("soapy", args=arguments(pair[1])) as radio:
        assert radio.device == f"soapy:{arguments(pair[1])}"


def test_soapysdr_itself_finds_the_driver() -> None:
    _, library = need_driver()
    if (program := shutil.which("SoapySDRUtil")) is None:
        pytest.skip("SoapySDRUtil is missing: apt-get install soapysdr-tools")

    def ask(*given: str) -> str:
        return subprocess.run(
            [program, *given],
            env={"SOAPY_SDR_PLUGIN_PATH": str(library.parent)},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout

    assert "isacstream" in ask("--info")
    with served() as server:
        found = ask(f"--find={arguments(server)}")
        assert "driver = isacstream" in found
        assert f"address = {server.addresses[0]}" in found
        probed = ask(f"--probe={arguments(server)}")
    assert "Channels: 17 Rx, 16 Tx" in probed
    assert "Timestamps: YES" in probed
    assert "ref_locked" in probed


@pytest.mark.parametrize("first", ["send", "start"])
def test_a_device_that_began_anew_while_nobody_asked_is_found_again(pair: Pair, first: str) -> None:
    radio, server = pair
    radio.rx.start(0, 1000)
    collect(radio)
    radio.tx.send(noise(16, 100), 5000)
    server.inject("restart")
    if first == "send":
        radio.tx.send(noise(16, 100), 2000)
    radio.rx.start(n=2000)
    parts = collect(radio)
    assert parts[0].time == 1280
    assert joined(parts).any() == (first == "send")
    told = [(event.kind, event.time) for event in radio.events()]
    expected = [(EventKind.LATE, 5000), (EventKind.SEQUENCE_GAP, 1280), (EventKind.BURST_ACK, 2000)]
    assert told == expected[: 3 if first == "send" else 2]
