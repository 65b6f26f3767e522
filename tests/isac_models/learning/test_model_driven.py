"""The training of A: it learns, it resumes bit for bit, it learns from recorded echoes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import blocks
from blocks.runtime import Flowgraph
from isac_models.array import hardware, nominal_array, steering_matrix
from isac_models.errors import UserError
from isac_models.grid import angle_grid
from isac_models.learning.model_driven import DEFAULTS, RECIPES, TYPES, ModelDriven
from isac_models.scenario import Scenario

SCENARIO = Scenario.preset("impaired").replace(antennas=6, grid_size=61, spacing_std=0.1)


def task(scenario: Scenario = SCENARIO, **settings: Any) -> ModelDriven:
    return ModelDriven(scenario, ModelDriven.complete({"batch": 500, "iterations": 60, **settings}))


def train(one: ModelDriven, first: int, last: int) -> list[float]:
    return [one.step(iteration) for iteration in range(first, last)]


@pytest.mark.parametrize("recipe", RECIPES)
def test_training_lowers_the_held_out_loss(recipe: str) -> None:
    one = task(recipe=recipe, iterations=300)
    before = one.held_out()
    train(one, 0, 300)
    assert one.held_out() < 0.9 * before


def test_training_repairs_the_receiver() -> None:
    """The learned columns correlate with the true steering vectors better than the nominal ones."""
    scenario = SCENARIO.replace(spacing_std=0.2)
    one = task(scenario, iterations=600, learning_rate=5e-3, batch=1000, initial_variance=0.0)
    train(one, 0, 600)
    grid = angle_grid(61)
    inside = abs(grid) < np.radians(60)
    true = steering_matrix(hardware(scenario).receive, grid)
    nominal = steering_matrix(nominal_array(SCENARIO), grid)

    def likeness(matrix: Any) -> float:
        product = np.abs((matrix.conj() * true).sum(axis=0))
        norms = np.linalg.norm(matrix, axis=0) * np.linalg.norm(true, axis=0)
        return float((product / norms)[inside].mean())

    assert likeness(one.matrix()) > likeness(nominal) + 0.01


def test_a_training_continues_bit_for_bit_from_its_state() -> None:
    whole = task(recipe="joint")
    train(whole, 0, 30)
    state = whole.state()
    train(whole, 30, 60)
    resumed = task(recipe="joint", threads=2)
    resumed.load_state(state)
    train(resumed, 30, 60)
    assert np.array_equal(resumed.matrix(), whole.matrix())
    assert all(np.array_equal(values, whole.state()[key]) for key, values in resumed.state().items())


def test_a_state_before_the_first_step_continues_as_well() -> None:
    fresh, loaded = task(), task()
    loaded.load_state(fresh.state())
    assert train(loaded, 0, 3) == train(fresh, 0, 3)


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.pop("exp_avg"),
        lambda state: state.pop("planes"),
        lambda state: state.update(planes=state["planes"][:, :, 1:]),
        lambda state: state.update(planes=state["planes"].astype(np.float64)),
        lambda state: state.update(more=np.zeros(3, np.float32)),
    ],
)
def test_a_state_of_another_training_is_refused(change: Any) -> None:
    one = task()
    train(one, 0, 2)
    state = one.state()
    change(state)
    with pytest.raises(UserError, match="checkpoint"):
        task().load_state(state)


@pytest.mark.parametrize(
    "bad",
    [
        {"iterations": 0},
        {"batch": 0},
        {"threads": -1},
        {"seed": -1},
        {"learning_rate": float("nan")},
        {"learning_rate": 0.0},
        {"initial_variance": -0.1},
        {"recipe": "magic"},
        {"speed": 3},
        {"batch": "abc"},
        {"batch": 1.5},
        {"iterations": True},
        {"recipe": ["x"]},
        {"learning_rate": "fast"},
        {"initial_variance": [0.1]},
        {"device": 5},
        {"from_recording": 5},
        {"from_recording": ["a\0b"]},
        {"from_recording": ["a", "b"], "recording_sha256": ["0"]},
    ],
)
def test_settings_out_of_range_are_one_line(bad: dict[str, Any]) -> None:
    with pytest.raises(UserError) as caught:
        ModelDriven.complete(bad)
    assert "\n" not in str(caught.value)


def test_every_setting_has_a_type() -> None:
    assert set(TYPES) == set(DEFAULTS) == set(ModelDriven.complete({}))


def test_the_learning_rate_is_the_recipe_unless_it_is_given() -> None:
    assert ModelDriven.complete({"recipe": "cosine"})["learning_rate"] == 5e-3
    assert ModelDriven.complete({"recipe": "cosine", "learning_rate": 0.1})["learning_rate"] == 0.1


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Labelled echoes of an array that differs much from the nominal one."""
    path = str(tmp_path_factory.mktemp("recorded") / "echoes.isacrec")
    graph = Flowgraph("link", seed=3, frame=4096)
    reflector = blocks.TargetReflector(SCENARIO)
    recorder = blocks.FrameRecorder(path, SCENARIO, reflector.produces, {"seed": 3})
    source = blocks.MessageSource(SCENARIO, 20_000)
    precoder = blocks.Precoder(SCENARIO, rho=1.0)
    graph.connect(source, blocks.QamEncoder(SCENARIO), precoder, reflector, recorder)
    graph.run()
    return path


