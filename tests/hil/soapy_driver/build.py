"""Build the SoapySDR driver: ``python -m tests.hil.soapy_driver.build out/soapy``, then
``SOAPY_SDR_PLUGIN_PATH=out/soapy SoapySDRUtil --find=driver=isacstream,address=127.0.0.1:5510``."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).with_name("isac_stream.cpp")
FLAGS = ("-std=c++17", "-O2", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", "-pthread")
SECONDS = 120


class Missing(RuntimeError):
    """What is needed for the driver is not installed; one line."""


def build(folder: Path) -> Path:
    """Compile into `folder`; the library. Raises Missing, RuntimeError with what the compiler says."""
    compiler = os.environ.get("CXX") or shutil.which("g++") or ""
    if not compiler:
        raise Missing("there is no C++ compiler: apt-get install g++")
    header = "#include <SoapySDR/Device.hpp>\n"
    check = [compiler, "-std=c++17", "-E", "-x", "c++", "-", "-o", os.devnull]
    if _run(check, header).returncode:
        raise Missing("SoapySDR's headers are missing: apt-get install libsoapysdr-dev")
    folder.mkdir(parents=True, exist_ok=True)
    library = folder / "libisacstream.so"
    done = _run([compiler, *FLAGS, str(SOURCE), "-o", str(library), "-lSoapySDR"])
    if done.returncode:
        raise RuntimeError(f"the driver does not compile:\n{done.stderr}")
    return library


def _run(command: list[str], text: str = "") -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, input=text, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except OSError as error:
        raise Missing(f"{command[0]} cannot be run: {error.strerror}") from None


if __name__ == "__main__":
    try:
        print(build(Path(sys.argv[1] if len(sys.argv) > 1 else "out/soapy")))
    except RuntimeError as problem:
        sys.exit(f"error: {problem}")
