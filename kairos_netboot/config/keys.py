"""Every key of the site file: what the reader takes, docs/site-file.md and the JSON schema tell.

A key that is not here is not read; a key without a word on it does not exist.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """`form` is how its value is written, as the docs show it, and a JSON schema's type follows
    from it: a word in capitals stands for a text, `[…]` a list (or one text), `{…}` a mapping,
    `a|b` a choice. `section`: the keys of the mapping that is its value, or of each of its entries
    where `named`. `plain`: what may stand in the mapping's place."""

    name: str
    form: str
    says: str
    default: str = ""
    required: bool = False
    section: str = ""
    named: str = ""  # what the entries' keys are: NAME, NETWORK, HOST[:PORT]
    plain: str = ""


def _key(name: str, form: str, says: str, default: str = "", **more: object) -> Key:
    return Key(name=name, form=form, says=says, default=default, **more)  # type: ignore[arg-type]


SECTIONS: dict[str, tuple[Key, ...]] = {
    "site": (
        _key(
            "registries",
            "{…}",
            "how registries are reached",
            section="registry",
            named="HOST[:PORT]",
        ),
        _key(
            *("images", "{…}", "operating-system images"),
            section="image",
            named="NAME",
            plain="REFERENCE",
        ),
        _key("profiles", "{…}", "how machines are provisioned", section="profile", named="NAME"),
        _key("nodes", "{…}", "the machines", section="node", named="NAME"),
        _key("clusters", "{…}", "nodes that form one Kubernetes", section="cluster", named="NAME"),
        _key(
            *("unknown", "{…}", "machines that nobody named"),
            section="unknown",
            plain="ignore|inventory|PROFILE",
        ),
        _key("phone-home", "{…}", "what installed nodes' agents tell", section="phone-home"),
        _key("webhooks", "[{…}]", "who is told when a node's state changes", section="webhook"),
        _key("vendor-recipes", "{MAC-PREFIX: NAME}", "recipes for all cards of a vendor"),
        _key("boot", "WAY", "how firmware is started, for the whole site"),
        _key("dhcp", "{…}", "our part in DHCP", section="dhcp"),
    ),
    "registry": (
        _key("mirrors", "[URL]", "asked first, in this order"),
        _key("ca", "FILE", "the authority of its certificate"),
        _key("insecure", "true|false", "plain HTTP", "false"),
    ),
    "image": (
        _key("source", "REFERENCE", "where it is taken from", required=True),
        _key("platform", "amd64|arm64|riscv64", "of the machines it is for", "amd64"),
        _key("insecure", "true|false", "plain HTTP to its registry", "false"),
        _key("compression", "auto|zstd|gzip|xz", "of the squashfs", "auto"),
        _key("verify", "FILE", "the public key that must have signed it"),
    ),
    "profile": (
        _key("image", "NAME", "one of `images`; `local` and `menu` can do without"),
        _key(
            "family", "FAMILY", "kairos, talos, flatcar, fedora-coreos, k3os or generic", "kairos"
        ),
        _key("action", "ACTION", "what is done with its machines", "install"),
        _key("cloud-config", "[FILE]", "templates of the document, merged in this order"),
        _key("document", "FILE", "other families' template: machine config, Ignition, …"),
        _key("kernel-args", "[ARG]", "added to the kernel's command line"),
        _key("variables", "{KEY: VALUE}", "for the templates"),
        _key("exit", "METHOD", "how its nodes get from the network to their disk"),
        _key("boot", "WAY", "how their firmware is started"),
        _key("network", "{KEY: [TEXT]}", "the installer's network, as dracut's arguments"),
        _key("document-key", "TEXT", "for trusted boot: opens its nodes' documents"),
        _key("match", "[{…}]", "machines that get it though nobody named them", section="match"),
        _key("hostname", "PATTERN", "the names of machines that were selected"),
        _key("ram", "{…}", "for the action `ram`", section="ram"),
        _key("menu", "{…}", "for the action `menu`", section="menu"),
        _key("disks", "[DISK]", "what `wipe` erases; where some families are installed"),
        _key("ssh-keys", "[KEY]", "who may log in to a `rescue`"),
        _key("timeout", "DURATION", "without a sign of the install: failed; 0: never", "1h"),
        _key("cluster", "NAME", "the cluster that its nodes are in"),
        _key("role", "server|agent", "their role there; without, by count"),
        _key("phone-home", "{…}", "over the site's", section="phone-home"),
    ),
    "match": (
        _key("manufacturer", "PATTERN", "SMBIOS system manufacturer"),
        _key("product", "PATTERN", "SMBIOS product name"),
        _key("serial", "PATTERN", "SMBIOS serial number"),
        _key("asset", "PATTERN", "SMBIOS asset tag"),
        _key("uuid", "PATTERN", "SMBIOS UUID"),
        _key("mac", "PATTERN", "its card's address, or the first bytes of it"),
        _key("vendor", "PATTERN", "its card's vendor, from the IEEE's registry"),
        _key("arch", "PATTERN", "amd64, arm64, riscv64"),
        _key("firmware", "PATTERN", "bios, uefi, u-boot, raspberry-pi"),
        _key("subnet", "NETWORK", "where it asks from"),
        _key("interface", "PATTERN", "our interface that it asks on"),
        _key("switch-port", "PATTERN", "circuit ID of option 82"),
        _key("switch", "PATTERN", "remote ID of option 82"),
        _key("labels", "{KEY: PATTERN}", "its labels"),
    ),
    "ram": (
        _key("partitions", "DISK|auto", "where data partitions are made, in the boot it was armed"),
        _key("wipe", "true|false", "erase that disk first, in the boot it was armed", "false"),
        _key("oem", "MIB", "size of the OEM partition"),
        _key("persistent", "MIB", "size of the persistent partition"),
    ),
    "menu": (
        _key("items", "[ACTION]", "what can be chosen", "[local, rescue]"),
        _key("default", "ACTION", "taken after the time-out", "local"),
        _key("timeout", "DURATION", "0: wait for ever", "10s"),
    ),
    "node": (
        _key("macs", "[MAC]", "every network card; or it is known by one of the next three"),
        _key("uuid", "UUID", "SMBIOS UUID"),
        _key("serial", "TEXT", "SMBIOS serial number"),
        _key("asset", "TEXT", "SMBIOS asset tag"),
        _key("profile", "NAME", "one of `profiles`; without, the selectors choose"),
        _key("labels", "{KEY: TEXT}", "for selectors and templates"),
        _key("cluster", "NAME", "over its profile's"),
        _key("role", "server|agent", "over its profile's"),
        _key("power", "{…}", "how it is switched on and off", section="power"),
        _key("variables", "{KEY: VALUE}", "over the profile's"),
        _key("exit", "METHOD", "over the profile's"),
        _key("boot", "WAY", "over the profile's"),
        _key("recipe", "NAME", "the shape of DHCP answer for this machine's ROM"),
        _key("address", "ADDRESS", "reserved for it, where this server hands out addresses"),
        _key("dhcp", "{OPTION: VALUE}", "over its subnet's"),
    ),
    "power": (
        _key("kind", "redfish|ipmi|wake-on-lan|qemu", "how", required=True),
        _key("address", "ADDRESS", "URL, host, socket or broadcast address"),
        _key("login", "NAME", "credentials: `kairos-netboot power login NAME`"),
        _key("system", "ID", "the Redfish system, where a service has several"),
        _key("ca", "FILE", "the authority of its certificate"),
        _key("insecure", "true|false", "take any certificate", "false"),
    ),
    "cluster": (
        _key("kind", "k3s|p2p|k0s|rke2|kubeadm", "what it is made of", required=True),
        _key("servers", "NUMBER", "how many of its nodes run the control plane", "1"),
        _key("tls-sans", "[NAME]", "further names and addresses in its certificate"),
        _key("vip", "ADDRESS", "kube-vip's address of the control plane"),
        _key("vip-interface", "INTERFACE", "where kube-vip announces it"),
        _key("vpn", "true|false", "p2p: carry the cluster's traffic over EdgeVPN", "true"),
        _key("auto", "true|false", "p2p: the nodes agree on their roles", "true"),
        _key("network-id", "TEXT", "p2p: the network's name", "kairos"),
        _key("server-args", "[ARG]", "further arguments of servers"),
        _key("agent-args", "[ARG]", "further arguments of agents"),
    ),
    "unknown": (
        _key("others", "ignore|inventory|PROFILE", "where no network below says more", "ignore"),
        _key("networks", "{NETWORK: WORD}", "the same for machines that ask from there"),
        _key("approval", "true|false", "a person must say yes even where a selector fits", "false"),
    ),
    "phone-home": (
        _key("enabled", "true|false", "whether agents register here, once this is written", "true"),
        _key("heartbeat", "DURATION", "how often they tell that they live", "30s"),
        _key(
            *("commands", "[COMMAND]", "what they may be ordered to do: also `exec`, `reset`"),
            default="upgrade, upgrade-recovery, reboot, unregister",
        ),
    ),
    "webhook": (
        _key("url", "URL", "where events are posted", required=True),
        _key("secret", "TEXT", "signs what is posted"),
        _key("events", "[EVENT]", "which; without, those that change a state"),
    ),
    "dhcp": (
        _key("mode", "proxy|server|off", "our part", "proxy"),
        _key("listen", "udp|raw", "by sockets, or by packets beside another server", "udp"),
        _key("check-address", "true|false", "try an address before it is offered", "true"),
        _key("despite-others", "true|false", "start as a server although another answers", "false"),
        _key("subnets", "{…}", "the networks", section="subnet", named="NETWORK"),
    ),
    "subnet": (
        _key("ranges", "[FIRST-LAST]", "addresses that are leased"),
        _key("routers", "[ADDRESS]", "default routers"),
        _key("dns", "[ADDRESS]", "name servers"),
        _key("ntp", "[ADDRESS]", "time servers"),
        _key("domain", "NAME", "domain name"),
        _key("mtu", "NUMBER", "of the link"),
        _key("routes", "{NETWORK: ROUTER}", "static routes"),
        _key("lease", "DURATION", "of addresses"),
    ),
}


def names(section: str, also: Iterable[str] = ()) -> tuple[str, ...]:
    """The keys that the reader takes there."""
    return (*(key.name for key in SECTIONS[section]), *also)
