from __future__ import annotations

import errno
import sys
from pathlib import Path

import pytest

from kairos_netboot.server.udp import cannot_bind, interface_name


def test_a_missing_right_names_three_ways_out() -> None:
    message = str(cannot_bind(PermissionError(errno.EACCES, ""), "0.0.0.0", 69, "--tftp-port"))
    assert message == (
        "UDP port 69 on 0.0.0.0 may not be opened by this user: run as root, give --tftp-port"
        f" above 1023, or: setcap cap_net_bind_service=+ep {Path(sys.executable).resolve()}"
    )


def test_an_address_of_another_machine_is_named() -> None:
    problem = cannot_bind(OSError(errno.EADDRNOTAVAIL, ""), "192.0.2.1", 67, "--dhcp-port")
    assert str(problem) == (
        "UDP port 67 on 192.0.2.1 cannot be opened: no interface here has that address;"
        " give one that `ip address` shows, or 0.0.0.0"
    )


def test_a_port_held_by_nobody_we_can_see_is_still_named() -> None:
    problem = cannot_bind(OSError(errno.EADDRINUSE, ""), "0.0.0.0", 0x1FFFF, "--tftp-port")
    assert str(problem) == (
        "UDP port 131071 on 0.0.0.0 is taken by another program: stop it or choose --tftp-port"
    )


def test_beside_another_dhcp_daemon_there_is_a_third_way_out() -> None:
    problem = cannot_bind(OSError(errno.EADDRINUSE, ""), "0.0.0.0", 0x1FFFF, "--dhcp-port")
    assert str(problem) == (
        "UDP port 131071 on 0.0.0.0 is taken by another program: stop it, work beside it with "
        "`dhcp: {listen: raw}` in the site file, or choose --dhcp-port"
    )


@pytest.mark.parametrize("error", [OSError(errno.ENOBUFS, "No buffer space"), OSError("odd")])
def test_any_other_error_keeps_the_words_of_the_system(error: OSError) -> None:
    message = str(cannot_bind(error, "0.0.0.0", 69, "--tftp-port"))
    assert message == f"UDP port 69 on 0.0.0.0 cannot be opened: {error.strerror or error}"


def test_an_interface_that_is_gone_still_has_a_name() -> None:
    assert interface_name(2**31 - 1) == "interface 2147483647"
