"""The full link through a front end that shares no code with it, over every protocol."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import isac_link_options
import isac_replay
from blocks.radio.interface import EventKind
from hil_radio import Bench
from isac_models.waveform.burst_format import BurstFormat
from isac_models.waveform.receiver import estimation_loss
from tests.hil.loop import Outcome, run
from tests.hil.reference import Values, five_sigma, loss, sense, stratified, symbol_errors

pytestmark = pytest.mark.hil
ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "flowgraphs" / "assets" / "hopper.png"
WORST = ("--front-end=--clock-ppm=10", "--front-end=--ue-delay=12.5", "--front-end=--leakage-db=40")
OTHER = ("--front-end=--clock-ppm=-10", "--front-end=--ue-delay=25.5", "--front-end=--echo-after=1.0")
TRANSFERS = [
    ("zmq", 1, WORST),
    ("zmq", 2, OTHER),
    ("zmq", 3, ()),
    ("zmq", 4, ()),
    ("iio", 5, ()),
    ("iio", 6, WORST),
    ("soapy", 7, ()),
    ("soapy", 8, OTHER),
    ("soapy", 9, ()),
    ("soapy", 10, ()),
    ("sim", 11, ()),
    ("sim", 12, ("--front-end=--clock-offset=1e-5", "--front-end=--user-delay=7.5")),
]
MORE = int(os.environ.get("ISAC_HIL_SEEDS", "0"))
"""Further front-end seeds, for `make hil`."""
TRANSFERS += [(("zmq", "soapy", "iio", "sim")[n % 4], 100 + n, ()) for n in range(MORE)]


def need(radio: str) -> None:
    """Skip where the library behind a radio is missing; tests/conftest.py fails it where CI installed it."""
    if radio == "iio":
        try:
            import iio  # noqa: F401
        except (ImportError, OSError, AttributeError) as error:
            pytest.skip(f"libiio is missing: {error}")
    if radio == "soapy":
        from blocks.radio.interface import RadioError
        from blocks.radio.lab import soapy_driver
        from blocks.radio.registry import radio_class
        from blocks.radio.system_packages import system_package

        try:
            soapy_driver()
            radio_class("soapy")
            system_package("SoapySDR", "apt-get install python3-soapysdr")
        except RadioError as error:
            pytest.skip(str(error))


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small picture: a few thousand bytes, some hundred bursts with their parity."""
    path = tmp_path_factory.mktemp("sent") / "small.png"
    Image.open(PICTURE).resize((36, 36)).save(path)
    return path


@pytest.mark.parametrize(("radio", "seed", "options"), TRANSFERS)
def test_a_picture_arrives_identical(
    radio: str, seed: int, options: tuple[str, ...], picture: Path, tmp_path: Path
) -> None:
    need(radio)
    out = tmp_path / "received.png"
    outcome = run(
        *("--radio", radio, "--front-end-seed", str(seed), "--file", str(picture), "--out", str(out)),
        *options,
    )
    assert out.read_bytes() == picture.read_bytes()
    received = outcome.result("file_receiver")
    sent = outcome.result("file_sender")
    assert received["intact"]
    assert sent["file_bits_per_slot"] > 150
    assert outcome.result("radio_receive")["lost_samples"] == 0


def test_through_deep_fades_the_receiver_asks_again_until_the_file_is_whole(tmp_path: Path) -> None:
    need("soapy")
    path, out = tmp_path / "sent", tmp_path / "received"
    path.write_bytes(np.random.default_rng(5).bytes(2000))
    files = ("--file", str(path), "--out", str(out))
    outcome = run("--radio", "soapy", "--snr-comm", "3", "--front-end-seed", "13", *files)
    assert out.read_bytes() == path.read_bytes()
    assert outcome.result("file_sender")["repeats"] > 0
    assert outcome.result("file_receiver")["loss"] > 0.2


def test_the_program_does_it_as_a_user_would(tmp_path: Path) -> None:
    out = tmp_path / "received.png"
    command = [sys.executable, "flowgraphs/isac_hil.py", "--radio", "zmq"]
    files = ["--file", str(PICTURE), "--out", str(out)]
    done = subprocess.run(
        [*command, *files], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert hashlib.sha256(out.read_bytes()).digest() == hashlib.sha256(PICTURE.read_bytes()).digest()
    assert "protocol in the loop; no RF hardware was touched" in done.stdout
    assert "intact" in done.stdout


# Against the link in one process ---------------------------------------------------------------

BURSTS = 2000


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Outcome]:
    """The same front end seen with the baseline and with the learned array.

    At 10 dB more blocks than at 20 dB have symbols near their decision, and the loss shows in them.
    """
    options = ("--radio", "zmq", "--bursts", str(BURSTS), "--rho", "0.7", "--front-end-seed", "3")
    return {name: run(*options, "--snr-comm", "10", "--precoder", name) for name in ("baseline", "learned")}


