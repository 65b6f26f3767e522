"""The ISAC link: messages cross a channel while their echo finds a target.

python flowgraphs/isac_link.py --file picture.png --out received.png --plot link.png

                               ┌ MisoChannel ── Demodulator ┬ CommunicationMetrics
MessageSource ─ Encoder ─ Precoder                          └ MessageSink (with --file)
                               └ TargetReflector ┬ Detector ── SensingMetrics
                                                 └ FrameRecorder or SigmfRecorder (with --record)

With --compare, three of them side by side: isac_compare.py.
"""

import sys

import interrupts  # noqa: F401 - first: Ctrl-C may come while the rest loads
from isac_link_options import live_line, parse_arguments, replicate, run_program


def main() -> int:
    """Build the graph that the options ask for, run it, show what it measured."""
    options = parse_arguments()
    if options.compare:
        from isac_compare import compare

        return compare(options)

    import blocks  # only now: --help and a mistyped option answer at once
    from blocks.runtime import Flowgraph
    from link_design import build_design
    from link_recording import connect_recorder
    from link_results import show_link

    scenario = options.scenario
    source = blocks.MessageSource(scenario, *options.sent)
    design = build_design(options)
    precoder, detector, demodulator = design.precoder, design.detector, design.demodulator
    channel = blocks.MisoChannel(scenario)
    reflector = blocks.TargetReflector(scenario)

    graph = Flowgraph("isac-link", seed=options.seed, frame=options.frame)
    graph.connect(source, design.encoder, precoder)
    graph.connect(precoder, channel, demodulator, blocks.CommunicationMetrics(scenario))
    graph.connect(precoder, reflector, detector, blocks.SensingMetrics(scenario))
    if options.file:
        preview = options.plot is not None
        graph.connect(demodulator, blocks.MessageSink(scenario, options.out, preview))
    if options.record:
        connect_recorder(graph, options, reflector, detector)
    if options.plot:
        graph.connect(channel, blocks.ConstellationProbe())
        graph.connect(detector, blocks.DetectionMap(scenario))
    replicate(graph, options.replicas)

    with live_line(options) as line:
        report = graph.run(options.transport, nodes=options.nodes, node=options.node, on_status=line.update)
    return show_link(options, report, design)


if __name__ == "__main__":
    sys.exit(run_program(main))
