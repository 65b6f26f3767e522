"""The offline evaluation: the same counts however it is run, the right rates, and early stops."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import blocks
from blocks.runtime import Flowgraph
from isac_models.constellation import Constellation
from isac_models.errors import UserError
from isac_models.monte_carlo import BATCH, CHUNK, Link, build_system, evaluate
from isac_models.scenario import Scenario
from isac_models.tally import Tally
from isac_models.theory import genie_missed_detection, symbol_error_rate
from tests.isac_models.artifacts import model_driven, neural

SCENARIO = Scenario.preset("impaired")
INTEGERS = ("events", "trials", "count", "coherence")


def integers(tally: Tally) -> dict[str, Any]:
    """Every whole-numbered count of a tally."""
    return {
        f"{key} {name}": value
        for key, counts in tally.to_dict().items()
        for name, value in counts.items()
        if name in INTEGERS
    }


@pytest.mark.parametrize("coherence", [1, 6])
def test_counts_do_not_depend_on_the_cut(coherence: int) -> None:
    scenario = SCENARIO.replace(coherence=coherence)
    link = Link(scenario, build_system(scenario, rho=0.3, phi=0.1), 5)
    whole = link.measure(0, 3 * BATCH)
    total = Tally.empty(scenario)
    for start, end in ((0, 1), (1, 1000), (1000, BATCH + 17), (BATCH + 17, 3 * BATCH)):
        total = total.merge(link.measure(start, end - start))
    assert integers(total) == integers(whole)
    assert math.isclose(total.sensing.rmse_rad.rmse, whole.sensing.rmse_rad.rmse)


def test_counts_do_not_depend_on_the_workers() -> None:
    one, two = (evaluate(SCENARIO, snapshots=3 * CHUNK + 5, workers=n, theory=False) for n in (1, 2))
    assert one.tally.to_dict() == two.tally.to_dict()
    assert one.tally.snapshots == 3 * CHUNK + 5


def test_another_seed_counts_other_errors() -> None:
    one, two = (evaluate(SCENARIO, snapshots=BATCH, seed=n, theory=False) for n in (1, 2))
    assert one.tally.to_dict() != two.tally.to_dict()


def test_counts_are_those_of_the_flowgraph() -> None:
    graph = Flowgraph("link", seed=9, frame=5000)
    source, precoder = blocks.MessageSource(SCENARIO, 23_456), blocks.Precoder(SCENARIO, rho=0.3)
    graph.connect(source, blocks.QamEncoder(SCENARIO), precoder)
    symbols, sensing = blocks.CommunicationMetrics(SCENARIO), blocks.SensingMetrics(SCENARIO)
    graph.connect(precoder, blocks.MisoChannel(SCENARIO), blocks.Demodulator(SCENARIO), symbols)
    graph.connect(precoder, blocks.TargetReflector(SCENARIO), blocks.Detector(SCENARIO), sensing)
    graph.run()
    found = evaluate(SCENARIO, rho=0.3, snapshots=23_456, seed=9, theory=False).tally
    assert symbols.tally == found.communication
    assert (sensing.tally.p_md, sensing.tally.p_fa) == (found.sensing.p_md, found.sensing.p_fa)
    assert sensing.tally.rmse_rad.count == found.sensing.rmse_rad.count
    assert math.isclose(sensing.tally.rmse_rad.rmse, found.sensing.rmse_rad.rmse)


@pytest.mark.parametrize(
    ("name", "rho", "order"),
    [("ideal", 1.0, 4), ("ideal", 0.15, 16), ("limited", 0.5, 4), ("unseen", 0.5, 64)],
)
def test_rates_are_those_of_theory(name: str, rho: float, order: int) -> None:
    scenario = Scenario.preset(name).replace(order=order)
    found = evaluate(scenario, rho=rho, snapshots=400_000, theory=False)
    sensing, symbols = found.tally.sensing, found.tally.communication.ser
    beam = found.system.beam
    ser = symbol_error_rate(scenario, beam)
    assert abs(symbols.rate - ser) < 5 * math.sqrt(ser * (1 - ser) / symbols.trials)
    asked, false = scenario.false_alarm, sensing.p_fa
    assert abs(false.rate - asked) < 5 * math.sqrt(asked / false.trials) + 5e-3 * asked
    assert sensing.p_md.rate > genie_missed_detection(scenario, beam)


def test_a_known_array_misses_fewer_targets() -> None:
    scenario = SCENARIO.replace(spacing_std=0.1)
    nominal, known = (
        evaluate(scenario, rho=1, snapshots=200_000, known_array=known, theory=False)
        for known in (False, True)
    )
    assert known.tally.sensing.p_md.interval()[1] < nominal.tally.sensing.p_md.interval()[0]
    # On a perfect array there is nothing more to know.
    ideal = Scenario.preset("ideal")
    same = [evaluate(ideal, snapshots=BATCH, known_array=known, theory=False) for known in (False, True)]
    assert same[0].tally.to_dict() == same[1].tally.to_dict()


def test_a_run_ends_when_the_intervals_are_narrow_enough() -> None:
    found = evaluate(SCENARIO, rho=0.2, snapshots=100 * CHUNK, rel_ci=0.05, theory=False)
    assert found.rel_ci_reached is True
    assert found.tally.snapshots < 100 * CHUNK
    assert found.tally.snapshots % CHUNK == 0
    assert found.tally.precise(0.05)
    assert not evaluate(SCENARIO, rho=0.2, snapshots=1000, rel_ci=0.01, theory=False).rel_ci_reached
    two = evaluate(SCENARIO, rho=0.2, snapshots=100 * CHUNK, rel_ci=0.05, workers=2, theory=False)
    assert two.tally.to_dict() == found.tally.to_dict()


def test_an_interrupted_run_keeps_what_it_measured() -> None:
    def stop(tally: Tally, seconds: float) -> None:
        if tally.snapshots >= 2 * CHUNK:
            raise KeyboardInterrupt

    found = evaluate(SCENARIO, snapshots=100 * CHUNK, progress=stop)
    assert found.interrupted
    assert found.tally.snapshots == 2 * CHUNK
    assert found.theory is None


def test_the_result_is_complete_and_fit_for_json() -> None:
    found = evaluate(SCENARIO, snapshots=5000, estimator="softmax").to_dict()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    rates = ("ser", "ber", "p_md", "p_fa", "rmse_rad")
    assert {*rates, *(f"{key}_{end}" for key in rates for end in ("low", "high"))} <= set(found)
    assert set(found["theory"]) == {"ser", "p_md_genie", "rmse_bound_rad", "rmse_bound_rad_error"}
    assert (found["snapshots"], found["estimator"], found["known_array"]) == (5000, "softmax", False)
    assert found["artifact"] is None
    assert Scenario.from_dict(found["scenario"]) == SCENARIO
    assert found["threshold_relative_error"] <= 1e-3


def test_what_was_never_counted_is_null() -> None:
    found = evaluate(SCENARIO, snapshots=1, theory=False).to_dict()
    assert found["rmse_rad"] is None or found["rmse_rad_high"] is None
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "oracle"},
        {"estimator": "mean"},
        {"artifact": "any"},
        {"rho": 1.5},
        {"rho": math.nan},
        {"snapshots": 0},
        {"workers": 0},
        {"seed": -1},
        {"rel_ci": 0.0},
        {"rel_ci": math.nan},
    ],
)
def test_impossible_requests_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        evaluate(SCENARIO, **changes)


def test_a_learned_system_that_learned_the_truth_counts_as_the_known_array() -> None:
    scenario = Scenario.preset("limited")
    truth = model_driven(scenario)
    found = evaluate(scenario, method="learned", artifact=truth, rho=0.4, snapshots=3 * BATCH)
    known = evaluate(scenario, known_array=True, estimator="softmax", rho=0.4, snapshots=3 * BATCH)
    assert found.tally.to_dict() == known.tally.to_dict()
    assert found.theory == known.theory
    values = found.to_dict()
    assert (values["method"], values["estimator"], values["known_array"]) == ("learned", "softmax", False)
    assert values["artifact"] == {"name": "", "kind": "model-driven", "sha256": truth.sha256}
    assert values["threshold"] == known.to_dict()["threshold"]


def test_theory_says_of_networks_what_there_is_to_say() -> None:
    scenario = Scenario.preset("limited")
    found = evaluate(scenario, method="neural", artifact=neural(scenario, 21), rho=1.0, snapshots=20_000)
    assert found.theory is not None
    missed = found.theory.pop("p_md_genie")
    assert set(found.theory.values()) == {None}
    assert missed == genie_missed_detection(scenario, found.system.beam, found.system.points(scenario))
    assert found.tally.sensing.p_md.rate > missed
    values = found.to_dict()
    assert (values["estimator"], values["artifact"]["kind"]) == ("network", "neural")
    assert abs(values["p_fa"] - 0.01) < 5 * math.sqrt(0.01 / found.tally.sensing.p_fa.trials) + 2e-3


class Swapped:
    """A constellation whose messages are numbered the other way round, with its own demodulator."""

    def __init__(self, order: int) -> None:
        self.qam = Constellation(order)

    def encode(self, message: Any) -> Any:
        """Symbols of messages."""
        return self.qam.encode(self.qam.order - 1 - message)

    def decide(self, received: Any, csi: Any) -> Any:
        """Messages of symbols."""
        return self.qam.order - 1 - self.qam.decide(received, csi)


def test_a_method_brings_its_own_symbols_and_decisions() -> None:
    scenario = SCENARIO.replace(order=16)
    plain, swapped = build_system(scenario), Swapped(16)
    both = replace(plain, encoder=swapped, demodulator=swapped)
    encoder_alone = replace(plain, encoder=swapped)
    whole, same, wrong = (Link(scenario, s, 3).measure(0, 20_000) for s in (plain, both, encoder_alone))
    # Points of equal place in the constellation err alike; with the wrong labels hardly one is right.
    ser, error = whole.communication.ser.rate, 5 * math.sqrt(0.25 / 20_000)
    assert abs(same.communication.ser.rate - ser) < error
    assert wrong.communication.ser.rate > 0.9
    np.testing.assert_array_equal(both.points(scenario), plain.points(scenario)[::-1])


def test_a_beam_of_ones_own_is_what_is_sent() -> None:
    system = build_system(SCENARIO, rho=0.2)
    away = replace(system, beam=np.zeros(16, np.complex64))
    tally = Link(SCENARIO, away, 1).measure(0, 20_000)
    # Nothing is sent: a target is found as often as noise is taken for one, a message by guessing.
    assert abs(tally.sensing.p_md.rate - 0.99) < 0.01
    assert abs(tally.communication.ser.rate - 0.75) < 0.02
