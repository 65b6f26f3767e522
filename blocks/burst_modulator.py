"""From snapshots to bursts of samples."""

from __future__ import annotations

import numpy as np

from blocks.runtime import Block, Count, Field, Signal, Symbols
from isac_models.scenario import Scenario
from isac_models.waveform import header, preload
from isac_models.waveform.burst_format import REFERENCE_POWER, BurstFormat

NUMBERS = 1 << 24


class BurstModulator(Block):
    """Puts N snapshots into a burst: preamble, orthogonal pilots, header, payload, shaped by the pulse.

    `beam` v (K,) carries preamble, header and phase pilots, the payload is `transmitted` as it comes.
    `equaliser` (K,) multiplies what leaves on each channel (see `Calibration`). What is left of the stream
    at its end is filled up with the first message.

    consumes: transmitted (n, antennas) complex64, symbol (n,) complex64, message (n,) uint8
    produces, a burst on the first axis: samples (b, antennas, L) complex64 with |·| ≤ 1, number (b,) int64
    (24 bits), payload_message (b, N) uint8, payload_symbol (b, N) complex64
    """

    consumes = {"transmitted": Signal("antennas"), "symbol": Signal(), "message": Symbols()}
    produces = {
        "samples": Signal("antennas", "burst_samples"),
        "number": Count(),
        "payload_message": Field("uint8", ("payload",)),
        "payload_symbol": Signal("payload"),
    }
    reframes = True

    def __init__(
        self,
        scenario: Scenario,
        layout: BurstFormat,
        beam: np.ndarray,
        equaliser: np.ndarray | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        preload()
        self.scenario, self.format = scenario, layout
        self.dimensions = {"burst_samples": layout.samples, "payload": layout.payload}
        self._beam = np.asarray(beam, np.complex128)
        scale = np.sqrt(REFERENCE_POWER * layout.samples_per_symbol / scenario.transmit_energy)
        weights = np.ones(scenario.antennas) if equaliser is None else np.asarray(equaliser)
        self._weights = (scale * weights).astype(np.complex64)[:, None]
        # The orthogonal pilots have unit energy, as the payload has E_tx.
        self._pilots = layout.orthogonal * np.sqrt(scenario.transmit_energy)

    def start(self) -> None:
        """Begin with burst 0."""
        self._number = 0
        self._rest: dict[str, np.ndarray] = {}

    def work(self, transmitted: np.ndarray, symbol: np.ndarray, message: np.ndarray) -> dict[str, np.ndarray]:
        """The bursts that are full now."""
        given = {"transmitted": transmitted, "symbol": symbol, "message": message}
        if self._rest:
            given = {key: np.concatenate([self._rest[key], new]) for key, new in given.items()}
        whole = len(given["message"]) // self.format.payload * self.format.payload
        self._rest = {key: values[whole:].copy() for key, values in given.items()}
        return self._bursts({key: values[:whole] for key, values in given.items()})

    def flush(self) -> dict[str, np.ndarray] | None:
        """The last burst, filled up."""
        if not self._rest or not len(self._rest["message"]):
            return None
        fill = self.format.payload - len(self._rest["message"])
        padded = {
            key: np.concatenate([values, np.repeat(values[:1], fill, axis=0)])
            for key, values in self._rest.items()
        }
        self._rest = {}
        return self._bursts(padded)

    def _bursts(self, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        n = self.format.payload
        count = len(given["message"]) // n
        number = (self._number + np.arange(count)) % NUMBERS
        self._number += count
        samples = np.empty((count, self.scenario.antennas, self.format.samples), np.complex64)
        payload = given["transmitted"].reshape(count, n, self.scenario.antennas)
        symbol = given["symbol"].reshape(count, n)
        for b in range(count):
            x = self.format.assemble(symbol[b], header.encode(int(number[b]), 0), self._beam)
            x[:, self.format.payload_at] = payload[b].T
            x[:, self.format.orthogonal_at] = self._pilots
            np.multiply(self.format.modulate(x), self._weights, out=samples[b])
        return {
            "samples": samples,
            "number": number.astype(np.int64),
            "payload_message": given["message"].reshape(count, n),
            "payload_symbol": symbol,
        }
