"""Reed–Solomon codes over GF(256) on many codewords at once, for symbols that were lost.

The code is that of the `reedsolo` library (field polynomial x⁸+x⁴+x³+x²+1, generator roots α⁰ … α^(p-1),
the data in front). Where bursts are lost, every codeword lacks the same symbols: one small linear system over
GF(256) is solved for all of them, far faster than the library's loop over codewords. Symbols that are wrong
instead of missing are left to the library.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isac_models.errors import UserError

Bytes = NDArray[np.uint8]
FIELD = 0x11D
LONGEST = 255


@cache
def products() -> Bytes:
    """a · b for all elements of GF(256): (256, 256)."""
    import reedsolo

    log, exp, _ = reedsolo.init_tables(FIELD)
    logs = np.array(list(log))
    table: Bytes = np.array(list(exp), np.uint8)[(logs[:, None] + logs) % 255]
    table[0, :] = table[:, 0] = 0
    return table


def multiply(a: Bytes, b: Bytes) -> Bytes:
    """The matrix product of a (m, k) and b (k, w) over GF(256): (m, w)."""
    table = products()
    out = np.zeros((a.shape[0], b.shape[1]), np.uint8)
    for column, row in zip(a.T, b, strict=True):
        out ^= table[column][:, row]
    return out


def solve(a: Bytes, b: Bytes) -> Bytes:
    """x with a x = b over GF(256), a (m, m) invertible, b (m, w): (m, w), by elimination.

    Raises ZeroDivisionError where a is singular.
    """
    table = products()
    m = len(a)
    both = np.concatenate([a, b], axis=1)
    for step in range(m):
        candidates = np.flatnonzero(both[step:, step])
        if not len(candidates):
            raise ZeroDivisionError("singular matrix over GF(256)")
        pivot = step + int(candidates[0])
        if pivot != step:
            both[[step, pivot]] = both[[pivot, step]]
        inverse = int(np.flatnonzero(table[both[step, step]] == 1)[0])
        both[step] = table[inverse][both[step]]
        factors = both[:, step].copy()
        factors[step] = 0
        both ^= table[factors][:, both[step]]
    return both[:, m:]


class ReedSolomon:
    """A systematic code of `data` + `parity` ≤ 255 symbols, shortened where it has fewer.

    Raises UserError for other sizes.
    """

    def __init__(self, data: int, parity: int) -> None:
        if data < 1 or parity < 0 or data + parity > LONGEST:
            raise UserError(
                f"a Reed-Solomon code of {data} data and {parity} parity symbols: at least 1 and 0, "
                f"at most {LONGEST} in all"
            )
        self.data, self.parity, self.length = data, parity, data + parity
        self.matrix = _parity_matrix(parity)[:, LONGEST - parity - data :]
        """Parity = matrix · data: (parity, data)."""

    def encode(self, data: Bytes) -> Bytes:
        """Codewords (length, w) of data (data, w), one a column; the data rows come first."""
        return np.concatenate([data, multiply(self.matrix, data)])

    def decode(self, places: list[int], symbols: Bytes) -> Bytes | None:
        """Data (data, w) from the symbols (m, w) that arrived at the rows `places`, in any order.

        None where fewer than `data` of them arrived, or where arrived ones are wrong beyond repair. With m
        more than `data` the other ones are checked, and up to (m - data) / 2 wrong ones a codeword mended.
        """
        order = np.argsort(places)
        rows = np.asarray(places, int)[order]
        if len(rows) < self.data:
            return None
        symbols = symbols[order]
        direct = int(np.searchsorted(rows, self.data))
        known, parity_rows = rows[:direct], rows[direct:] - self.data
        lost = np.setdiff1d(np.arange(self.data), known)
        data = np.zeros((self.data, symbols.shape[1]), np.uint8)
        data[known] = symbols[:direct]
        checks = symbols[direct:] ^ multiply(self.matrix[np.ix_(parity_rows, known)], data[known])
        use, spare = slice(None, len(lost)), slice(len(lost), None)
        if len(lost):
            data[lost] = solve(self.matrix[np.ix_(parity_rows[use], lost)], checks[use])
        wrong = (
            checks[spare] ^ multiply(self.matrix[np.ix_(parity_rows[spare], lost)], data[lost])
            if len(lost)
            else checks
        )
        bad = np.flatnonzero(wrong.any(axis=0))
        return data if not len(bad) else self._repair(rows, symbols, data, bad)

    def _repair(self, rows: Any, symbols: Bytes, data: Bytes, bad: Any) -> Bytes | None:
        """The codewords `bad` decoded one by one by the library, which finds wrong symbols too."""
        import reedsolo

        codec = reedsolo.RSCodec(self.parity, prim=FIELD)
        missing = sorted(set(range(self.length)) - set(rows.tolist()))
        for column in bad:
            word = np.zeros(self.length, np.uint8)
            word[rows] = symbols[:, column]
            try:
                repaired = codec.decode(bytearray(word.tobytes()), erase_pos=missing)[0]
            except reedsolo.ReedSolomonError:
                return None
            data[:, column] = np.frombuffer(bytes(repaired), np.uint8)
        return data


@cache
def _parity_matrix(parity: int) -> Bytes:
    """Columns x^(n-1-i) mod g(x), highest power on top, for i = 0 … 254 - parity: (parity, 255 - parity)."""
    import reedsolo

    table = products()  # after this the library's tables are those of the field
    if parity == 0:
        return np.zeros((0, LONGEST), np.uint8)
    generator = np.array(list(reedsolo.rs_generator_poly(parity)), np.uint8)[1:]  # it is monic
    columns = [generator]  # x^parity mod g
    for _ in range(LONGEST - parity - 1):
        last = columns[-1]
        columns.append(np.append(last[1:], 0).astype(np.uint8) ^ table[last[0]][generator])
    return np.stack(columns[::-1], axis=1)
