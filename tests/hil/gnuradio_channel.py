"""A channel made of GNU Radio's own blocks, between transmitter and receivers, over gr-zeromq.

Run by the interpreter that GNU Radio is installed for. It shares no code with the link: 16 REQ sources ask
the link's transmitter for samples; matrices, delays, noise and `channels.channel_model` (carrier and clock
offset) make 16 radar channels (leakage, and an echo from one direction) and one communication channel of
them; 17 REP sinks are asked by the link's receiver.
"""

from __future__ import annotations

import argparse
import signal
import sys

import numpy as np
from gnuradio import analog, blocks, channels, gr, zeromq

NOISE_STD = 1 / 512  # of full scale, as the virtual front end has it


def parse() -> argparse.Namespace:
    """The addresses, and what the channel is like."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tx", nargs="+", required=True, help="addresses that the link's transmitter binds")
    parser.add_argument("--rx", nargs="+", required=True, help="addresses to bind for the link's receiver")
    parser.add_argument("--snr-comm", type=float, default=20.0, help="dB, of one antenna (default: 20)")
    parser.add_argument("--leakage", type=float, default=30.0, help="dB above the noise (default: 30)")
    parser.add_argument("--angle", type=float, default=-30.0, help="of the target in degrees (default: -30)")
    parser.add_argument("--user", type=float, default=40.0, help="of the receiver in degrees (default: 40)")
    parser.add_argument("--cfo", type=float, default=1e-3, help="cycles per sample (default: 1e-3)")
    parser.add_argument("--ppm", type=float, default=5.0, help="offset of the receiver's clock (default: 5)")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def steering(antennas: int, degrees: float) -> np.ndarray:
    """a(θ) of the half-wavelength array, (K,)."""
    place = (np.arange(antennas) - (antennas - 1) / 2) / 2
    return np.asarray(np.exp(-2j * np.pi * place * np.sin(np.radians(degrees))))


def build(options: argparse.Namespace) -> gr.top_block:
    """The flowgraph."""
    top = gr.top_block("channel")
    antennas = len(options.tx)
    random = np.random.default_rng(options.seed)
    item = gr.sizeof_gr_complex
    sources = [zeromq.req_source(item, 1, address, 100, False, -1) for address in options.tx]
    # Full scale to noise power 1 a sample and back: -12 dBFS is a symbol of unit energy at two samples.
    scale = NOISE_STD / np.sqrt(10**-1.2 * 2)

    def noise(number: int) -> analog.noise_source_c:
        return analog.noise_source_c(analog.GR_GAUSSIAN, NOISE_STD, options.seed * 100 + number)

    leak = random.normal(size=(antennas, antennas)) + 1j * random.normal(size=(antennas, antennas))
    leak *= scale * 10 ** (options.leakage / 20) / np.sqrt(2 * antennas)
    a = steering(antennas, options.angle)
    echo = scale * np.outer(a, a)
    matrix = blocks.multiply_matrix_cc(np.vstack([leak, echo]).tolist())
    user = blocks.multiply_matrix_cc(
        [(scale * 10 ** (options.snr_comm / 20) * steering(antennas, options.user)).tolist()]
    )
    for k, source in enumerate(sources):
        top.connect(source, (matrix, k))
        top.connect(source, (user, k))
    for k in range(antennas):
        late, later, total = blocks.delay(item, 7), blocks.delay(item, 10), blocks.add_cc()
        top.connect((matrix, k), late, (total, 0))
        top.connect((matrix, antennas + k), later, (total, 1))
        top.connect(noise(k), (total, 2))
        top.connect(total, zeromq.rep_sink(item, 1, options.rx[k], 100, False, -1))
    model = channels.channel_model(NOISE_STD, options.cfo, 1 + options.ppm * 1e-6, [1.0], options.seed)
    top.connect(
        user, blocks.delay(item, 15), model, zeromq.rep_sink(item, 1, options.rx[antennas], 100, False, -1)
    )
    return top


def main() -> int:
    """Run until told to stop."""
    options = parse()
    if len(options.rx) != len(options.tx) + 1:
        print("error: give one receive address more than transmit addresses", file=sys.stderr)
        return 2
    top = build(options)
    top.start()
    print("ready", flush=True)
    signal.signal(signal.SIGTERM, lambda *_: top.stop())
    sys.stdin.read()  # ends with the parent
    top.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
