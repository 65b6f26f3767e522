"""The IIO daemon's protocol, byte by byte: what is answered, and what a client cannot do to it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.blocks.radio.iio_loop import served
from tests.hil.frontend.iio_server import Server
from tests.hil.iio_client import PHY, RX, TX, Client, opened, push, ramp, talking


@pytest.fixture
def client() -> Iterator[Client]:
    """A client of one context."""
    with talking() as (_, found):
        yield found


def test_the_version_is_the_one_whose_protocol_is_spoken(client: Client) -> None:
    client.socket.sendall(b"VERSION\r\n")
    assert client.file.readline() == b"0.24.virtual\n"


def test_the_context_is_announced_with_its_length(client: Client) -> None:
    length = client.ask("PRINT")
    document = client.file.read(length + 1)
    assert document.endswith(b"</context>\n")
    assert document.startswith(b"<?xml")
    assert client.ask("TIMEOUT 1000") == 0


def test_compressed_contexts_are_not_offered(client: Client) -> None:
    assert client.ask("ZPRINT") == -22


@pytest.mark.parametrize(
    ("command", "number"),
    [
        ("NONSENSE", -22),
        ("OPEN", -22),
        ("OPEN iio:device9 10 0000000f", -19),
        (f"OPEN {RX} 10 f", -22),
        (f"OPEN {RX} 10 00000000", -22),
        (f"OPEN {RX} 10 0000001f", -22),
        (f"OPEN {RX} 10 zzzzzzzz", -22),
        (f"OPEN {RX} 0 0000000f", -22),
        (f"OPEN {RX} -5 0000000f", -22),
        (f"OPEN {RX} 99999999999 0000000f", -22),
        (f"OPEN {RX} 10 0000000f TWICE", -22),
        (f"OPEN {PHY} 10 0000000f", -22),
        (f"CLOSE {RX}", -6),
        (f"READBUF {RX} 16", -9),
        (f"READBUF {TX} 16", -9),
        ("READBUF", -22),
        (f"READ {PHY}", -22),
        (f"READ {PHY} nothing", -2),
        (f"READ {PHY} INPUT voltage9 hardwaregain", -6),
        (f"READ {PHY} INPUT voltage0 nothing", -2),
        (f"READ {PHY} DEBUG nothing", -2),
        (f"WRITE {PHY} ensm_mode x", -22),
        (f"GETTRIG {RX}", -2),
        (f"SETTRIG {RX} trigger0", -2),
        (f"SET {RX} BUFFERS_COUNT 0", -22),
        (f"SET {RX} BUFFERS_COUNT 65", -22),
        (f"SET {RX} SOMETHING 4", -22),
        ("TIMEOUT soon", -22),
    ],
)
def test_what_cannot_be_is_answered_with_an_errno(client: Client, command: str, number: int) -> None:
    assert client.ask(command) == number
    assert client.ask("TIMEOUT 1000") == 0  # and the connection goes on


@pytest.fixture(scope="module")
def enduring() -> Iterator[Server]:
    """One daemon for many tests."""
    with served(2, 2) as found:
        yield found


COMMANDS = st.sampled_from([b"OPEN", b"READ", b"WRITE", b"READBUF", b"WRITEBUF", b"SET", b"PRINT", b"CLOSE"])
WORDS = st.one_of(
    st.sampled_from([RX.encode(), TX.encode(), PHY.encode(), b"INPUT", b"voltage0", b"DEBUG", b"0000000f"]),
    st.binary(max_size=12),
    st.integers(-5, 1 << 40).map(lambda n: b"%d" % n),
)
LINES = st.builds(lambda c, words: b" ".join([c, *words]) + b"\n", COMMANDS, st.lists(WORDS, max_size=5))


@given(st.one_of(st.binary(max_size=300), st.lists(LINES, max_size=6).map(b"".join)))
@settings(max_examples=100)
def test_no_bytes_stop_the_daemon(enduring: Server, data: bytes) -> None:
    rude = Client(enduring)
    with contextlib.suppress(OSError):
        rude.socket.sendall(data)
    rude.close()
    polite = Client(enduring)
    assert polite.ask("TIMEOUT 1000") == 0
    polite.close()


def test_a_line_without_end_is_cut_off(client: Client) -> None:
    client.socket.sendall(b"A" * 5000)
    assert client.file.readline() == b"-22\n"
    with contextlib.suppress(ConnectionResetError):
        assert client.file.read() == b""


def test_a_value_that_is_too_long_is_not_read(client: Client) -> None:
    assert client.ask(f"WRITE {PHY} filter_fir_config 9999999") == -7
    assert client.file.read() == b""


def test_writing_where_nothing_is_open_ends_the_connection(client: Client) -> None:
    assert client.ask(f"WRITEBUF {TX} 16") == -9
    assert client.file.read() == b""


def test_attributes_are_read_written_and_checked(client: Client) -> None:
    gain = f"{PHY} OUTPUT voltage1 hardwaregain"
    assert client.value(f"READ {gain}") == "0.000000 dB"
    assert client.write(f"WRITE {gain}", "-10.3") == 6
    assert client.value(f"READ {gain}") == "-10.250000 dB"
    assert client.write(f"WRITE {gain}", "1") == -22
    assert client.write(f"WRITE {gain}", "nan") == -22
    assert client.write(f"WRITE {PHY} ensm_mode", "alert") == 6
    assert client.value(f"READ {PHY} ensm_mode") == "alert"
    assert client.write(f"WRITE {PHY} OUTPUT RX_LO frequency", "868000000") == 10
    assert client.value("READ iio:device0 OUTPUT altvoltage0 frequency") == "868000000"
    assert client.write(f"WRITE {PHY} INPUT temp0 input", "1") == -1
    assert client.value(f"READ {RX} BUFFER length_align_bytes") == "8"


def test_a_low_rate_needs_a_filter(client: Client) -> None:
    rate = f"{PHY} INPUT voltage0 sampling_frequency"
    fir = f"{PHY} INPUT out voltage_filter_fir_en"
    assert client.write(f"WRITE {rate}", "1000000") == -22
    assert client.write(f"WRITE {fir}", "1") == 2
    assert client.write(f"WRITE {rate}", "1000000") == 8
    assert client.value(f"READ {PHY} tx_path_rates").endswith("TF:4000000 TXSAMP:1000000")
    assert client.write(f"WRITE {fir}", "0") == -22
    assert client.value(f"READ {RX} INPUT voltage0 sampling_frequency") == "1000000"


def test_pushed_samples_come_back_from_their_first_tick(client: Client) -> None:
    opened(client)
    codes = ramp(100)
    assert push(client, codes) == 800
    np.testing.assert_array_equal(client.samples(1200), np.vstack([codes >> 4, np.zeros((50, 4))]))
    assert client.ask(f"CLOSE {RX}") == 0
    assert client.ask(f"CLOSE {RX}") == -6


def test_the_lower_four_bits_are_ignored(client: Client) -> None:
    opened(client)
    push(client, np.full((4, 4), 0x7FFF))
    assert (client.samples(32) == 2047).all()


def test_some_channels_alone_can_be_streamed(client: Client) -> None:
    assert client.ask(f"OPEN {TX} 4 0000000c") == 0
    data = np.array([[16, 32]] * 4, "<i2").tobytes()
    assert client.ask(f"WRITEBUF {TX} 16", data) == 0
    assert int(client.file.readline()) == 16
    assert client.ask(f"OPEN {RX} 4 00000005") == 0
    client.socket.sendall(f"READBUF {RX} 16\r\n".encode())
    assert client.file.readline() == b"16\n"
    assert client.file.readline() == b"00000005\n"
    assert np.frombuffer(client.file.read(16), "<i2").tolist() == [0, 1] * 4


def test_a_cyclic_buffer_is_repeated(client: Client) -> None:
    assert client.ask(f"OPEN {TX} 7 0000000f CYCLIC") == 0
    assert client.ask(f"OPEN {RX} 100 0000000f") == 0
    codes = ramp(7)
    push(client, codes)
    for k in range(3):
        expected = np.take(codes >> 4, np.arange(10 * k, 10 * k + 10) % 7, axis=0)
        np.testing.assert_array_equal(client.samples(80), expected)


def test_a_buffer_of_half_a_sample_is_refused(client: Client) -> None:
    opened(client)
    assert client.ask(f"WRITEBUF {TX} 12", bytes(12)) == 0
    assert int(client.file.readline()) == -22
    assert client.ask(f"WRITEBUF {TX} 999999999") == -22


def test_a_full_queue_ends_the_wait(client: Client) -> None:
    opened(client, 10)
    assert client.ask("TIMEOUT 20") == 0
    assert [push(client, ramp(10)) for _ in range(5)] == [80] * 4 + [-110]
    client.samples(80)
    assert push(client, ramp(10)) == 80


def test_where_nobody_receives_sending_makes_time_pass(client: Client) -> None:
    assert client.ask(f"OPEN {TX} 10 0000000f") == 0
    assert [push(client, ramp(10)) for _ in range(20)] == [80] * 20