@pytest.mark.parametrize("name", ["baseline", "learned"])
def test_the_radio_costs_at_most_half_a_decibel(
    outcomes: dict[str, Outcome], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    one = outcomes[name]
    beam, scenario = one.design.precoder.beam, one.scenario
    estimation = float(np.mean(estimation_loss(BurstFormat())))
    targets = one.truth.rows(one.truth.present)

    def missed(decibels: float) -> Values:
        return 1 - sense(scenario, targets, beam, one.design.detector, decibels, seed=7).detected

    def wrong(decibels: float) -> Values:
        return symbol_errors(scenario, one.truth, beam, decibels, estimation)

    assert len(one.wrong) == len(one.sent_at), "both receivers have the same bursts, or rows do not match"
    sensing = loss(1 - one.detected.mean(axis=1)[one.truth.present], missed)
    communication = loss(one.wrong.mean(axis=1), wrong)
    # Chains that happen to radiate more must not hide a loss.
    sensing, communication = ((value + one.radiated, spread) for value, spread in (sensing, communication))
    with capsys.disabled():
        said = (f"{value:.2f} dB ± {spread:.2f} (5σ)" for value, spread in (sensing, communication))
        print("\nloss in P_md {}, in SER {}".format(*said), end=" ")
    for value, spread in (sensing, communication):
        assert -spread - 0.1 < value < 0.5 - spread


@pytest.mark.parametrize("name", ["baseline", "learned"])
def test_false_alarms_are_on_target_and_angles_as_good(outcomes: dict[str, Outcome], name: str) -> None:
    one = outcomes[name]
    absent = one.detected[~one.truth.present].mean(axis=1)
    mean, spread = five_sigma(absent)
    assert abs(mean - one.scenario.false_alarm) < spread
    reference = sense(one.scenario, one.truth, one.design.precoder.beam, one.design.detector, 0.0, seed=9)
    weight = reference.detected[one.truth.present]
    expected = np.nansum(reference.square_error[one.truth.present] * weight) / weight.sum()
    found = one.detected[one.truth.present]
    error = (one.estimated - one.truth.angle[:, None])[one.truth.present][found]
    assert np.sqrt(np.mean(error**2)) < 1.2 * np.sqrt(expected)


def test_the_learned_array_wins_through_the_radio_too(
    outcomes: dict[str, Outcome], capsys: pytest.CaptureFixture[str]
) -> None:
    # The same coherence blocks: the front end draws them by their place in time.
    both = np.intersect1d(outcomes["baseline"].sent_at, outcomes["learned"].sent_at)
    assert both.size > 0.9 * BURSTS
    found, error = {}, {}
    truth = outcomes["baseline"].truth.rows(np.isin(outcomes["baseline"].sent_at, both))
    present = truth.present
    for name, one in outcomes.items():
        rows = np.isin(one.sent_at, both)
        assert np.array_equal(one.truth.present[rows], present)
        found[name] = one.detected[rows]
        error[name] = (one.estimated - one.truth.angle[:, None])[rows] ** 2
    more = (found["learned"].mean(axis=1) - found["baseline"].mean(axis=1))[present]
    # A block is missed or not by its gain and angle. Post-stratified, what the front end happened to draw of
    # them counts no more: the difference stands some seven standard errors out, else less than five.
    gain, spread = stratified(more, truth.rows(present), outcomes["learned"].scenario)
    agreed = present[:, None] & found["learned"] & found["baseline"]
    some, count = agreed.any(axis=1), agreed.sum(axis=1)
    square = {name: (each * agreed).sum(axis=1)[some] / count[some] for name, each in error.items()}
    # In the mean of squares a few wild angles of weak echoes would decide; every block has its ratio.
    ratio, around = five_sigma(0.5 * np.log(square["learned"] / square["baseline"]))
    rmse = {name: np.sqrt(each[agreed].mean()) for name, each in error.items()}
    with capsys.disabled():
        missed = [1 - found[name][present].mean() for name in ("learned", "baseline")]
        plain = "better by {:.4f} ± {:.4f} (5σ)".format(*five_sigma(more))
        print("\nP_md learned {:.4f}, baseline {:.4f}:".format(*missed), plain, end=", ")
        print(f"post-stratified {gain:.4f} ± {spread:.4f}; RMSE by", end=" ")
        print(f"{rmse['learned'] / rmse['baseline']:.3f}, in a block {np.exp(ratio):.3f}", end=" ")
    assert gain > spread
    assert ratio < -around
    assert rmse["learned"] < 0.95 * rmse["baseline"]


# Recordings --------------------------------------------------------------------------------------


needs_sigmf = pytest.mark.skipif(
    importlib.util.find_spec("sigmf") is None, reason="sigmf is missing: pip install sigmf"
)


Replay = Callable[..., dict[str, Any]]


@pytest.fixture
def replay(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Replay:
    """What isac_replay.py says of a recording."""

    def replayed(path: Path, *arguments: str) -> dict[str, Any]:
        monkeypatch.setattr(sys, "argv", ["isac_replay.py", str(path), "--json", *arguments])
        assert isac_link_options.run_program(isac_replay.main) == 0
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    return replayed


def counted(outcome: Outcome) -> dict[str, Any]:
    """The counters of a run."""
    return {
        **outcome.result("communication_metrics")["counters"],
        **outcome.result("sensing_metrics")["counters"],
    }


def same_counts(again: dict[str, Any], once: dict[str, Any], *rates: str) -> None:
    """A replay has counted what the run counted; sums of squares to rounding."""
    for rate in rates:
        for key, value in once[rate].items():
            assert again["counters"][rate][key] == pytest.approx(value, rel=1e-5), (rate, key)


RATES = ("ser", "ber", "p_md", "p_fa", "rmse_rad")
RECEIVERS = ("user_synchroniser", "radar_synchroniser", "burst_receiver", "burst_reference", "radar_receiver")


def same_reception(again: dict[str, Any], outcome: Outcome) -> None:
    """Every receiver of a replay found and lost what it did in the run."""
    for block in RECEIVERS:
        assert again[block] == pytest.approx(outcome.result(block)), block
    for key in ("samples", "gaps", "lost_samples"):
        assert again["recording"][key] == outcome.result("radio_receive")[key]


@needs_sigmf
def test_a_recording_replays_to_what_the_run_counted_from_echoes_and_from_samples(
    tmp_path: Path, replay: Replay
) -> None:
    import sigmf

    echoes, air = tmp_path / "echoes.sigmf-meta", tmp_path / "air.sigmf-meta"
    outcome = run(
        *("--radio", "sim", "--bursts", "16", "--snr-comm", "8"),
        *("--record", str(echoes), "--record-samples", str(air)),
    )
    assert outcome.rates["ser"] > 0
    recordings = {path: sigmf.fromfile(str(path)) for path in (echoes, air)}
    for recording in recordings.values():
        recording.validate()
        labels = [one["core:label"].split(",")[0] for one in recording.get_annotations()]
        assert labels == ["burst"] * 16
    assert recordings[echoes].read_samples().shape == (16 * 256, 16)
    ticks = [one["isac:tick"] for one in recordings[echoes].get_annotations()]
    assert ticks == [one["isac:tick"] for one in recordings[air].get_annotations()]
    assert ticks == list(outcome.sent_at)
    assert recordings[air].read_samples().shape == (outcome.result("radio_receive")["samples"], 17)

    same_counts(replay(echoes), counted(outcome), *RATES[2:])
    again = replay(air)
    same_counts(again, counted(outcome), *RATES)
    same_reception(again, outcome)
    assert again["without"] == []
    other = replay(air, "--estimator", "interpolated", "--false-alarm", "0.3", "--without", "leakage")
    assert other["counters"]["ser"] == again["counters"]["ser"]
    assert other["p_fa"] > 3 * again["p_fa"]
    assert (other["without"], other["estimator"]) == (["leakage"], "interpolated")
    assert other["radar_receiver"]["leakage_db"] is None


@needs_sigmf
def test_a_recording_with_a_gap_and_late_bursts_replays_to_the_same_losses(
    tmp_path: Path, replay: Replay
) -> None:
    path = tmp_path / "air.sigmf-meta"

    def spoil(bench: Bench, _graph: Any, _scenario: Any) -> None:
        slot = bench.layout.slot
        begin = -(-bench.radio.now() // slot) * slot
        radio: Any = bench.radio
        radio.inject(EventKind.OVERFLOW, begin + 9 * slot + 100, 3 * slot)
        radio.inject(EventKind.LATE, begin + 20 * slot, 2 * slot)

    outcome = run(
        *("--radio", "sim", "--bursts", "32", "--without", "cfo", "--record-samples", str(path)),
        extend=spoil,
    )
    received = outcome.result("radio_receive")
    assert (received["lost_samples"], received["gaps"]) == (3 * 1280, 1)
    assert received["events"]["late"] == 2
    assert outcome.result("radar_receiver")["bursts_left_out"] >= 3
    again = replay(path)
    assert again["without"] == ["cfo"]
    same_counts(again, counted(outcome), *RATES)
    same_reception(again, outcome)
    processes = replay(path, "--transport", "ipc", "--without", "none")
    assert processes["recording"]["lost_samples"] == 3 * 1280
    assert processes["without"] == []
