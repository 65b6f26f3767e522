"""Torch on one thread for a while."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import torch
from isac_models.learning.torch_threads import torch_on_one_thread

torch.set_num_threads(3)
with torch_on_one_thread():
    print(torch.get_num_threads())
try:
    with torch_on_one_thread():
        raise ValueError
except ValueError:
    print(torch.get_num_threads())
"""


def test_one_thread_inside_and_as_many_as_before_afterwards() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "3"]
