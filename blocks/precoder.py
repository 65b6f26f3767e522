"""The transmit beam."""

from __future__ import annotations

import numpy as np

from blocks.runtime import Block, Signal
from isac_models.array import hardware
from isac_models.beamforming import baseline_beam
from isac_models.propagation import precode
from isac_models.scenario import Scenario


class Precoder(Block):
    """x = v s with the baseline ISAC beam v of eq. (3)-(5): ρ to sensing, 1 - ρ to communication.

    v is designed for the nominal array, as the baseline does not know the hardware's errors, and with
    `known_array` for the true one.

    consumes: symbol (n,) complex64
    produces: transmitted (n, antennas) complex64

    Raises UserError for ρ outside [0, 1] and for beams that cancel.
    """

    consumes = {"symbol": Signal()}
    produces = {"transmitted": Signal("antennas")}
    replicable = True

    def __init__(
        self,
        scenario: Scenario,
        rho: float = 0.5,
        phi: float = 0.0,
        known_array: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.scenario = scenario
        self.parameters = {"rho": float(rho), "phi": float(phi), "known_array": known_array}
        self.beam = baseline_beam(scenario, rho, phi, hardware(scenario).transmit if known_array else None)
        self._row = self.beam.astype(np.complex64)

    def work(self, symbol: np.ndarray) -> dict[str, np.ndarray]:
        """x (n, antennas) for every symbol."""
        return {"transmitted": precode(symbol, self._row)}
