"""Whether the image reached this machine whole: what a careless merge of layers loses."""

from __future__ import annotations

import os
from pathlib import Path

CHECKS = Path("/usr/lib/kairos-standin/checks")


def failures(checks: Path = CHECKS) -> list[str]:
    """What is wrong with the files that the upper layers treat in a special way."""
    results = {
        "whiteout not honoured": not (checks / "removed-by-whiteout").exists(),
        "opaque directory not honoured": os.listdir(checks / "opaque") == ["above"],
        "hard link lost": (checks / "hard-link").samefile(checks / "with-capability"),
        "capability lost": _has_capability(checks / "with-capability"),
        "owner lost": (checks / "owned").stat().st_uid == 1234,
        "mode lost": (checks / "owned").stat().st_mode & 0o7777 == 0o4750,
    }
    return [name for name, good in results.items() if not good]


def _has_capability(path: Path) -> bool:
    try:
        return bool(os.getxattr(path, "security.capability"))
    except OSError:
        return False
