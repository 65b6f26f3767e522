"""Compiled inner loops behind the physics; every kernel has a plain NumPy counterpart it is checked against.

Importing this package is cheap: numba is imported with the first kernel module that is needed.
Kernels work on float32 (complex arrays come as interleaved float32), release the interpreter lock, and
treat every row alike: splitting a batch anywhere gives the same bits.

A kernel never calls into another file of this package: numba keys its disk cache by the source file of
the kernel alone, so an inlined function from elsewhere would go stale unnoticed. `lanes` is the exception: a
kernel that takes its vectors from there says so (``uses=lanes``), and the cache is keyed by both files.
"""

LINK = ("philox", "propagation", "matched_filter", "pulse", "preamble", "phase", "bursts", "separation")
"""What a link without networks runs, simulated or over a radio."""
MODULES = (
    "philox",
    "propagation",
    "matched_filter",
    "network_data",
    "network_weights",
    "networks",
    "wide_networks",
    "bfloat16",
    "network_inference",
    "sectors",
    "dictionary",
    "pulse",
    "preamble",
    "phase",
    "bursts",
    "separation",
)
