"""Several processes that train together (data parallel), started by torchrun."""

from __future__ import annotations

import os
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[Any]


class Processes:
    """The processes of one training: this one alone, or those that torchrun started.

    rank: number of this process, 0 first; world: how many there are. They talk over gloo, with
    NumPy arrays, wherever each computes.
    """

    def __init__(self) -> None:
        self.rank, self.world = 0, 1
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            import torch.distributed as distributed

            if not distributed.is_initialized():
                distributed.init_process_group("gloo")
            self.rank, self.world = distributed.get_rank(), distributed.get_world_size()

    def add(self, *arrays: Values) -> tuple[Values, ...]:
        """The sum of each array over all processes, the same in each of them."""
        if self.world == 1:
            return arrays
        import torch
        import torch.distributed as distributed

        together = torch.from_numpy(np.concatenate([array.reshape(-1) for array in arrays]))
        distributed.all_reduce(together)
        parts = np.split(together.numpy(), np.cumsum([array.size for array in arrays])[:-1])
        return tuple(part.reshape(array.shape) for part, array in zip(parts, arrays, strict=True))

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any of the processes."""
        if self.world == 1:
            return flag
        import torch
        import torch.distributed as distributed

        wanted = torch.tensor(int(flag))
        distributed.all_reduce(wanted, op=distributed.ReduceOp.MAX)
        return bool(wanted)


def leave() -> None:
    """Leave the other processes, if there are any: gloo's threads abort a process that ends without."""
    joined = sys.modules.get("torch.distributed")
    if joined is not None and joined.is_available() and joined.is_initialized():
        joined.destroy_process_group()
