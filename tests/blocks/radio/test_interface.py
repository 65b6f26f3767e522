"""The checks that radios share."""

from __future__ import annotations

import numpy as np
import pytest

from blocks.radio.interface import (
    Capabilities,
    Event,
    EventKind,
    Flag,
    RadioError,
    RadioTimeout,
    check_channel,
    check_samples,
)
from isac_models.errors import UserError

CAPABILITIES = Capabilities(
    timestamps=True, events=frozenset(), tx_channels=2, rx_channels=3, phase_coherent=True
)


def test_samples_up_to_full_scale_pass() -> None:
    check_samples(np.array([[1 + 1j, -1 - 1j], [0, 1j]], np.complex64), 2)
    check_samples(np.ones((2, 6), np.complex64)[:, ::2], 2)


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        ([[1, 2]], "must be complex64, not list"),
        (np.ones((2, 4), np.complex128), "must be complex64, not complex128"),
        (np.ones((3, 4), np.complex64), r"\(2, n\).*not \(3, 4\)"),
        (np.ones(4, np.complex64), r"not \(4,\)"),
        (np.ones((2, 0), np.complex64), r"not \(2, 0\)"),
        (np.full((2, 4), 1.5, np.complex64), "1.5 is over full scale"),
        (np.full((2, 4), -1.5j, np.complex64), "1.5 is over full scale"),
        (np.full((2, 4), np.nan, np.complex64), "NaN or infinite"),
        (np.full((2, 4), np.inf, np.complex64), "NaN or infinite"),
    ],
)
def test_other_samples_are_refused(samples: np.ndarray, words: str) -> None:
    with pytest.raises(RadioError, match=words) as caught:
        check_samples(samples, 2)
    assert "\n" not in str(caught.value)


def test_channels_are_counted_from_zero() -> None:
    for channel in range(3):
        check_channel(CAPABILITIES, "rx", channel)
    for channel in (-1, 2):
        with pytest.raises(RadioError, match=f"no tx channel {channel}: this radio has 2"):
            check_channel(CAPABILITIES, "tx", channel)
    with pytest.raises(RadioError, match="tx or rx"):
        check_channel(CAPABILITIES, "up", 0)  # type: ignore[arg-type]


def test_errors_of_radios_are_the_users() -> None:
    assert issubclass(RadioTimeout, RadioError)
    assert issubclass(RadioError, UserError)
    assert Event(EventKind.LATE).time is None
    assert not Flag.NONE
