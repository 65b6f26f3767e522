"""What the layout of a burst costs: estimated against known CSI, and the pulse against OFDM.

    python benchmarks/waveforms.py csi [--bursts 400] [--plot docs/hardware/csi.png]
    python benchmarks/waveforms.py modulations [--bursts 200]

csi: symbol error rate of QPSK with κ known and with κ̂ of each burst's known symbols, beside the closed forms
SER(S) = 2 Q(√S) - Q(√S)² and SER(S / loss), loss from `estimation_loss`.

modulations: EVM behind a delay of any fraction of a sample, 10 ppm of clock, at 20 dB, in the same bandwidth
(1.35 of 2 samples a symbol): the root-raised cosine at two samples a symbol (`BurstFormat`), OFDM of 64
subcarriers of which 43 are used, prefix of 16 samples, two training symbols and one tap a subcarrier, and the
pulse sampled once a symbol at the nearest sample; over one path, and over two of which the second is 10 dB
weaker and 3 samples later. Prints JSON.
"""

from __future__ import annotations

import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from isac_models.constellation import Constellation
from isac_models.impairments import HALF, interpolate
from isac_models.options import Parser, count
from isac_models.waveform import header
from isac_models.waveform.burst_format import BurstFormat
from isac_models.waveform.receiver import BurstReceiver, estimation_loss
from isac_models.waveform.synchronise import Sync, synchronise

Values = np.ndarray[Any, Any]
SNRS = tuple(range(0, 13, 2))
SNR_DB, CLOCK = 20.0, 1e-5
CARRIERS, USED, PREFIX, TRAINING = 64, 43, 16, 2
ECHO_DB, ECHO_DELAY = -10.0, 3.0
ROOM = 64
"""Samples of silence around a burst."""


def quarter_turn_ser(snr: float) -> float:
    """SER of QPSK at the SNR E|κ s|²/N0: Proakis and Salehi, eq. (4.3-15)."""
    q = 0.5 * math.erfc(math.sqrt(snr / 2))
    return 2 * q - q * q


def noise(random: np.random.Generator, n: int) -> Values:
    """CN(0, 1), (n,)."""
    return np.asarray((random.normal(size=n) + 1j * random.normal(size=n)) / math.sqrt(2))


def burst_of(form: BurstFormat, random: np.random.Generator) -> tuple[Values, Values]:
    """Messages (N,), and the samples of a burst on one antenna with silence around it."""
    sent = random.integers(form.order, size=form.payload).astype(np.uint8)
    x = form.assemble(Constellation(form.order).encode(sent), header.encode(1, 0), np.ones(1))
    return sent, np.pad(form.modulate(x)[0], (ROOM, ROOM)).astype(np.complex128)


def csi(bursts: int) -> list[dict[str, float]]:
    """SER over SNR with κ known and estimated, on the same noise, and the closed forms."""
    form, random = BurstFormat(antennas=1), np.random.default_rng(1)
    points, receiver = Constellation(form.order), BurstReceiver(form)
    sync = Sync(ROOM + form.pulse.delay, 0.0, 0.0, True)
    loss = estimation_loss(form)
    found = []
    for snr_db in SNRS:
        snr = 10 ** (snr_db / 10)
        wrong = np.zeros(2)
        for _ in range(bursts):
            sent, clean = burst_of(form, random)
            kappa = math.sqrt(snr) * np.exp(2j * np.pi * random.random())
            y = (kappa * clean + noise(random, clean.size)).astype(np.complex64)
            burst = receiver.receive(y, sync, noise=1.0)
            known = np.full(form.payload, kappa, np.complex64)
            for way, csi_of in enumerate((known, burst.csi)):
                wrong[way] += np.count_nonzero(points.decide(burst.payload, csi_of) != sent)
        known_ser, estimated_ser = wrong / (bursts * form.payload)
        found.append(
            {
                "snr_db": snr_db,
                "known": known_ser,
                "estimated": estimated_ser,
                "known_theory": quarter_turn_ser(snr),
                "estimated_theory": float(np.mean([quarter_turn_ser(snr / one) for one in loss])),
            }
        )
    return found


