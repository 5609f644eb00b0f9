"""The documents of live systems."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from kairos_netboot.boot.actions import Action
from kairos_netboot.cloudconfig.live import Live, live_document

KEY = "ssh-ed25519 AAAA somebody"
REPORTS = "http://192.0.2.1:8080/reports/abc"
LIVE = (Action.RESCUE, Action.RECOVERY, Action.WIPE, Action.SHELL)


def _document(action: Action, **changes: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"disks": ("/dev/vdb",), "ssh_keys": (KEY,), **changes}
    text = live_document(Live(action=action, hostname="alpha", report_url=REPORTS, **given))
    assert text.startswith("#cloud-config\n")
    assert "{{" not in text  # yip would expand it
    read = yaml.safe_load(text)
    assert isinstance(read, dict)
    return read


@pytest.mark.parametrize("action", LIVE)
def test_nothing_is_installed_or_fetched_after_it(action: Action) -> None:
    document = _document(action)
    assert document["config_url"] == ""
    assert "install" not in document


def test_who_may_log_in_to_a_rescue_has_a_key() -> None:
    stages = _document(Action.RESCUE)["stages"]
    assert stages["initramfs"] == [
        {
            "name": "kairos-netboot: who may log in",
            "hostname": "alpha",
            "files": [
                {
                    "path": "/etc/ssh/sshd_config.d/00-kairos-netboot.conf",
                    "permissions": 0o600,
                    "content": "PasswordAuthentication no\nKbdInteractiveAuthentication no\n",
                }
            ],
            "users": {"kairos": {"groups": ["admin"], "ssh_authorized_keys": [KEY]}},
        }
    ]


def test_without_keys_nobody_gets_in_by_the_network() -> None:
    (entry,) = _document(Action.RESCUE, ssh_keys=())["stages"]["initramfs"]
    assert "users" not in entry
    assert "PasswordAuthentication no" in entry["files"][0]["content"]


@pytest.mark.parametrize("action", [Action.RESCUE, Action.RECOVERY])
def test_a_live_system_tells_that_it_is_up_and_where(action: Action) -> None:
    (entry,) = _document(action)["stages"]["network"]
    (command,) = entry["commands"]
    assert f'{REPORTS}/"$event"' in command
    assert "tell 60 live-ready" in command


def test_a_wipe_runs_the_eraser_and_lets_nobody_in() -> None:
    stages = _document(Action.WIPE)["stages"]
    assert list(stages) == ["network"]
    assert "set -- /dev/vdb\n" in stages["network"][0]["commands"][0]


def test_a_recovery_is_reached_by_its_own_network_where_it_has_one() -> None:
    assert _document(Action.RECOVERY, network_token="b3Rw")["p2p"] == {"network_token": "b3Rw"}
    assert "p2p" not in _document(Action.RECOVERY)
    assert "p2p" not in _document(Action.RESCUE, network_token="b3Rw")


def test_a_shell_has_nothing_to_run() -> None:
    assert _document(Action.SHELL)["stages"] == {}
