"""The ISAC link through a radio: the channel and the target are somebody else's.

python flowgraphs/isac_hil.py --radio zmq --file picture.png --out received.png

source ─ Encoder ─ Precoder ─ BurstModulator ─ RadioTransmit ┄ sent ┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┐
                                                             ┊                            ┊
RadioReceive ┬ BurstSynchroniser ─ BurstReceiver ┬ BurstReference ─ Demodulator ─ CommunicationMetrics
             │                                   └ FileReceiver ┄ report ┄┄ source
             └ BurstSynchroniser ─ RadarReceiver ─ SceneTruth ─ Detector ─ SensingMetrics
"""

import sys

import interrupts  # noqa: F401 - first: Ctrl-C may come while the rest loads
from isac_hil_options import live_line, parse_arguments, run_program


def main() -> int:
    """Open the radio, calibrate, build the graph that the options ask for, run it, show what it measured."""
    options = parse_arguments()

    import blocks  # only now: --help and a mistyped option answer at once
    from blocks.runtime import Flowgraph
    from hil_radio import AT_ONCE, TIMING, open_bench
    from hil_results import show_hil
    from isac_models.waveform.burst_format import BurstFormat
    from link_design import build_design

    layout = BurstFormat(options.scenario.antennas, options.scenario.order)
    scenario = options.scenario = options.scenario.replace(coherence=layout.payload)
    design = build_design(options)
    precoder, without = design.precoder, options.without
    with open_bench(options, layout) as bench:
        calibration = bench.calibration()
        equaliser = None if calibration is None else calibration.equaliser
        K, radio = scenario.antennas, bench.radio
        channels = radio.capabilities.rx_channels

        source = bench.source()
        modulator = blocks.BurstModulator(scenario, layout, precoder.beam, equaliser)
        transmit = blocks.RadioTransmit(radio, layout)
        receive = blocks.RadioReceive(radio, layout)
        user = blocks.BurstSynchroniser(layout, channels, (K, K + 1), name="user_synchroniser")
        radar = blocks.BurstSynchroniser(layout, channels, (0, K), name="radar_synchroniser")
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
        graph.connect(receive, radar, echoes, blocks.SceneTruth(bench.truth), design.detector)
        graph.connect(design.detector, blocks.SensingMetrics(scenario))
        for listener in (receive, reference, echoes):
            graph.message(transmit, "sent", listener)
        if options.file:
            sink = blocks.FileReceiver(scenario, layout.payload, options.out, TIMING)
            graph.connect(receiver, sink)
            graph.message(sink, "report", source)
        if options.record:
            bench.record(graph, receive)

        with live_line(options) as line:
            report = graph.run(on_status=line.update)
        return show_hil(options, report, design, bench)


if __name__ == "__main__":
    sys.exit(run_program(main))