def plot(points: list[dict[str, float]], file: Path) -> None:
    """SER over SNR: measured as marks, closed forms as lines."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    snrs = [one["snr_db"] for one in points]
    ways = (("known", "o", "-", "κ known"), ("estimated", "x", "--", "κ̂ estimated"))
    for colour, (key, mark, line, label) in enumerate(ways):
        theory = [one[f"{key}_theory"] for one in points]
        axes.semilogy(snrs, [one[key] for one in points], mark, color=f"C{colour}", label=label)
        axes.semilogy(snrs, theory, line, color=f"C{colour}", label=f"{label}, closed form")
    axes.set_xlabel("SNR |κ|²/N0 (dB)")
    axes.set_ylabel("symbol error rate, QPSK")
    axes.set_ylim(1e-5, 1)
    axes.grid(alpha=0.3)
    axes.legend()
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=120)


def through(clean: Values, delay: float, paths: int) -> Values:
    """Samples (n,) as a receiver takes them, whose clock is CLOCK fast, over one path or two."""
    times = np.arange(clean.size) * (1 + CLOCK) - delay
    padded = np.pad(clean, (2 * HALF, 2 * HALF))
    received = interpolate(padded, -2 * HALF, times)
    if paths == 2:
        received = received + 10 ** (ECHO_DB / 20) * 1j * interpolate(padded, -2 * HALF, times - ECHO_DELAY)
    return received


def pulse(random: np.random.Generator, delay: float, paths: int) -> tuple[float, float, float]:
    """EVM² at two samples a symbol, at the nearest sample, and seconds of the receiver once in step."""
    form = BurstFormat(antennas=1)
    sent, clean = burst_of(form, random)
    symbols = Constellation(form.order).points[sent]
    scale = 10 ** (SNR_DB / 20)
    y = (scale * through(clean, delay, paths) + noise(random, clean.size)).astype(np.complex64)
    receiver = BurstReceiver(form)
    sync = synchronise(y[None], form)
    began = time.perf_counter()
    burst = receiver.receive(y, sync, noise=1.0)
    seconds = time.perf_counter() - began
    found = float(np.mean(np.abs(burst.payload / burst.csi - symbols) ** 2))
    nearest = receiver.receive(y, Sync(round(sync.start), sync.cfo, 0.0, True), noise=1.0)
    return found, float(np.mean(np.abs(nearest.payload / nearest.csi - symbols) ** 2)), seconds


def ofdm(random: np.random.Generator, delay: float, paths: int) -> tuple[float, float]:
    """EVM² of 8 symbols behind two of training, and seconds of the receiver, which knows where they begin."""
    places = np.r_[-(USED // 2) : USED // 2 + 1]
    points = Constellation(4).points
    blocks = points[random.integers(4, size=(TRAINING + 8, USED))]
    spectrum = np.zeros((len(blocks), CARRIERS), complex)
    spectrum[:, places] = blocks
    # Unit mean power a used subcarrier, as a symbol of the pulse has unit energy.
    waves = np.fft.ifft(spectrum, axis=1) * math.sqrt(CARRIERS)
    clean = np.pad(np.concatenate([waves[:, -PREFIX:], waves], axis=1).reshape(-1), (ROOM, ROOM))
    y = 10 ** (SNR_DB / 20) * through(clean, delay, paths) + noise(random, clean.size)
    began = time.perf_counter()
    first = ROOM + PREFIX // 4  # the prefix has room for delays to either side
    cut = y[first : first + len(blocks) * (CARRIERS + PREFIX)].reshape(len(blocks), -1)[:, :CARRIERS]
    received = np.fft.fft(cut, axis=1)[:, places] / math.sqrt(CARRIERS)
    raw = np.mean(received[:TRAINING] / blocks[:TRAINING], axis=0)
    late = 3 * PREFIX // 8 + np.arange(PREFIX)  # a response as long as the prefix, in its middle
    taps = np.exp(-2j * np.pi * np.outer(places, late) / CARRIERS)
    smooth = taps @ np.linalg.lstsq(taps, raw, rcond=1e-3)[0]
    equalised = received[TRAINING:] / smooth
    seconds = time.perf_counter() - began
    return float(np.mean(np.abs(equalised - blocks[TRAINING:]) ** 2)), seconds


def modulations(bursts: int) -> list[dict[str, Any]]:
    """EVM in dB and microseconds a payload symbol, over one path and over two."""
    found = []
    for paths in (1, 2):
        random = np.random.default_rng(paths)
        delays = random.uniform(0, 3, bursts)
        single = np.array([pulse(random, delay, paths) for delay in delays])
        many = np.array([ofdm(random, delay, paths) for delay in delays])
        level = [10 * np.log10(np.mean(values)) for values in (single[:, 0], single[:, 1], many[:, 0])]
        payload = BurstFormat(antennas=1).payload
        found.append(
            {
                "paths": paths,
                "pulse_two_samples_evm_db": float(level[0]),
                "pulse_nearest_sample_evm_db": float(level[1]),
                "ofdm_evm_db": float(level[2]),
                "pulse_us_per_symbol": float(np.median(single[:, 2]) / payload * 1e6),
                "ofdm_us_per_symbol": float(np.median(many[:, 1]) / (8 * USED) * 1e6),
            }
        )
    return found


def main() -> None:
    """Measure one of the two and print it."""
    parser = Parser(prog="waveforms.py", description="What the layout of a burst costs.")
    parser.add_argument("what", choices=("csi", "modulations"))
    parser.add_argument("--bursts", type=count, default=200)
    parser.add_argument("--plot", metavar="FILE.png", type=Path, help="of csi")
    options = parser.parse_args()
    found: Any = csi(options.bursts) if options.what == "csi" else modulations(options.bursts)
    if options.plot is not None and options.what == "csi":
        plot(found, options.plot)
    json.dump(found, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
