from __future__ import annotations

from kairos_netboot.images.progress import Progress


def test_progress_is_a_value() -> None:
    assert Progress(step="s", done=1, total=None) == Progress(step="s", done=1, total=None)
