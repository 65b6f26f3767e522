"""The receive half of the link over a radio: the same for samples that come and for recorded ones."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import blocks
from blocks.runtime import Block, Flowgraph
from isac_models.scenario import Scenario
from isac_models.waveform.burst_format import BurstFormat
from isac_models.waveform.calibration_vectors import Calibration

AT_ONCE = 4
"""Bursts of a frame."""


@dataclass(frozen=True)
class Reception:
    """What the receivers are made of; `without` of CORRECTIONS are left out.

    truth: presence and angle (rad) of the target at a transmit tick, None where nobody knows.
    """

    scenario: Scenario
    layout: BurstFormat
    calibration: Calibration | None
    without: Collection[str]
    demodulator: Any
    detector: Any
    truth: Callable[[int], tuple[bool, float]] | None

    def connect(self, graph: Flowgraph, samples: Block, sender: Block) -> Block:
        """Both receivers behind the block that gives `samples`; `sender` tells what was sent.

        Returns the block that has the payload of every burst.
        """
        scenario, layout, without = self.scenario, self.layout, self.without
        array = scenario.antennas
        channels = array + 1
        user = blocks.BurstSynchroniser(layout, channels, (array, channels), name="user_synchroniser")
        radar = blocks.BurstSynchroniser(layout, channels, (0, array), name="radar_synchroniser")
        receiver = blocks.BurstReceiver(
            layout, user.width, scenario.noise_power, "cfo" not in without, "pilots" not in without
        )
        reference = blocks.BurstReference(layout)
        echoes = blocks.RadarReceiver(
            scenario, layout, radar.width, self.calibration, "leakage" not in without
        )
        graph.connect(samples, user, receiver, reference, self.demodulator)
        graph.connect(self.demodulator, blocks.CommunicationMetrics(scenario))
        graph.connect(samples, radar, echoes)
        if self.truth is not None:
            graph.connect(echoes, blocks.SceneTruth(self.truth), self.detector)
            graph.connect(self.detector, blocks.SensingMetrics(scenario))
        else:
            graph.connect(echoes, self.detector, blocks.DetectionCounter())
        for listener in (reference, echoes):
            graph.message(sender, "sent", listener)
            if "unsent" in samples.publishes:
                graph.message(samples, "unsent", listener)
        return receiver
