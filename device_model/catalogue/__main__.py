"""`python -m device_model.catalogue`: write catalogue.json from the YAML files beside it."""

from __future__ import annotations

import sys
from pathlib import Path

from device_model.catalogue import generate


def main() -> int:
    """Write the file; 0 if done, 1 with the fault on stderr."""
    try:
        text = generate()
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    Path(__file__).with_name("catalogue.json").write_bytes(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
