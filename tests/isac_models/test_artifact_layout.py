"""The arrays of a trained model."""

from __future__ import annotations

import numpy as np
import pytest

from isac_models.artifact_layout import check_layout, check_values
from isac_models.errors import UserError
from isac_models.scenario import Scenario
from tests.isac_models.artifacts import model_driven, neural

SCENARIO = Scenario(antennas=4, grid_size=12)


def test_whole_artifacts_pass() -> None:
    for artifact in (model_driven(SCENARIO), neural(SCENARIO)):
        shapes = {name: array.shape for name, array in artifact.tensors.items()}
        check_layout(artifact.kind, SCENARIO, shapes)
        check_values(artifact.kind, artifact.tensors)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"element_positions": None}, "lacks array 'element_positions'"),
        ({"extra": (3,)}, "unknown array 'extra'"),
        ({"dictionary_real": (4, 13)}, "dictionary_real is 4×13.* needs 4×12"),
        ({"element_positions": (5,)}, "element_positions is 5"),
        ({"dictionary_imag": (48,)}, "dictionary_imag is 48"),
    ],
)
def test_arrays_that_do_not_belong_are_named(change: dict[str, tuple[int, ...] | None], reason: str) -> None:
    shapes = {name: array.shape for name, array in model_driven(SCENARIO).tensors.items()}
    changed = {key: shape for key, shape in {**shapes, **change}.items() if shape is not None}
    with pytest.raises(UserError, match=reason):
        check_layout("model-driven", SCENARIO, changed)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"omega": None}, "lacks array 'omega'"),
        ({"omega": (3,)}, "needs 3×"),
        ({"omega": (1, 2)}, "omega is 1×2"),
        ({"omega": (1_000_000,)}, "1000"),
        ({"encoder.3.weight": (2, 2, 9)}, r"encoder\.3\.weight is 2×2×9"),
        ({"beamformer.0.bias": None}, "lacks array 'beamformer.0.bias'"),
        ({"beamformer.0.bias": (2, 6)}, "beamformer.0.weight is 2×5×4, .* needs 2×6×4"),
        ({"beamformer.0.bias": ()}, "beamformer"),
    ],
)
def test_networks_that_do_not_belong_are_named(
    change: dict[str, tuple[int, ...] | None], reason: str
) -> None:
    shapes = {name: array.shape for name, array in neural(SCENARIO).tensors.items()}
    changed = {key: shape for key, shape in {**shapes, **change}.items() if shape is not None}
    with pytest.raises(UserError, match=reason):
        check_layout("neural", SCENARIO, changed)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e7])
def test_values_that_are_no_weights_are_refused(value: float) -> None:
    for artifact, name in ((model_driven(SCENARIO), "element_positions"), (neural(SCENARIO), "angle.3.bias")):
        tensors = {key: np.array(array) for key, array in artifact.tensors.items()}
        tensors[name].flat[-1] = value
        with pytest.raises(UserError, match=name):
            check_values(artifact.kind, tensors)


def test_a_dictionary_that_cannot_make_a_beam_is_refused() -> None:
    matrix = model_driven(SCENARIO).dictionary
    empty, dependent = matrix.copy(), matrix.copy()
    empty[:, 5] = 0
    dependent[0] = 2j * matrix[2]
    for wrong, reason in ((empty, "column of zeros"), (dependent, "depend on each other")):
        with pytest.raises(UserError, match=reason):
            check_values("model-driven", model_driven(SCENARIO, wrong).tensors)


@pytest.mark.parametrize("omega", [(0.5, 0.5), (-0.1, 0.2), (0.0, 1.5)])
def test_omegas_are_different_shares(omega: tuple[float, ...]) -> None:
    with pytest.raises(UserError, match="omega"):
        check_values("neural", neural(SCENARIO, omega=omega).tensors)
