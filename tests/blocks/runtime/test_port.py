"""Fields: what a port promises, and whether an array keeps it."""

from __future__ import annotations

import numpy as np
import pytest

from blocks.runtime.port import Count, Field, Flags, GraphError, Real, Signal, Symbols
from isac_models.errors import UserError


@pytest.mark.parametrize(
    ("field", "dtype", "shape"),
    [
        (Signal(), np.complex64, ()),
        (Signal("antennas", 2), np.complex64, (16, 2)),
        (Symbols(), np.uint8, ()),
        (Real("antennas"), np.float32, (16,)),
        (Flags(), np.bool_, ()),
        (Count(), np.int64, ()),
        (Field("float64", (3,)), np.float64, (3,)),
    ],
    ids=str,
)
def test_a_field_knows_its_dtype_and_shape(field: Field, dtype: type, shape: tuple[int, ...]) -> None:
    resolved = field.resolve({"antennas": 16})
    assert (resolved.dtype, resolved.shape) == (np.dtype(dtype), shape)
    assert resolved.accepts(np.empty((0, *shape), dtype))
    assert resolved.accepts(np.empty((5, *shape), dtype))
    assert not resolved.accepts(np.empty((5, *shape, 1), dtype))
    assert not resolved.accepts(np.empty((5, *shape), np.float16))
    assert not resolved.accepts(np.empty((), dtype))


def test_another_byte_order_is_another_dtype() -> None:
    assert not Real().resolve({}).accepts(np.zeros(3, ">f4"))


def test_a_field_reads_as_dtype_and_shape() -> None:
    assert str(Signal("antennas").resolve({"antennas": 4})) == "complex64(n, 4)"
    assert str(Symbols().resolve({})) == "uint8(n)"


def test_a_dimension_without_a_size_is_named() -> None:
    with pytest.raises(KeyError, match="antennas"):
        Signal("antennas").resolve({})


def test_a_graph_that_cannot_run_is_the_users_to_mend() -> None:
    assert issubclass(GraphError, UserError)
