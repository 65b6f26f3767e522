"""The ISAC link through a radio: the channel and the target are somebody else's.

python flowgraphs/isac_hil.py --radio zmq --file picture.png --out received.png

source ─ Encoder ─ Precoder ─ BurstModulator ─ RadioTransmit ┄ sent ┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┐
                                                             ┊                            ┊
RadioReceive ┬ BurstSynchroniser ─ BurstReceiver ┬ BurstReference ─ Demodulator ─ CommunicationMetrics
             │                                   └ FileReceiver ┄ report ┄┄ source (with --file)
             ├ BurstSynchroniser ─ RadarReceiver ─ SceneTruth ─ Detector ─ SensingMetrics
             │                                                    └ SigmfRecorder (with --record-echoes)
             └ SigmfRecorder (with --record)
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

import interrupts  # noqa: F401 - first: Ctrl-C may come while the rest loads
from isac_hil_options import live_line, parse_arguments, run_program

if TYPE_CHECKING:
    from blocks.runtime import Flowgraph


def build(options: argparse.Namespace, bench: Any, design: Any) -> Flowgraph:
    """The graph over an open radio; calibrates first."""
    import blocks
    from blocks.runtime import Flowgraph
    from hil_radio import AT_ONCE, TIMING

    scenario, layout, radio, precoder = options.scenario, bench.layout, bench.radio, design.precoder
    calibration = bench.calibration()
    equaliser = None if calibration is None else calibration.equaliser
    array, channels = scenario.antennas, radio.capabilities.rx_channels

    source = bench.source()
    modulator = blocks.BurstModulator(scenario, layout, precoder.beam, equaliser)
    transmit = blocks.RadioTransmit(radio, layout)
    receive = blocks.RadioReceive(radio, layout)
    user = blocks.BurstSynchroniser(layout, channels, (array, array + 1), name="user_synchroniser")
    radar = blocks.BurstSynchroniser(layout, channels, (0, array), name="radar_synchroniser")
    without = options.without
    receiver = blocks.BurstReceiver(
        layout, user.width, scenario.noise_power, "cfo" not in without, "pilots" not in without
    )
    reference = blocks.BurstReference(layout)
    echoes = blocks.RadarReceiver(
        scenario, layout, radar.width, precoder.beam, calibration, "leakage" not in without
    )

    graph = Flowgraph("isac-hil", seed=options.seed, frame=AT_ONCE * layout.slot, window=2)
    graph.connect(source, design.encoder, precoder, modulator, transmit)
    graph.connect(receive, user, receiver, reference, design.demodulator)
    graph.connect(design.demodulator, blocks.CommunicationMetrics(scenario))
    graph.connect(receive, radar, echoes)
    if bench.lab is not None:
        graph.connect(echoes, blocks.SceneTruth(bench.truth), design.detector)
        graph.connect(design.detector, blocks.SensingMetrics(scenario))
    else:
        graph.connect(echoes, design.detector, blocks.DetectionCounter())
    for listener in (receive, reference, echoes):
        graph.message(transmit, "sent", listener)
    for listener in (reference, echoes):
        graph.message(receive, "unsent", listener)
    if options.file:
        sink = blocks.FileReceiver(scenario, layout.payload, options.out, TIMING)
        graph.connect(receiver, sink)
        graph.message(sink, "report", source)
    if options.record:
        graph.connect(receive, bench.recorder())
    if options.record_echoes:
        graph.connect(design.detector, bench.echo_recorder())
    return graph


def main() -> int:
    """Open the radio, build the graph that the options ask for, run it, show what it measured."""
    options = parse_arguments()

    from hil_radio import open_bench
    from hil_results import show_calibration, show_hil
    from isac_models.waveform.burst_format import BurstFormat
    from link_design import build_design

    layout = BurstFormat(options.scenario.antennas, options.scenario.order)
    options.scenario = options.scenario.replace(coherence=layout.payload)
    design = build_design(options)
    with open_bench(options, layout) as bench:
        if options.calibrate:
            return show_calibration(options, bench.calibration())
        graph = build(options, bench, design)
        with live_line(options) as line:
            report = graph.run(on_status=line.update)
        return show_hil(options, report, design, bench)


if __name__ == "__main__":
    sys.exit(run_program(main))
