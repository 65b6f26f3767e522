"""The virtual front end as a process, and the laboratory's door to it. Every test here starts the program."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import blocks.radio.lab
from blocks.radio.interface import RadioError
from blocks.radio.lab import VirtualFrontEnd
from isac_models.scenario import Scenario
from tests.hil.control_client import LabControl

SCENARIO = Scenario(antennas=2, comm_gain=10.0)
BLOCK = 1280


@pytest.fixture(scope="module")
def lab() -> Iterator[VirtualFrontEnd]:
    """Running, and ended afterwards."""
    with VirtualFrontEnd("zmq", SCENARIO, seed=5, options=["--cfo", "0.002"]) as running:
        yield running


def test_it_runs_the_scenario_with_the_options_and_says_where_it_is(lab: VirtualFrontEnd) -> None:
    hello = lab.ask("hello")
    assert (hello["tx_channels"], hello["rx_channels"]) == (2, 3)
    assert hello["session"] == lab.session
    assert len(lab.addresses["tx"]) == 2
    assert len(lab.addresses["rx"]) == 3
    found = lab.ask("settings")
    assert found["unknowns"]["cfo"] == 0.002
    assert found["settings"]["seed"] == 5
    assert found["settings"]["scene"] == "calibration"
    values = found["settings"]["scenario"]
    assert (values["comm_gain"], values["target_sector"]) == (10.0, list(SCENARIO.target_sector))


def test_scenes_follow_each_other_and_the_truth_is_the_front_end_s_own(lab: VirtualFrontEnd) -> None:
    first = lab.truth(17)
    assert first["present"]
    assert first["theta"] == 0.0
    begin = lab.scene("scenario")
    assert begin % BLOCK == 0
    # Blocks far apart, in any order, against another client's word.
    with LabControl(lab._control) as client:
        ticks = [begin + 5, begin + 3 * BLOCK - 1, begin + 5000 * BLOCK, begin]
        for tick in ticks:
            expected = client.truth(tick, 1)
            assert [lab.truth(tick)] == expected
    angles = {lab.truth(begin + n * BLOCK)["theta"] for n in range(20)}
    assert len(angles) == 20
    low, high = SCENARIO.target_sector
    assert all(low <= angle <= high for angle in angles)
    again = lab.scene("calibration")
    assert lab.truth(again)["theta"] == 0.0


def test_what_the_front_end_refuses_is_one_line(lab: VirtualFrontEnd) -> None:
    for order, details in (("dance", {}), ("scene", {"scene": "moon"}), ("truth", {"first_tick": -5})):
        with pytest.raises(RadioError, match=f"the virtual front end refuses '{order}': ") as refusal:
            lab.ask(order, **details)
        assert "\n" not in str(refusal.value)
    assert lab.ask("hello")["ok"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--leakage-db", "loud"], "argument --leakage-db: invalid float value: 'loud'"),
        (["--bits", "40"], "bits"),
        (["--no-such-option"], "unrecognized arguments: --no-such-option"),
    ],
)
def test_a_front_end_that_does_not_start_says_why_in_one_line(options: list[str], message: str) -> None:
    with pytest.raises(RadioError, match="the virtual front end did not start: ") as refusal:
        VirtualFrontEnd("zmq", SCENARIO, options=options)
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_it_ends_with_close_which_may_be_called_twice_and_leaves_nothing() -> None:
    lab = VirtualFrontEnd("zmq", SCENARIO, scene="scenario")
    folder = Path(lab.addresses["tx"][0].removeprefix("ipc://")).parent
    assert folder.is_dir()
    os.kill(lab.pid, 0)
    lab.close()
    lab.close()
    with pytest.raises(ProcessLookupError):
        os.kill(lab.pid, 0)
    assert not folder.exists()


def test_a_front_end_that_has_gone_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks.radio.lab, "ANSWER_SECONDS", 0.1)
    with VirtualFrontEnd("zmq", SCENARIO) as lab:
        lab._process.kill()
        lab._process.wait(10)
        with pytest.raises(RadioError, match="does not answer 'hello': is it still running"):
            lab.ask("hello")


def test_an_installation_without_the_repository_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(blocks.radio.lab, "ROOT", tmp_path)
    with pytest.raises(RadioError, match="part of the repository, not of an installation"):
        VirtualFrontEnd("zmq", SCENARIO)


def test_a_front_end_that_was_started_again_is_another_one() -> None:
    with VirtualFrontEnd("zmq", SCENARIO, seed=6) as running:
        assert not running.restarted()
        running.ask("inject", kind="restart")
        deadline = time.monotonic() + 10
        while not running.restarted():
            assert time.monotonic() < deadline
            threading.Event().wait(0.02)  # it is done between two pieces of samples


def test_of_a_front_end_that_has_ended_no_answer_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks.radio.lab, "ANSWER_SECONDS", 3600.0)
    with VirtualFrontEnd("zmq", SCENARIO, seed=6) as running:
        running.ask("hello")
        os.kill(running.pid, signal.SIGKILL)
        with pytest.raises(RadioError, match="does not answer 'hello': is it still running"):
            running.ask("hello")


def test_ctrl_c_is_for_the_link() -> None:
    with VirtualFrontEnd("zmq", SCENARIO, seed=6) as running:
        assert os.getsid(running.pid) == running.pid != os.getsid(0)
