"""The commands, on a state directory of their own and without a server."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kairos_netboot.boot.site import Image, ImageSource
from kairos_netboot.cli import site as site_command
from kairos_netboot.cli.main import app
from kairos_netboot.errors import NetbootError, SiteMistake, UnknownName
from kairos_netboot.images.progress import Progress
from kairos_netboot.store.store import Store
from kairos_netboot.values import Mac
from tests.unit.boot.sample import DOCUMENT, IMAGE
from tests.unit.store.sample import make_image

SITE = """\
images:
  debian: registry.example/debian:12
profiles:
  server:
    image: debian
    cloud-config: base.yaml
    variables: {password: hunter2}
nodes:
  alpha: {macs: 52:54:00:00:00:01, profile: server}
"""
Run = Callable[..., str]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    document = DOCUMENT.replace("install:", "    passwd: {{ password }}\ninstall:", 1)
    document = document.replace(
        "    groups: [admin]\n    passwd", "    groups: [admin]\n    passwd"
    )
    (tmp_path / "base.yaml").write_text(document)
    (tmp_path / "site.yaml").write_text(SITE)
    return tmp_path


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    def fetch(wanted: ImageSource, store: Store, *_: object) -> Image:
        """The image's own making has tests of its own; here it is at hand."""
        made = make_image(store.blobs, wanted.reference, wanted.name)
        image = replace(made, source=wanted, digest=IMAGE.digest)
        store.add_image(image)
        return image

    monkeypatch.setattr(site_command, "add_image", fetch)

    def call(*arguments: str) -> str:
        result = CliRunner().invoke(app, ["--state", str(folder / "state"), *arguments])
        if isinstance(result.exception, NetbootError):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.stdout

    return call


def test_apply_tells_what_changed_and_twice_changes_nothing(run: Run, folder: Path) -> None:
    assert run("apply", str(folder / "site.yaml")).splitlines() == [
        f"image debian: added, {IMAGE.digest}",
        "profile server: added",
        "node alpha: named, profile 'server': armed, installs when it next boots from the network",
    ]
    assert run("apply", str(folder / "site.yaml")) == "nothing to change\n"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("{{ node.name }}", "{{ node.nam }}", "node alpha: base.yaml:2: "),
        ("{{ password }}", "{{ pasword }}", "nearest: 'password'"),
        ("auto: true", "auto: false", "install.auto"),
        ("[admin]", "[wheel]", "admin"),
        ("  reboot: true\n", "", "reboot"),
    ],
)
def test_a_document_that_would_not_install_changes_nothing(
    run: Run, folder: Path, old: str, new: str, told: str
) -> None:
    path = folder / "base.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(SiteMistake) as caught:
        run("apply", str(folder / "site.yaml"))
    assert told in str(caught.value)
    assert not (folder / "state").exists()


def test_a_changed_source_is_fetched_anew(run: Run, folder: Path) -> None:
    run("apply", str(folder / "site.yaml"))
    (folder / "site.yaml").write_text(SITE.replace("debian:12", "debian:13"))
    assert "image debian: added" in run("apply", str(folder / "site.yaml"))
    assert "registry.example/debian:13" in run("images", "list")


def test_nodes_and_images_are_listed_and_shown(run: Run, folder: Path) -> None:
    run("apply", str(folder / "site.yaml"))
    assert "alpha   armed   server    52:54:00:00:00:01" in run("nodes", "list")
    shown = run("nodes", "show", "52-54-00-00-00-01")
    assert "state     armed" in shown
    assert "+00:00" in shown
    assert "debian   v4.2.0    amd64   -" in run("images", "list")
    assert "kernel version   -" in run("images", "show", "debian")


def test_an_empty_state_says_what_to_do_next(run: Run) -> None:
    assert "site file" in run("nodes", "list")
    assert "images add" in run("images", "list")


def test_unknown_names_are_told(run: Run) -> None:
    for arguments in (("nodes", "show", "x"), ("nodes", "reinstall", "x"), ("images", "show", "x")):
        with pytest.raises(UnknownName, match="'x'"):
            run(*arguments)


def test_explain_prints_decision_script_and_document_with_secrets_masked(
    run: Run, folder: Path
) -> None:
    run("apply", str(folder / "site.yaml"))
    told = run("explain", "alpha", "--firmware", "bios", "--server", "http://192.0.2.2:8080/")
    assert told.startswith("decision: install\nwhy:      alpha is armed")
    assert "undionly.kpxe (recipe bios)" in told
    assert "config_url=http://192.0.2.2:8080/documents/********/cloud-config.yaml" in told
    assert "hostname: alpha" in told
    assert "hunter2" not in told
    assert "hunter2" in run("explain", "alpha", "--show-secrets")
    assert "nodes show" not in told


def test_explain_says_what_the_server_says_of_a_machine_that_has_not_asked_yet(
    run: Run, folder: Path
) -> None:
    run("apply", str(folder / "site.yaml"))
    told = run("explain", "alpha")
    assert "it has not asked yet: see with --firmware bios or --firmware uefi" in told
    assert "kernel --name" in told


def test_explain_changes_nothing(run: Run, folder: Path) -> None:
    run("apply", str(folder / "site.yaml"))
    before = run("nodes", "show", "alpha")
    run("explain", "alpha")
    assert run("nodes", "show", "alpha") == before


def test_explain_knows_machines_that_nobody_named(run: Run) -> None:
    assert run("explain", "52:54:00:00:00:99").startswith(
        "decision: nothing\nwhy:      nobody named 52:54:00:00:00:99"
    )


def test_reinstall_arms_again(run: Run, folder: Path) -> None:
    run("apply", str(folder / "site.yaml"))
    assert run("nodes", "reinstall", "alpha") == (
        "alpha is armed: installs when it next boots from the network\n"
    )


def test_an_error_is_one_line_and_exit_1(folder: Path) -> None:
    import sys

    command = [sys.executable, "-m", "kairos_netboot", "--state", str(folder / "s")]
    done = subprocess.run(
        [*command, "apply", "nowhere.yaml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert (
        done.stderr == "kairos-netboot: nowhere.yaml: cannot be read: No such file or directory\n"
    )


def test_progress_off_a_terminal_is_two_lines_for_each_step() -> None:
    from kairos_netboot.cli.progress import _in_lines

    lines: list[str] = []
    told = _in_lines(lines.append)
    for done in (0, 500_000, 1_000_000, 1_000_000):
        told(Progress(step="fetch layer 1 of 1", done=done, total=1_000_000))
    assert lines == ["fetch layer 1 of 1 …", "fetch layer 1 of 1: 1.0 MB"]


def test_columns_are_aligned_uncut_and_without_spaces_at_their_ends() -> None:
    from kairos_netboot.cli.app import columns

    assert list(columns([("NAME", "WHAT"), ("a-long-name", "x" * 200), ("b", "")])) == [
        "NAME          WHAT",
        "a-long-name   " + "x" * 200,
        "b",
    ]
    assert list(columns([])) == []


@pytest.mark.parametrize(
    ("mac", "vendor"),
    [("00:1b:21:00:00:01", " (Intel Corporate)"), ("52:54:00:00:00:01", "")],
)
def test_a_cards_vendor_is_named_where_the_registry_knows_it(mac: str, vendor: str) -> None:
    from kairos_netboot.cli.nodes import _vendor

    assert _vendor(Mac(mac)) == vendor
