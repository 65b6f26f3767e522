"""A flowgraph of GNU Radio as the channel of a ZeroMQ radio, run by the interpreter that has GNU Radio.

    gnu_radio_channel.py DELAY GAIN REPLY_ADDRESS… -- TRANSMIT_ADDRESS…

For each channel: zeromq.req_source → delay → multiply_const → zeromq.rep_sink. A line tells where the sinks
are bound; the end of standard input ends it. It imports nothing of this project.
"""

import sys
from importlib import import_module


def main() -> None:
    """Run until the standard input ends."""
    gr, blocks, zeromq = (import_module(f"gnuradio.{name}") for name in ("gr", "blocks", "zeromq"))

    split = sys.argv.index("--")
    delay, gain = int(sys.argv[1]), float(sys.argv[2])
    flowgraph = gr.top_block()
    sinks = []
    for bound, source in zip(sys.argv[3:split], sys.argv[split + 1 :], strict=True):
        size = gr.sizeof_gr_complex
        sinks.append(zeromq.rep_sink(size, 1, bound, 10))
        flowgraph.connect(
            zeromq.req_source(size, 1, source, 10),
            blocks.delay(size, delay),
            blocks.multiply_const_cc(gain),
            sinks[-1],
        )
    flowgraph.start()
    print(*(sink.last_endpoint() for sink in sinks), flush=True)
    sys.stdin.read()
    flowgraph.stop()
    flowgraph.wait()


if __name__ == "__main__":
    main()
