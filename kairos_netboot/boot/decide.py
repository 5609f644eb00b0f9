"""What a machine gets, and why: one function for DHCP, TFTP, HTTP, `explain` and the tests."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from ipaddress import IPv4Address

from ..values import Arch, Firmware, Mac
from .actions import Action, Menu, disks_of
from .clusters import waits_for
from .fleet import Fleet, Node
from .lifecycle import MAX_BOOTS, MAY_INSTALL, MAY_WIPE, State
from .misfit import misfit, too_much
from .site import DEFAULT_EXITS, ExitMethod, Image, Medium, Profile
from .unknown import INVENTORY, word_for


class Outcome(StrEnum):
    NOTHING = "nothing"  # no answer at all
    INSTALL = "install"
    LIVE = "live"  # a system from memory: `action` says which
    DISK = "disk"  # out of the network, to its disk, by `exit`
    WAIT = "wait"  # asks again until another node is there
    INVENTORY = "inventory"  # tells what it is, then its disk
    MENU = "menu"  # a person at its console chooses


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """`reason` is a sentence for people. `brake`: the node has used up its boots and has to be
    marked failed. `profile` is there with all but NOTHING and INVENTORY, `image` with INSTALL and
    LIVE, `exit` with DISK and INVENTORY, `menu` (as it may be offered now) with MENU. `action` is
    what is done, where something is. `restarts`: what it waits for is started by firmware alone."""

    outcome: Outcome
    reason: str
    node: Node | None = None
    profile: Profile | None = None
    image: Image | None = None
    exit: ExitMethod | None = None
    brake: bool = False
    action: Action | None = None
    menu: Menu = field(default_factory=Menu)
    restarts: bool = False

    @property
    def loads(self) -> bool:
        """Whether a kernel of ours is started, by a boot plan."""
        return self.outcome in (Outcome.INSTALL, Outcome.LIVE)


def decide(
    fleet: Fleet,
    mac: Mac,
    firmware: Firmware | None,
    arch: Arch | None,
    *,
    chosen: Action | None = None,
    network: IPv4Address | None = None,
) -> Decision:
    """The decision for one machine as it stands now. `firmware` and `arch`: None when unknown.
    `chosen`: at its console, of its menu. `network`: an address of the one it asks from now."""
    node = fleet.by_mac.get(mac)
    if node is None or node.spec is None or node.state is State.DISCOVERED:
        return _unnamed(fleet, mac, node, firmware, network)
    if node.denied:
        return _nothing(node, f"{node.name} was denied: `kairos-netboot nodes approve` undoes it")
    profile = fleet.profiles.get(node.spec.profile)
    if profile is None:
        return _nothing(node, f"its profile '{node.spec.profile}' is not in the site any more")
    action = _action(node, profile, chosen)
    if action is Action.MENU:
        return _to_menu(node, profile)
    if action is Action.INSTALL:
        return _to_install(fleet, node, profile, firmware, arch)
    if action is Action.WIPE:
        return _to_wipe(fleet, node, profile, firmware, arch)
    if action is Action.LOCAL:
        return _to_local(node, profile, firmware)
    return _load(fleet, node, profile, firmware, arch, action)


def _action(node: Node, profile: Profile, chosen: Action | None) -> Action:
    """A person's order comes first; what was chosen counts where there is a menu that offers it."""
    action = profile.action
    if node.order is not None:
        action = node.order.action
    elif node.state in MAY_WIPE:
        action = Action.WIPE
    if action is Action.MENU and chosen in profile.menu.items:
        return chosen or Action.MENU
    return action


def _to_local(node: Node, profile: Profile, firmware: Firmware | None) -> Decision:
    """An order is carried out where the machine asks for its script: silence would not end it."""
    local = _disk(node, profile, firmware, f"{node.name} boots its disk")
    ends = node.order is not None and local.exit is ExitMethod.SILENCE
    return replace(local, action=Action.LOCAL, exit=ExitMethod.EXIT if ends else local.exit)


def _to_menu(node: Node, profile: Profile) -> Decision:
    """An install is offered only while one may begin, and nothing that lacks its image."""
    may_install = node.state in MAY_INSTALL and node.boots < MAX_BOOTS
    items = [item for item in profile.menu.items if may_install or item is not Action.INSTALL]
    items = [item for item in items if profile.image or item is Action.LOCAL] or [Action.LOCAL]
    usual = profile.menu.default
    default = usual if usual in items else items[0]
    if default is not usual and Action.LOCAL in items:
        default = Action.LOCAL
    return Decision(
        outcome=Outcome.MENU,
        reason=f"{node.name} chooses on its console",
        node=node,
        profile=profile,
        menu=replace(profile.menu, items=tuple(items), default=default),
    )


