"""The life of a node: one table, `(state, event) → state`. Users' disks depend on it.

An event that the table does not name for a state changes nothing: a late or repeated report
is written to the timeline and that is all.
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    DISCOVERED = "discovered"  # asked to boot, but nobody named it: gets no answer
    IDLE = "idle"  # named and armed for nothing: nothing on its disks is touched
    ARMED = "armed"  # will be installed when it next boots from the network
    BOOTING = "booting"  # has been handed the installer
    INSTALLING = "installing"  # the installer has reported
    INSTALLED = "installed"  # the installer has finished: boots its disk from now on
    READY = "ready"  # the installed system has reported
    FAILED = "failed"  # gets no more installs until someone re-arms it
    LIVE = "live"  # runs from memory (`ram`) and has not reported yet
    CONDEMNED = "condemned"  # its disks are erased when it next boots from the network
    WIPING = "wiping"  # has been handed what erases them
    WIPED = "wiped"  # its disks are empty


class Kind(StrEnum):
    """What can happen to a node. Those in the table can change its state; the rest only tell."""

    DISCOVERED = "discovered"
    NAMED = "named"
    LISTED = "listed"  # named, with a profile that destroys nothing or waits for an order
    DISARMED = "disarmed"  # what it was armed for is not what its profile does any more
    KEPT = "kept"  # it has, or was given, a card of a machine that was installed before
    REARMED = "re-armed"
    BOOT_STARTED = "boot-started"
    INSTALL_STARTED = "install-started"
    INSTALL_STEP = "install-step"
    INSTALL_FINISHED = "install-finished"
    INSTALL_FAILED = "install-failed"
    TIMED_OUT = "timed-out"
    BRAKED = "braked"
    READY = "ready"
    RAM_STARTED = "ram-started"
    WIPE_ORDERED = "wipe-ordered"
    WIPE_STARTED = "wipe-started"
    WIPE_FINISHED = "wipe-finished"
    # These only tell.
    SETTINGS = "settings"
    DHCP_OFFER = "dhcp-offer"
    BOOT_SERVER = "boot-server"
    LEFT_ALONE = "left-alone"
    LOADER = "loader"
    FILE = "file"
    DOCUMENT = "document"
    BOOT_FAILED = "boot-failed"
    REFUSED = "refused"
    LIVE_STARTED = "live-started"  # a rescue, recovery or shell: its disks stay as they are
    ORDERED = "ordered"  # what a person wants done at its next boot
    WAITING = "waiting"  # for another node of its cluster
    INVENTORY = "inventory"
    DENIED = "denied"
    APPROVED = "approved"
    REPLACED = "replaced"
    LOG = "log"  # the installer's own words
    AGENT = "agent"  # what its Kairos agent told by phone-home
    COMMAND = "command"  # what its agent was ordered to do, and did
    POWER = "power"


_S, _K = State, Kind
_IN_THE_MIDDLE = (_S.BOOTING, _S.INSTALLING)
_ERASING = (_S.CONDEMNED, _S.WIPING)
_NAMED = tuple(state for state in State if state is not _S.DISCOVERED)

TABLE: dict[tuple[State, Kind], State] = {
    (_S.DISCOVERED, _K.NAMED): _S.ARMED,
    (_S.DISCOVERED, _K.LISTED): _S.IDLE,
    # What an edit of the site file puts together or takes apart never gets an installer by itself.
    **{(s, _K.KEPT): _S.INSTALLED for s in (_S.DISCOVERED, _S.IDLE, _S.ARMED, *_IN_THE_MIDDLE)},
    **{(s, _K.DISARMED): _S.IDLE for s in (_S.ARMED, *_IN_THE_MIDDLE, *_ERASING)},
    **{(state, _K.REARMED): _S.ARMED for state in _NAMED},
    (_S.ARMED, _K.BOOT_STARTED): _S.BOOTING,
    # A restart in the middle of an install begins it anew; the brake bounds how often.
    **{(state, _K.BOOT_STARTED): _S.BOOTING for state in _IN_THE_MIDDLE},
    **{(state, _K.INSTALL_STARTED): _S.INSTALLING for state in _IN_THE_MIDDLE},
    **{(state, _K.INSTALL_STEP): _S.INSTALLING for state in _IN_THE_MIDDLE},
    # An end is an end, even where the node was given up for lost before.
    **{(state, _K.INSTALL_FINISHED): _S.INSTALLED for state in (*_IN_THE_MIDDLE, _S.FAILED)},
    **{(state, _K.INSTALL_FAILED): _S.FAILED for state in _IN_THE_MIDDLE},
    **{(state, _K.BRAKED): _S.FAILED for state in (*_IN_THE_MIDDLE, _S.WIPING)},
    **{(state, _K.TIMED_OUT): _S.FAILED for state in (*_IN_THE_MIDDLE, _S.LIVE, _S.WIPING)},
    # A system that runs is the proof, even where the installer's last report was lost or
    # somebody gave the node up too early.
    **{
        (state, _K.READY): _S.READY for state in (*_IN_THE_MIDDLE, _S.INSTALLED, _S.FAILED, _S.LIVE)
    },
    # From memory at each boot. It disarms: what starts is not what was armed.
    **{(state, _K.RAM_STARTED): _S.LIVE for state in _NAMED},
    **{(state, _K.WIPE_ORDERED): _S.CONDEMNED for state in _NAMED},
    **{(state, _K.WIPE_STARTED): _S.WIPING for state in _ERASING},
    (_S.WIPING, _K.WIPE_FINISHED): _S.WIPED,
}

# A machine that came this far is not installed again unless someone says so by hand.
SETTLED = frozenset({State.INSTALLED, State.READY, State.FAILED, State.LIVE, State.WIPED})

# Only these are handed an installer and its document.
MAY_INSTALL = frozenset({State.ARMED, State.BOOTING, State.INSTALLING})

# Only these are handed what erases disks.
MAY_WIPE = frozenset(_ERASING)

# How many times one arming may start the installer, or the eraser, before the brake
# holds.
MAX_BOOTS = 3
COUNTED = (Kind.BOOT_STARTED, Kind.WIPE_STARTED)
_ORDERS = (Kind.NAMED, Kind.REARMED, Kind.WIPE_ORDERED)


def advance(state: State, event: Kind) -> State:
    """The state after an event; the same state where the event means nothing to it."""
    return TABLE.get((state, event), state)


def fold(state: State, boots: int, event: Kind) -> tuple[State, int]:
    """The state after an event, and how often what destroys was started since the order for it."""
    if (state, event) not in TABLE:
        return state, boots
    if event in _ORDERS:
        boots = 0
    elif event in COUNTED:
        boots += 1
    return advance(state, event), boots


def may_start(state: State, boots: int, start: Kind) -> bool:
    """Whether a boot of this kind may begin now. What destroys nothing always may."""
    if start is Kind.BOOT_STARTED:
        return state in MAY_INSTALL and boots < MAX_BOOTS
    if start is Kind.WIPE_STARTED:
        return state in MAY_WIPE and boots < MAX_BOOTS
    return state is not State.DISCOVERED
