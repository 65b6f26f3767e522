"""Which burst carries which symbol of which code block.

A burst of `size` bytes carries one symbol of each of the `size` codewords of a block: the loss of a burst
costs every codeword one symbol, the fewest possible. `depth` blocks are sent in turns: a run of r lost
bursts costs a block r / depth of them. Bursts are numbered in the order of sending:

    | header block | blocks 1 … depth in turns | blocks depth + 1 … 2 depth in turns | …

The header's own block is fixed: HEADER_BYTES, and twice as much parity.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isac_models.coding.file_header import DEEPEST, HEADER_BYTES
from isac_models.coding.reed_solomon import LONGEST, ReedSolomon
from isac_models.errors import UserError

NUMBERS = 1 << 24
"""A burst's number has 24 bits."""
LEAST_SIZE = 4


@dataclass(frozen=True)
class FileCode:
    """`size` bytes a burst, `data` bursts a block protected by `parity` more, `depth` blocks sent in turns.

    data + parity ≤ 255. With parity 0 nothing is protected but the header. Smaller blocks have
    parity in proportion. Raises UserError for what cannot be.
    """

    size: int = 60
    data: int = 191
    parity: int = 64
    depth: int = 1

    def __post_init__(self) -> None:
        if self.size < LEAST_SIZE:
            raise UserError(f"a burst must carry at least {LEAST_SIZE} bytes, not {self.size}")
        if self.data < 1 or self.parity < 0 or self.data + self.parity > LONGEST:
            raise UserError(
                f"data {self.data} and parity {self.parity}: at least 1 and 0, at most {LONGEST} in all"
            )
        if not 1 <= self.depth <= DEEPEST:
            raise UserError(f"depth must be from 1 to {DEEPEST}, not {self.depth}")

    @property
    def header(self) -> ReedSolomon:
        """The code of the header's block, whatever the other ones have."""
        data = -(-HEADER_BYTES // self.size)
        return ReedSolomon(data, 2 * data)


class Layout:
    """Blocks and numbers of a file of `length` bytes. Block 0 is the header's.

    Raises UserError for a file that needs more than 2²⁴ bursts.
    """

    def __init__(self, code: FileCode, length: int) -> None:
        self.code, self.length = code, length
        bursts = -(-length // code.size)
        blocks = -(-bursts // code.data)
        if bursts + blocks * code.parity > NUMBERS - LONGEST - blocks:
            raise UserError(
                f"a file of {length} bytes needs more than the {NUMBERS} bursts that have a number"
            )
        # As equal as can be: a short last block would have little parity.
        sizes = np.full(blocks, bursts // blocks if blocks else 0)
        sizes[: bursts - int(sizes.sum())] += 1
        header = code.header
        self._data = np.concatenate([[header.data], sizes])
        self._all = np.concatenate([[header.length], sizes + -(-sizes * code.parity // code.data)])
        # A group is what is sent in turns; block 0 is a group of its own.
        groups = -(-blocks // code.depth)  # as equal as can be, too
        firsts = np.append(0, 1 + np.arange(groups) * blocks // max(groups, 1))
        self._group_blocks = np.append(firsts, blocks + 1)
        self._group_numbers = np.concatenate([[0], np.cumsum(np.add.reduceat(self._all, firsts))])
        self._orders: dict[int, list[tuple[int, int]]] = {}

    @property
    def blocks(self) -> int:
        """Blocks, the header's among them."""
        return len(self._data)

    @property
    def groups(self) -> int:
        """Groups, the header's among them."""
        return len(self._group_blocks) - 1

    @property
    def total(self) -> int:
        """Bursts in all."""
        return int(self._group_numbers[-1])

    def data(self, block: int) -> int:
        """Bursts of a block that carry data, as many as it takes to decode it."""
        return int(self._data[block])

    def bursts(self, block: int) -> int:
        """Bursts of a block, parity included."""
        return int(self._all[block])

    def reed_solomon(self, block: int) -> ReedSolomon:
        """The code of a block."""
        return ReedSolomon(self.data(block), self.bursts(block) - self.data(block))

    def first_byte(self, block: int) -> int:
        """Place in the file of the first byte of block 1, 2, …"""
        return int(self._data[1:block].sum()) * self.code.size

    def group(self, block: int) -> int:
        """The group of a block."""
        return int(np.searchsorted(self._group_blocks, block, side="right")) - 1

    def blocks_of(self, group: int) -> range:
        """The blocks of a group."""
        return range(int(self._group_blocks[group]), int(self._group_blocks[group + 1]))

    def end(self, group: int) -> int:
        """The number after the last one of a group; of the last group where there are no more."""
        return int(self._group_numbers[min(group, self.groups - 1) + 1])

    def place(self, number: int) -> tuple[int, int]:
        """(block, symbol in it) of the burst `number` < total."""
        group = int(np.searchsorted(self._group_numbers, number, side="right")) - 1
        return self._order(group)[number - int(self._group_numbers[group])]

    def number(self, block: int, symbol: int) -> int:
        """The burst that carries a symbol of a block."""
        group = self.group(block)
        before = sum(min(self.bursts(other), symbol + (other < block)) for other in self.blocks_of(group))
        return int(self._group_numbers[group]) + before

    def _order(self, group: int) -> list[tuple[int, int]]:
        """What the numbers of a group carry, in turns."""
        if group not in self._orders:
            if len(self._orders) >= 8:
                self._orders.pop(next(iter(self._orders)))
            blocks = self.blocks_of(group)
            longest = max(self.bursts(block) for block in blocks)
            self._orders[group] = [
                (block, symbol)
                for symbol in range(longest)
                for block in blocks
                if symbol < self.bursts(block)
            ]
        return self._orders[group]
