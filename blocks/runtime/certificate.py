"""``python -m blocks.runtime.certificate FOLDER NAME``: make a CURVE key for a deployment."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from blocks.runtime.transport import create_certificate


def main(arguments: list[str] | None = None) -> int:
    """Write FOLDER/NAME.key_secret; exit status 2 if the folder cannot be written."""
    parser = argparse.ArgumentParser(description="Make a CURVE key for the tcp pipes of a deployment.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("name")
    options = parser.parse_args(arguments)
    secret = options.folder / f"{options.name}.key_secret"
    if secret.exists():
        print(f"error: {secret} exists already: choose another name", file=sys.stderr)
        return 2
    try:
        options.folder.mkdir(parents=True, exist_ok=True)
        print(create_certificate(options.folder, options.name))
    except OSError as error:
        print(f"error: cannot write {secret}: {error.strerror}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
