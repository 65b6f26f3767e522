"""What GNU Radio has of a receive chain, as one GNU Radio flowgraph; for its own interpreter. Frozen.

For each of the channels: carrier offset removed (rotator), fractional delay (MMSE resampler), root-raised
cosine with decimation by 2 (FIR filter); for each of two receivers the preamble by correlation (corr_est_cc
on one channel). Samples come from files in the page cache, symbols go to null sinks. GNU Radio's scheduler
runs a thread a block and takes as many cores as there are.

    /usr/bin/python3 radio_gnuradio.py FOLDER

Prints one JSON object.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from gnuradio import blocks, digital, filter, gr


def zadoff_chu(length: int, root: int) -> Any:
    """exp(-jπ u n (n + L mod 2) / L)."""
    n = np.arange(length)
    return np.exp(-1j * np.pi * root * n * (n + length % 2) / length)


def main() -> None:
    """Run the whole recording through once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    samples = np.load(options.folder / "samples.npy")
    n, channels = samples.shape
    taps = filter.firdes.root_raised_cosine(1.0, 2.0, 1.0, 0.35, 41)
    preamble = np.concatenate([np.tile(zadoff_chu(16, 1), 8), zadoff_chu(63, 25)])
    up = np.zeros(2 * preamble.size, complex)
    up[::2] = preamble
    wave = np.convolve(up, taps)[20 : 20 + up.size]
    with tempfile.TemporaryDirectory() as folder:
        graph = gr.top_block()
        sinks = []
        for c in range(channels):
            path = f"{folder}/{c}"
            np.ascontiguousarray(samples[:, c]).tofile(path)
            source = blocks.file_source(gr.sizeof_gr_complex, path)
            rotator = blocks.rotator_cc(2 * np.pi * 9e-4)
            delay = filter.mmse_resampler_cc(0.4, 1.0)
            matched = filter.fir_filter_ccf(2, taps)
            sink = blocks.null_sink(gr.sizeof_gr_complex)
            graph.connect(source, rotator, delay, matched, sink)
            sinks.append(matched)
            if c in (0, channels - 1):
                found = digital.corr_est_cc(wave, 2, 0, 0.9)
                graph.connect(rotator, found, blocks.null_sink(gr.sizeof_gr_complex))
        begin = time.perf_counter()
        graph.run()
        seconds = time.perf_counter() - begin
        out = [int(block.nitems_written(0)) for block in sinks]
    print(
        json.dumps(
            {
                "seconds": seconds,
                "samples_per_second": n / seconds,
                "symbols": out[0],
                "complete": all(abs(count - n // 2) < 100 for count in out),
                "version": gr.version(),
            }
        )
    )


if __name__ == "__main__":
    main()
