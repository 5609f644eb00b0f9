"""The life of a node: one table, `(state, event) → state`. Users' disks depend on it.

An event that the table does not name for a state changes nothing: a late or repeated report
is written to the timeline and that is all.
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    DISCOVERED = "discovered"  # asked to boot, but nobody named it: gets no answer
    ARMED = "armed"  # will be installed when it next boots from the network
    BOOTING = "booting"  # has been handed the installer
    INSTALLING = "installing"  # the installer has reported
    INSTALLED = "installed"  # the installer has finished: boots its disk from now on
    READY = "ready"  # the installed system has reported
    FAILED = "failed"  # gets no more installs until someone re-arms it


class Kind(StrEnum):
    """What can happen to a node. Those in the table can change its state; the rest only tell."""

    DISCOVERED = "discovered"
    NAMED = "named"
    KEPT = "kept"  # it has, or was given, a card of a machine that was installed before
    REARMED = "re-armed"
    BOOT_STARTED = "boot-started"
    INSTALL_STARTED = "install-started"
    INSTALL_STEP = "install-step"
    INSTALL_FINISHED = "install-finished"
    BRAKED = "braked"
    READY = "ready"
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


_S, _K = State, Kind
_IN_THE_MIDDLE = (_S.BOOTING, _S.INSTALLING)

TABLE: dict[tuple[State, Kind], State] = {
    (_S.DISCOVERED, _K.NAMED): _S.ARMED,
    # What an edit of the site file puts together or takes apart never gets an installer by itself.
    **{(s, _K.KEPT): _S.INSTALLED for s in (_S.DISCOVERED, _S.ARMED, *_IN_THE_MIDDLE)},
    **{(state, _K.REARMED): _S.ARMED for state in State if state is not _S.DISCOVERED},
    (_S.ARMED, _K.BOOT_STARTED): _S.BOOTING,
    # A restart in the middle of an install begins it anew; the brake bounds how often.
    **{(state, _K.BOOT_STARTED): _S.BOOTING for state in _IN_THE_MIDDLE},
    **{(state, _K.INSTALL_STARTED): _S.INSTALLING for state in _IN_THE_MIDDLE},
    **{(state, _K.INSTALL_STEP): _S.INSTALLING for state in _IN_THE_MIDDLE},
    **{(state, _K.INSTALL_FINISHED): _S.INSTALLED for state in _IN_THE_MIDDLE},
    **{(state, _K.BRAKED): _S.FAILED for state in _IN_THE_MIDDLE},
    # A system that runs from its disk is the proof, even where the installer's last report
    # was lost or somebody gave the node up too early.
    **{(state, _K.READY): _S.READY for state in (*_IN_THE_MIDDLE, _S.INSTALLED, _S.FAILED)},
}

# A machine that came this far is not installed again unless someone says so by hand.
SETTLED = frozenset({State.INSTALLED, State.READY, State.FAILED})

# Only these are handed an installer and its document.
MAY_INSTALL = frozenset({State.ARMED, State.BOOTING, State.INSTALLING})

# How many times one arming may start the installer before the brake holds.
MAX_BOOTS = 3


def advance(state: State, event: Kind) -> State:
    """The state after an event; the same state where the event means nothing to it."""
    return TABLE.get((state, event), state)


def fold(state: State, boots: int, event: Kind) -> tuple[State, int]:
    """The state after an event, and how often the installer was started since the arming."""
    if (state, event) not in TABLE:
        return state, boots
    if event in (Kind.NAMED, Kind.REARMED):
        boots = 0
    elif event is Kind.BOOT_STARTED:
        boots += 1
    return advance(state, event), boots
