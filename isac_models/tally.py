"""The error counts of a run of the link, mergeable across chunks and processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isac_models.constellation import Constellation
from isac_models.detection import Detection
from isac_models.propagation import Target
from isac_models.scenario import Scenario
from isac_models.statistics import RateCounter, SquaredErrorCounter

STOPPING = ("ser", "p_md", "rmse_rad")
"""The rates whose intervals a stopping rule looks at."""


@dataclass
class Tally:
    """Symbol, bit, missed-detection and false-alarm counts, and the angle errors given detection."""

    ser: RateCounter
    ber: RateCounter
    p_md: RateCounter
    p_fa: RateCounter
    rmse_rad: SquaredErrorCounter

    @classmethod
    def empty(cls, scenario: Scenario) -> Tally:
        """Nothing counted yet. Intervals count blocks of `coherence` snapshots, a symbol's bits as one."""
        block = scenario.coherence
        bits = block * Constellation(scenario.order).bits
        return cls(
            RateCounter(coherence=block),
            RateCounter(coherence=bits),
            RateCounter(coherence=block),
            RateCounter(coherence=block),
            SquaredErrorCounter(coherence=block),
        )

    @property
    def snapshots(self) -> int:
        """Snapshots counted."""
        return self.ser.trials

    def add_communication(
        self, constellation: Constellation, message: NDArray[Any], decided: NDArray[Any]
    ) -> None:
        """Count symbol and bit errors of messages (n,) against decisions (n,)."""
        self.ser.add(int(np.count_nonzero(decided != message)), message.size)
        self.ber.add(constellation.bit_errors(message, decided), message.size * constellation.bits)

    def add_sensing(self, target: Target, detection: Detection) -> None:
        """Count missed targets and false alarms, and take in the angle errors of the targets found."""
        hit = target.present & detection.detected
        targets, hits = int(np.count_nonzero(target.present)), int(np.count_nonzero(hit))
        self.p_md.add(targets - hits, targets)
        self.p_fa.add(int(np.count_nonzero(detection.detected)) - hits, hit.size - targets)
        self.rmse_rad.add(detection.angle[hit] - target.angle[hit])

    def merge(self, other: Tally) -> Tally:
        """The counts of two separate runs together."""
        return Tally(
            self.ser.merge(other.ser),
            self.ber.merge(other.ber),
            self.p_md.merge(other.p_md),
            self.p_fa.merge(other.p_fa),
            self.rmse_rad.merge(other.rmse_rad),
        )

    def rates(self) -> dict[str, float]:
        """Every rate and the RMSE with the ends of their 95 % intervals; NaN where nothing was counted."""
        values = {}
        for key, counter in self._counters().items():
            values[key] = counter.rmse if isinstance(counter, SquaredErrorCounter) else counter.rate
            values[f"{key}_low"], values[f"{key}_high"] = counter.interval()
        return values

    def precise(self, share: float) -> bool:
        """Whether the 95 % intervals of SER, P_md and RMSE have half widths below that share of the value."""
        values = self.rates()
        return all(
            (values[f"{key}_high"] - values[f"{key}_low"]) / 2 < share * values[key] for key in STOPPING
        )

    def to_dict(self) -> dict[str, dict[str, float]]:
        """The counts as plain numbers, from which the counters can be made again and merged."""
        return {key: dict(counter.to_dict()) for key, counter in self._counters().items()}

    def _counters(self) -> dict[str, RateCounter | SquaredErrorCounter]:
        return {
            "ser": self.ser,
            "ber": self.ber,
            "p_md": self.p_md,
            "p_fa": self.p_fa,
            "rmse_rad": self.rmse_rad,
        }
