"""`scripts/demo`: a rack of two machines installs itself while its timelines are told."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from kairos_netboot.boot.lifecycle import State
from kairos_netboot.errors import NetbootError
from kairos_netboot.values import Firmware, Mac

from .conftest import why_no_lab
from .image.build import build
from .lan import LabError, Lan
from .machine import Machine
from .qemu import MODERN_CPU
from .rack import Rack

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "lab-results" / "demo"
_DONE = (State.READY, State.FAILED)


def main(arguments: list[str]) -> int:
    if len(arguments) > 1 or any(word.startswith("-") for word in arguments):
        print("usage: scripts/demo [IMAGE]", file=sys.stderr)
        return 2
    if reason := why_no_lab():
        print(f"demo: cannot run here: {reason}", file=sys.stderr)
        return 1
    try:
        return _demo(arguments[0] if arguments else "")
    except (LabError, NetbootError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1


def _demo(image: str) -> int:
    own = bool(image)
    if not own:
        _say("building the sample image (minutes the first time, then kept in .cache)")
        image = f"oci-archive:{build(ROOT / '.cache' / 'sample.oci.tar', cache=ROOT / '.cache')}"
    with ExitStack() as stack:
        _say("making a LAN: a switch, the site's own DHCP server, our server")
        lan = stack.enter_context(Lan())
        rack = Rack(lan, image)
        machines = {
            "alpha": _machine(lan, "alpha", Firmware.BIOS, own=own),
            "beta": _machine(lan, "beta", Firmware.UEFI, own=own),
        }
        _say("kairos-netboot apply site.yaml")
        print(rack.apply(machines), end="")
        _say("kairos-netboot serve")
        rack.serve()
        began = time.monotonic()
        for name, machine in machines.items():
            _say(f"power on: {name}, {machine.firmware.upper()} firmware, an empty disk")
            stack.enter_context(machine)
        ready = _watch(rack, machines, patience=3600 if own else 900)
        _say(f"kairos-netboot nodes list     ({time.monotonic() - began:.0f} s after power on)")
        print(rack.cli("nodes", "list"))
        for name in machines:
            _say(f"kairos-netboot nodes show {name}")
            print(rack.cli("nodes", "show", name))
        lan.stop_all()
        shutil.rmtree(RESULTS, ignore_errors=True)
        lan.keep_logs(RESULTS)
    print(f"consoles, packet captures and the server's log: {RESULTS}")
    print("demo: both nodes are ready" if ready else "demo: not every node became ready")
    return 0 if ready else 1


def _machine(lan: Lan, name: str, firmware: Firmware, *, own: bool) -> Machine:
    """An image of the user's own may be large: it is unpacked into memory."""
    last = {"alpha": "0a", "beta": "0b"}[name]
    return Machine(
        lan,
        name,
        firmware=firmware,
        mac=Mac(f"52:54:00:77:00:{last}"),
        memory=6144 if own else 2048,
        disk_gib=40 if own else 8,
        extra=MODERN_CPU if own else (),
    )


def _watch(rack: Rack, machines: Mapping[str, Machine], *, patience: float) -> bool:
    """Tell each timeline as it grows, until all are ready or failed, or patience ends."""
    told = dict.fromkeys(machines, 0)
    began = time.monotonic()
    while time.monotonic() - began < patience:
        states = []
        for name in machines:
            timeline = rack.timeline(name)
            for event in timeline[told[name] :]:
                print(f"  {event.at.astimezone():%H:%M:%S}  {name:6} {event.text}", flush=True)
            told[name] = len(timeline)
            states.append(rack.node(name).state)
        if all(state in _DONE for state in states):
            return all(state is State.READY for state in states)
        time.sleep(1)
    for name, machine in machines.items():
        print(f"--- the end of {name}'s console ---\n{machine.console()[-2000:]}")
    return False


def _say(what: str) -> None:
    print(f"\n=== {what}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