def test_recorded_echoes_repair_the_receiver(recording: str) -> None:
    one = task(from_recording=recording, iterations=400, learning_rate=3e-3)
    before = one.held_out()
    train(one, 0, 400)
    assert one.held_out() < 0.97 * before
    fresh = task()
    for name in ("low", "high"):
        chunk = one.batch(0, 50).chunk(0, 50, np.float32)
        assert len(set(getattr(chunk, name).tolist())) == 1, "the sector of the recording"
    assert fresh.batch(0, 50).chunk(0, 50, np.float32).gain is not None


def test_the_best_matrix_on_held_out_echoes_is_kept(recording: str) -> None:
    one = task(from_recording=recording, iterations=300, learning_rate=0.3)
    losses = []
    for iteration in range(300):
        if iteration % 100 == 0:
            losses.append(one.held_out())
        one.step(iteration)
    losses.append(one.held_out())
    kept = one.matrix()
    with torch.no_grad():
        one.model.planes.copy_(torch.tensor(np.stack([kept.real, kept.imag])))
    assert one.held_out() == min(losses) == one.facts()["held_out_loss"]
    assert one.facts()["recorded_sectors_deg"] == [[-40, -20]]


def test_training_on_recorded_echoes_continues_bit_for_bit(recording: str) -> None:
    settings: dict[str, Any] = {"from_recording": recording, "iterations": 300, "learning_rate": 3e-3}
    whole, resumed = task(**settings), task(**settings)
    train(whole, 0, 150)
    resumed.load_state(whole.state())
    assert train(resumed, 150, 300) == train(whole, 150, 300)
    assert np.array_equal(resumed.matrix(), whole.matrix())


def test_an_artifact_holds_the_matrix_and_the_elements() -> None:
    one = task()
    tensors = one.artifact_tensors()
    assert np.array_equal(tensors["dictionary_real"] + 1j * tensors["dictionary_imag"], one.matrix())
    assert np.array_equal(tensors["element_positions"], hardware(SCENARIO).transmit.positions)
    assert one.facts()["sector_span_deg"] == [10, 20]


def test_a_recording_that_has_changed_is_refused(recording: str, tmp_path: Path) -> None:
    path = tmp_path / "echoes.isacrec"
    path.write_bytes(Path(recording).read_bytes())
    settings = ModelDriven.complete({"from_recording": str(path)})
    ModelDriven(SCENARIO, settings)
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(UserError, match="is not the one that this training began with"):
        ModelDriven(SCENARIO, settings)


def test_the_same_recording_twice_is_refused(recording: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy.isacrec"
    copy.write_bytes(Path(recording).read_bytes())
    for other in (recording, str(copy)):
        with pytest.raises(UserError) as caught:
            ModelDriven.complete({"from_recording": [recording, other]})
        assert str(caught.value) == (
            f"from_recording {other}: it is the recording {recording} again, name it once"
        )
    more = tmp_path / "other.isacrec"
    more.write_bytes(b"other")
    assert len(ModelDriven.complete({"from_recording": [recording, str(more)]})["recording_sha256"]) == 2


def test_the_recipe_joint_needs_the_simulator(recording: str) -> None:
    with pytest.raises(UserError, match="needs the simulator"):
        ModelDriven.complete({"from_recording": recording, "recipe": "joint"})


def test_echoes_of_one_coherence_block_are_held_out_together(tmp_path: Path) -> None:
    path, scenario = str(tmp_path / "blocks.isacrec"), SCENARIO.replace(coherence=50)
    graph = Flowgraph("link", seed=3, frame=4096)
    reflector = blocks.TargetReflector(scenario)
    recorder = blocks.FrameRecorder(path, scenario, reflector.produces, {})
    source, precoder = blocks.MessageSource(scenario, 5000), blocks.Precoder(scenario, rho=1.0)
    graph.connect(source, blocks.QamEncoder(scenario), precoder, reflector, recorder)
    graph.run()
    one = task(from_recording=path)
    assert one._recorded is not None
    assert one._set_aside is not None
    assert one._set_aside.size > 50
    assert not set(one._recorded.angle.tolist()) & set(one._set_aside.angle.tolist())


def test_too_few_recorded_echoes_are_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "few.isacrec")
    graph = Flowgraph("link", seed=3, frame=4)
    reflector = blocks.TargetReflector(SCENARIO)
    recorder = blocks.FrameRecorder(path, SCENARIO, reflector.produces, {})
    source, precoder = blocks.MessageSource(SCENARIO, 8), blocks.Precoder(SCENARIO)
    graph.connect(source, blocks.QamEncoder(SCENARIO), precoder, reflector, recorder)
    graph.run()
    with pytest.raises(UserError, match="at least 10 are needed"):
        task(from_recording=path)
