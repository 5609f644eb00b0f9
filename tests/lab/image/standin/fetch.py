"""Fetch a config_url the way Kairos does, with curl in the place of Go's client."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from .console import say
from .documents import has_header

ATTEMPTS = 3
PAUSE = 1.0


def fetch(url: str) -> str | None:
    """The text of a document; None for whatever went wrong (Kairos is silent about it, too)."""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(PAUSE)
        text = _get(url)
        if text is not None and has_header(text):
            return text
    say("config_url gave no document: taken for an empty one")
    return None


def _get(url: str) -> str | None:
    with TemporaryDirectory() as folder:
        body = Path(folder) / "body"
        # No time limit and redirects followed, like Go's http.Get; globoff keeps [] in URLs.
        command = ["curl", "-sSLg", "--max-redirs", "10", "-o", str(body), "-w", "%{http_code}"]
        done = subprocess.run([*command, url], capture_output=True, text=True, check=False)
        if done.returncode or done.stdout != "200" or not body.exists():
            return None
        return body.read_text(errors="replace")