def _unnamed(
    fleet: Fleet,
    mac: Mac,
    node: Node | None,
    firmware: Firmware | None,
    network: IPv4Address | None,
) -> Decision:
    """Machines without a name, or without a profile yet."""
    if node is not None and node.denied:
        return _nothing(node, f"{mac} was denied: `kairos-netboot nodes approve` undoes it")
    who = f"nobody named {mac}"
    if node is not None and node.spec is not None:
        who = f"no selector has chosen a profile for {node.name}"
    word = word_for(fleet.unknown, node, network)
    if word == INVENTORY:
        reason = f"{who}: it is asked what it is, and boots its disk"
        own = DEFAULT_EXITS[firmware or Firmware.BIOS]
        return Decision(outcome=Outcome.INVENTORY, reason=reason, node=node, exit=own)
    if node is not None and node.spec is not None:
        return _nothing(node, f"{who}: it has not told what they ask for")
    return _nothing(node, f"{who}: give it a node in the site file")


def _to_install(
    fleet: Fleet, node: Node, profile: Profile, firmware: Firmware | None, arch: Arch | None
) -> Decision:
    if node.state not in MAY_INSTALL:
        return _disk(node, profile, firmware, _WHY_DISK[node.state].format(name=node.name))
    if node.boots >= MAX_BOOTS:
        return _braked(node, profile, firmware, "installer", "nodes reinstall")
    return _load(fleet, node, profile, firmware, arch, Action.INSTALL)


def _to_wipe(
    fleet: Fleet, node: Node, profile: Profile, firmware: Firmware | None, arch: Arch | None
) -> Decision:
    if node.state not in MAY_WIPE:
        reason = f"{node.name} is not to be wiped before `kairos-netboot nodes wipe {node.name}`"
        if node.state is State.WIPED:
            reason = f"{node.name} is wiped: it gets no more until somebody arms it"
        return _disk(node, profile, firmware, reason)
    if node.boots >= MAX_BOOTS:
        return _braked(node, profile, firmware, "eraser", "nodes wipe")
    if not disks_of(node.order, profile.disks):
        reason = f"{node.name} is to be wiped, but nobody says which disks: order it anew"
        return _disk(node, profile, firmware, reason)
    return _load(fleet, node, profile, firmware, arch, Action.WIPE)


def _braked(
    node: Node, profile: Profile, firmware: Firmware | None, what: str, command: str
) -> Decision:
    reason = (
        f"{node.name} started the {what} {node.boots} times and never finished: "
        f"stopped until `kairos-netboot {command} {node.name}`"
    )
    return _disk(node, profile, firmware, reason, brake=True)


_WHY_DISK = {
    State.IDLE: "{name} is not armed: `kairos-netboot nodes reinstall {name}` arms it",
    State.INSTALLED: "{name} is installed: it boots its disk",
    State.READY: "{name} is installed and ready: it boots its disk",
    State.FAILED: "{name} has failed: it gets no installer until `kairos-netboot nodes "
    "reinstall {name}`",
    State.LIVE: "{name} ran from memory and is not armed: `kairos-netboot nodes reinstall {name}` "
    "arms it",
    State.CONDEMNED: "{name} is to be wiped, not installed",
    State.WIPING: "{name} is being wiped, not installed",
    State.WIPED: "{name} is wiped: `kairos-netboot nodes reinstall {name}` arms it",
}


# What is started with a place in its cluster.
_OF_CLUSTERS = (Action.INSTALL, Action.RAM)


def _nothing(node: Node | None, reason: str) -> Decision:
    return Decision(outcome=Outcome.NOTHING, reason=reason, node=node)


def _disk(
    node: Node, profile: Profile, firmware: Firmware | None, reason: str, *, brake: bool = False
) -> Decision:
    return Decision(
        outcome=Outcome.DISK,
        reason=reason,
        node=node,
        profile=profile,
        exit=exit_method(node, profile, firmware),
        brake=brake,
    )


def exit_method(node: Node, profile: Profile, firmware: Firmware | None) -> ExitMethod:
    """The node's own setting, then its profile's, then what suits the firmware."""
    firmware = firmware or Firmware.BIOS
    own = node.spec.exits if node.spec else {}
    return own.get(firmware) or profile.exits.get(firmware) or DEFAULT_EXITS[firmware]


def _load(
    fleet: Fleet,
    node: Node,
    profile: Profile,
    firmware: Firmware | None,
    arch: Arch | None,
    action: Action,
) -> Decision:
    image = fleet.images.get(profile.image)
    if image is None and not profile.image:
        why = f"'{action}' needs an image, and profile '{profile.name}' has none"
        return _nothing(node, f"{node.name} does nothing: {why}")
    if image is None:
        return _nothing(
            node,
            f"image '{profile.image}' of profile '{profile.name}' is not here: "
            "`kairos-netboot apply` the site file again",
        )
    if why := misfit(node, image, firmware, arch) or too_much(node, profile, image, action):
        return _nothing(node, why)
    if action in _OF_CLUSTERS and (waits := waits_for(fleet, node)):
        return Decision(
            outcome=Outcome.WAIT,
            reason=f"{node.name} is {node.state} and {waits}",
            node=node,
            profile=profile,
            restarts=isinstance(image.files, Medium),
        )
    does = "installs" if action is Action.INSTALL else f"does '{action}' with"
    reason = f"{node.name} is {node.state}: profile '{profile.name}' {does} '{image.name}'"
    return Decision(
        outcome=Outcome.INSTALL if action is Action.INSTALL else Outcome.LIVE,
        reason=reason,
        node=node,
        profile=profile,
        image=image,
        action=action,
    )
