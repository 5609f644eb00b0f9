"""The agent's command line: `install` in the live system, `boot` in the installed one."""

from __future__ import annotations

import sys
from pathlib import Path

from .checks import failures
from .cmdline import BootState, boot_state, wants_install
from .console import say


def main(arguments: list[str]) -> int:
    """Do one verb; a failure is one line on the console and a non-zero exit."""
    cmdline = Path("/proc/cmdline").read_text()
    try:
        return _do(arguments[0] if arguments else "", cmdline)
    except Exception as error:
        say(f"failed: {str(error) or type(error).__name__}")
        return 1


def _do(verb: str, cmdline: str) -> int:
    if verb == "install" and wants_install(cmdline):
        from .install import install

        say(f"image check: {', '.join(failures()) or 'good'}")
        install(cmdline)
    elif verb == "boot" and boot_state(cmdline) is BootState.ACTIVE:
        from .boot import boot

        boot(cmdline)
    elif verb not in ("install", "boot"):
        sys.stderr.write("usage: kairos-standin-agent install|boot (this is not Kairos)\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
