"""`python -m kairos_netboot`."""

from __future__ import annotations

from .cli.main import main

main()
