"""`python -m quantal` is the command `quantal`."""

from __future__ import annotations

from quantal.cli import main

if __name__ == "__main__":
    main()
