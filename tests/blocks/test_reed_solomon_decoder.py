"""The decoder of files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from blocks import ReedSolomonDecoder, ReedSolomonEncoder
from isac_models.errors import UserError
from tests.blocks.bursts import PAYLOAD, SCENARIO, received


@pytest.mark.parametrize(("parity", "whole"), [(16, True), (0, False)])
def test_a_file_arrives_through_outages_with_the_code_and_not_without(
    tmp_path: Path, parity: int, whole: bool
) -> None:
    rng = np.random.default_rng(1)
    content = rng.bytes(20_000)
    (tmp_path / "in").write_bytes(content)
    (tmp_path / "out").write_bytes(b"before")
    encoder = ReedSolomonEncoder(SCENARIO, str(tmp_path / "in"), PAYLOAD, 40, parity)
    decoder = ReedSolomonDecoder(SCENARIO, PAYLOAD, str(tmp_path / "out"))
    decoder.start()
    while (out := encoder.work(7 * PAYLOAD)) is not None:
        lost = (
            rng.exponential(size=len(out["message"]) // PAYLOAD) < 0.1
        )  # Rayleigh, 10 dB above the threshold
        decoder.work(**received(out["message"], lost, rng))
        encoder.position += len(out["message"])
    decoder.finish()
    result = decoder.result()
    assert result["intact"] is whole
    assert (tmp_path / "out").read_bytes() == (content if whole else b"before")
    assert (result["file_name"], result["payload_bytes"]) == ("in", 20_000)
    assert (result["bursts_missing"] == 0) is whole
    assert result["lost"] > 0


def test_noise_is_no_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    decoder = ReedSolomonDecoder(SCENARIO, PAYLOAD, str(tmp_path / "out"))
    decoder.work(**received(np.zeros(20 * PAYLOAD, np.uint8), np.ones(20, bool), rng))
    decoder.finish()
    assert decoder.result()["intact"] is False
    assert decoder.result()["lost"] == 20
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="directory"):
        ReedSolomonDecoder(SCENARIO, PAYLOAD, str(tmp_path))
