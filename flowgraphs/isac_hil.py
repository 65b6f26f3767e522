"""The ISAC link through a radio: the channel and the target are somebody else's.

python flowgraphs/isac_hil.py --radio zmq --file picture.png --out received.png

source ─ Encoder ─ Precoder ─ BurstModulator ─ RadioTransmit ┄ sent ┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┐
                                                             ┊                            ┊
RadioReceive ┬ BurstSynchroniser ─ BurstReceiver ┬ BurstReference ─ Demodulator ─ CommunicationMetrics
             │                                   └ FileReceiver ┄ report ┄┄ source (with --file)
             ├ BurstSynchroniser ─ RadarReceiver ─ SceneTruth ─ Detector ─ SensingMetrics
             │                                                    └ SigmfRecorder (with --record)
             └ SigmfRecorder (with --record-samples)

The receivers stand in hil_receive.py: isac_replay.py has them behind a recording.
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
    from hil_radio import TIMING
    from hil_receive import AT_ONCE, Reception
    from hil_recording import BurstNotes, echo_recorder, sample_recorder

    scenario, layout, radio, precoder = options.scenario, bench.layout, bench.radio, design.precoder
    calibration = bench.calibration()
    equaliser = None if calibration is None else calibration.equaliser

    source = bench.source()
    modulator = blocks.BurstModulator(scenario, layout, precoder.beam, equaliser)
    transmit = blocks.RadioTransmit(radio, layout)
    receive = blocks.RadioReceive(radio, layout, about=BurstNotes(bench) if options.record_samples else None)
    reception = Reception(
        scenario,
        layout,
        calibration,
        options.without,
        design.demodulator,
        design.detector,
        None if bench.lab is None else bench.truth,
    )

    graph = Flowgraph("isac-hil", seed=options.seed, frame=AT_ONCE * layout.slot, window=2)
    graph.connect(source, design.encoder, precoder, modulator, transmit)
    graph.message(transmit, "sent", receive)
    receiver = reception.connect(graph, receive, transmit)
    if options.file:
        sink = blocks.FileReceiver(scenario, layout.payload, options.out, TIMING)
        graph.connect(receiver, sink)
        graph.message(sink, "report", source)
    if options.record:
        graph.connect(design.detector, echo_recorder(bench))
    if options.record_samples:
        graph.connect(receive, sample_recorder(bench, design, calibration))
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
