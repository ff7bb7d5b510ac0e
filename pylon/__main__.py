"""`python -m pylon` is the command `pylon`."""

from __future__ import annotations

from pylon.cli.main import main

if __name__ == "__main__":
    main()
