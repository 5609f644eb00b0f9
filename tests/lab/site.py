"""The DHCP servers that a site has of its own, as its operator would have set them up."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

SITE_ADDRESS = "192.168.77.1"
SITE_PREFIX = "fd00:77::"
SUBNET = "192.168.77.0/24"
FIRST, LAST = "192.168.77.100", "192.168.77.199"
LEASE_SECONDS = 3600


class SiteServer(StrEnum):
    DNSMASQ = "dnsmasq"
    KEA = "kea"
    NONE = "none"  # there is no DHCP server but what the test brings


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteDhcp:
    """Leases, and not a word about booting.

    `next_server`: the one line that an operator may add for us. `router_ipv6`: advertises a
    prefix; `dhcp6`: gives addresses out of it, too.
    """

    server: SiteServer = SiteServer.DNSMASQ
    next_server: str = ""
    router_ipv6: bool = False
    dhcp6: bool = False

    @property
    def runs(self) -> bool:
        return self.server is not SiteServer.NONE or self.router_ipv6

    @property
    def ready(self) -> str:
        """What its log says when it serves."""
        if self.server is SiteServer.KEA:
            return "DHCP4_STARTED"
        return "DHCP, IP range" if self.server is SiteServer.DNSMASQ else "router advertisement"

    def argv(self, folder: Path, log: Path) -> list[str]:
        """Its command; `folder` takes its leases. Runs in the foreground."""
        if self.server is SiteServer.KEA:
            config = folder / "kea.json"
            config.write_text(json.dumps(self._kea(folder, log), indent=1))
            # Its lock and pid files would be one set for all lans of this host.
            own = [f"KEA_LOCKFILE_DIR={folder}", f"KEA_PIDFILE_DIR={folder}"]
            return ["env", *own, "kea-dhcp4", "-c", str(config)]
        return self._dnsmasq(folder, log)

    def _dnsmasq(self, folder: Path, log: Path) -> list[str]:
        argv = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--pid-file="]
        argv += ["--port=0", "--no-resolv", "--no-hosts", "--user=root", "--interface=eth0"]
        argv += ["--dhcp-authoritative", "--no-ping", "--log-dhcp"]
        argv += [f"--dhcp-leasefile={folder / 'dnsmasq.leases'}", f"--log-facility={log}"]
        if self.server is SiteServer.DNSMASQ:
            argv += [f"--dhcp-range={FIRST},{LAST},255.255.255.0,{LEASE_SECONDS}"]
        if self.next_server:
            argv += [f"--dhcp-boot=,,{self.next_server}"]
        return [*argv, *self._ipv6()]

    def _ipv6(self) -> Sequence[str]:
        if not self.router_ipv6:
            return ()
        # `::1000` behind the prefix: dnsmasq then sets the M flag, and firmware asks for one.
        span = f"{SITE_PREFIX}1000,{SITE_PREFIX}1fff,64" if self.dhcp6 else f"{SITE_PREFIX},ra-only"
        return ("--enable-ra", f"--dhcp-range={span},{LEASE_SECONDS}")

    def _kea(self, folder: Path, log: Path) -> dict[str, object]:
        """Kea has no router advertisements: IPv6 beside it is not built here."""
        subnet: dict[str, object] = {"subnet": SUBNET, "pools": [{"pool": f"{FIRST} - {LAST}"}]}
        if self.next_server:
            subnet["next-server"] = self.next_server
        leases = {"type": "memfile", "name": str(folder / "kea.leases")}
        output = {"output": str(log), "flush": True}
        logger = {"name": "kea-dhcp4", "severity": "INFO", "output_options": [output]}
        return {
            "Dhcp4": {
                "interfaces-config": {"interfaces": ["eth0"]},
                "lease-database": leases,
                "valid-lifetime": LEASE_SECONDS,
                "subnet4": [subnet],
                "loggers": [logger],
            }
        }
