"""Radios by name; a backend is imported when it is chosen, and what it needs then."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any

from blocks.radio.interface import Radio, RadioError

RADIOS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "sim": ("blocks.radio.sim", "SimRadio"),
        "zmq": ("blocks.radio.zmq", "ZmqRadio"),
        "soapy": ("blocks.radio.soapy", "SoapyRadio"),
        "iio": ("blocks.radio.iio", "IioRadio"),
        "uhd": ("blocks.radio.uhd", "UhdRadio"),
    }
)
"""Module and class of every radio."""
INSTALL = {
    "SoapySDR": "apt-get install python3-soapysdr",
    "adi": 'pip install pyadi-iio "pylibiio<1"',
    "iio": 'pip install "pylibiio<1"',
    "uhd": "apt-get install python3-uhd",
    "zmq": "pip install pyzmq",
}


def radio_class(name: str) -> type[Radio]:
    """The class behind a name.

    Raises RadioError for an unknown name, or a library that is not installed.
    """
    if name not in RADIOS:
        raise RadioError(f"there is no radio {name!r}: choose one of {', '.join(RADIOS)}")
    module, kind = RADIOS[name]
    try:
        found: type[Radio] = getattr(import_module(module), kind)
    except ModuleNotFoundError as error:
        raise missing(name, error) from None
    return found


def open_radio(name: str, **options: Any) -> Radio:
    """Open a radio; `options` are those of its class.

    Raises RadioError, one line, for an unknown name or option, a library that is not installed, or a device
    that cannot be reached.
    """
    kind = radio_class(name)
    known = inspect.signature(kind).parameters
    for option in options:
        if option not in known:
            raise RadioError(f"the {name} radio has no option {option!r}: it has {', '.join(known)}")
    needed = [n for n, p in known.items() if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
    if absent := [option for option in needed if option not in options]:
        raise RadioError(f"the {name} radio needs the option {absent[0]!r}")
    try:
        return kind(**options)
    except ModuleNotFoundError as error:  # of a library that is imported with the first device
        raise missing(name, error) from None


def missing(name: str, error: ModuleNotFoundError) -> RadioError:
    """What to tell a user whose Python lacks a library."""
    library = (error.name or "").partition(".")[0]
    if library == "blocks":
        return RadioError(f"the {name} radio is not part of this installation")
    how = INSTALL.get(library, f"install {library}")
    return RadioError(f"the {name} radio needs {library}, which this Python does not have: {how}")
