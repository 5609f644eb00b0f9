"""`nodes discovered | approve | deny | import | forget` and `explain`, as they print."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kairos_netboot.boot.site import Profile, Site, Template
from kairos_netboot.boot.unknown import INVENTORY, Selector, Unknown
from kairos_netboot.cli.main import app
from kairos_netboot.cli.site import check_documents
from kairos_netboot.errors import InvalidValue, NetbootError, SiteMistake, UnknownName
from kairos_netboot.store.store import Store
from kairos_netboot.values import Mac
from tests.unit.boot.sample import IMAGE, PROFILE, SPEC
from tests.unit.store.sample import stand_in

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
INTEL = Mac("00:1b:21:00:00:01")
DELL = {
    "manufacturer": "Dell Inc.",
    "product": "PowerEdge R650",
    "serial": "7XK2",
    "network": "10.1.0.1",
    "firmware": "uefi",
    "arch": "amd64",
}
RACK = Profile(
    name="rack",
    image="debian",
    templates=PROFILE.templates,
    match=(Selector(facts={"manufacturer": "Dell*"}),),
    hostname="r7-{{ index }}",
)
STORAGE = replace(RACK, name="storage", match=(Selector(facts={"product": "*R750"}),))
Run = Callable[..., str]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def run(state: Path) -> Run:
    def call(*arguments: str, stdin: str | bytes | None = None) -> str:
        command = ["--state", str(state), *arguments]
        result = CliRunner().invoke(app, command, input=stdin)
        if isinstance(result.exception, NetbootError):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.stdout

    return call


def prepare(state: Path, unknown: Unknown | None = None, *profiles: Profile) -> None:
    """A site with one node, and a machine that nobody named and that asked."""
    store = Store(state)
    store.add_image(stand_in(store.blobs, IMAGE))
    store.discover({INTEL: DELL}, NOW)
    made = {profile.name: profile for profile in (PROFILE, *profiles)}
    site = Site(
        images={}, profiles=made, nodes={"alpha": SPEC}, unknown=unknown or Unknown(approval=True)
    )
    store.apply(site, NOW)
    store.close()


def test_machines_without_a_name_are_shown_with_what_they_are(state: Path, run: Run) -> None:
    prepare(state, None, RACK)
    heading, machine = run("nodes", "discovered").splitlines()
    assert " ".join(heading.split()) == (
        "ID MAC VENDOR MACHINE NETWORK FIRST SEEN LAST SEEN WAITS FOR"
    )
    assert machine.startswith(
        "#1   00:1b:21:00:00:01   Intel Corporate   "
        "Dell Inc. PowerEdge R650, serial 7XK2   10.1.0.1"
    )
    assert machine.endswith(
        "approval: would get 'rack' (manufacturer is 'Dell Inc.' (wanted 'Dell*'))"
    )


def test_where_all_have_names_nobody_waits(state: Path, run: Run) -> None:
    assert run("nodes", "discovered") == (
        "no machine without a name has asked to boot from the network\n"
    )


def test_a_machine_is_approved_denied_and_forgotten(state: Path, run: Run) -> None:
    prepare(state, None, RACK)
    assert run("nodes", "deny", "#1") == (
        "00:1b:21:00:00:01 is denied: it gets nothing until `kairos-netboot nodes approve "
        "00:1b:21:00:00:01`\n"
    )
    assert "denied: `nodes approve` undoes it" in run("nodes", "discovered")
    told = run("nodes", "approve", "7xk2", "--label", "rack=r7").splitlines()
    assert told == [
        "node 00:1b:21:00:00:01: approved by hand: denied no more",
        "node r7-1: named, profile 'rack': armed, installs when it next boots from the network",
    ]
    assert "r7-1" in run("nodes", "list")
    assert run("nodes", "forget", "r7-1") == (
        "r7-1 is forgotten: its name stays its own, should it come back\n"
    )


def test_a_machine_that_no_selector_fits_needs_a_profile(state: Path, run: Run) -> None:
    prepare(state)
    assert "no selector fits: `nodes approve --profile`" in run("nodes", "discovered")
    with pytest.raises(InvalidValue, match="say --profile"):
        run("nodes", "approve", "#1")
    told = run("nodes", "approve", "#1", "--profile", "server", "--name", "web")
    assert told.startswith("node web: named, profile 'server': armed")


@pytest.mark.parametrize("label", ["rack", "rack=", "=r7", "1=2", "a b=c"])
def test_what_is_no_label_is_said(state: Path, run: Run, label: str) -> None:
    prepare(state, None, RACK)
    with pytest.raises(InvalidValue, match="is no label: write --label rack=r7"):
        run("nodes", "approve", "#1", "--label", label)


def test_a_table_is_imported_whole_or_not_at_all(state: Path, run: Run, tmp_path: Path) -> None:
    prepare(state, None, RACK)
    table = tmp_path / "rack.csv"
    table.write_text("mac,name,profile\n52:54:00:00:00:07,web,server\nx,db,server\n")
    with pytest.raises(SiteMistake, match=r"rack\.csv:3: 'x' is no MAC address"):
        run("nodes", "import", str(table))
    assert "web" not in run("nodes", "list")
    good = "mac,name,profile\n52:54:00:00:00:07,web,server\n00:1b:21:00:00:01,,rack\n"
    told = run("nodes", "import", "-", stdin=good).splitlines()
    assert [line.partition(": ")[0] for line in told] == ["node web", "node r7-1"]
    assert run("nodes", "import", "-", stdin=good) == "nothing to change\n"


def test_what_is_no_table_is_said(run: Run, tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="cannot read /nowhere"):
        run("nodes", "import", "/nowhere")
    (tmp_path / "latin.csv").write_bytes(b"mac\n\xe4\n")
    with pytest.raises(InvalidValue, match="is not UTF-8, at byte 4"):
        run("nodes", "import", str(tmp_path / "latin.csv"))


def test_nodes_of_the_site_file_are_not_forgotten(state: Path, run: Run) -> None:
    prepare(state)
    with pytest.raises(InvalidValue, match="take it out there, and apply it"):
        run("nodes", "forget", "alpha")
    with pytest.raises(UnknownName, match="nodes discovered"):
        run("nodes", "forget", "nobody")


def test_explain_shows_every_candidate_and_why_it_won_or_lost(state: Path, run: Run) -> None:
    prepare(state, None, RACK, STORAGE)
    lines = run("explain", INTEL).splitlines()
    assert lines[:6] == [
        "decision: nothing",
        f"why:      nobody named {INTEL}: give it a node in the site file",
        "unknown:  the word of its network, 10.1.0.1, is 'ignore'",
        "profile:  rack, once `kairos-netboot nodes approve` says so",
        "selector: rack wins: manufacturer is 'Dell Inc.' (wanted 'Dell*')",
        "selector: storage does not fit: product is 'PowerEdge R650', not '*R750'",
    ]


def test_explain_shows_them_for_a_named_machine_as_well(state: Path, run: Run) -> None:
    prepare(state, None, RACK)
    lines = run("explain", "alpha").splitlines()
    assert lines[2:4] == [
        "profile:  server, as the site file says or lets selectors choose",
        "selector: rack does not fit: manufacturer is not known (wanted 'Dell*')",
    ]


def test_explain_shows_the_script_of_an_inventory(state: Path, run: Run) -> None:
    prepare(state, Unknown(others=INVENTORY))
    told = run("explain", INTEL, "--firmware", "bios")
    assert told.startswith("decision: inventory\n")
    assert "--- script ---" in told
    assert "/inventory/00-1b-21-00-00-01?manufacturer=" in told
    never_seen = run("explain", "52:54:00:00:00:77", "--firmware", "bios")
    assert never_seen.startswith("decision: inventory\n")


def test_explain_of_a_node_that_was_never_seen_says_so(state: Path, run: Run) -> None:
    store = Store(state)
    by_serial = replace(SPEC, macs=(), serial="S1")
    store.apply(Site(images={}, profiles={"server": PROFILE}, nodes={"alpha": by_serial}), NOW)
    store.close()
    with pytest.raises(InvalidValue, match="alpha has not been seen"):
        run("explain", "alpha")


def test_documents_of_machines_that_nobody_named_yet_are_checked() -> None:
    broken = replace(RACK, templates=(Template(name="a.yaml", text="#cloud-config\n{{ nobdy }}"),))
    with pytest.raises(SiteMistake, match=r"^profile rack: a\.yaml:2: 'nobdy' is undefined"):
        check_documents(Site(images={}, profiles={"rack": broken}, nodes={}))
    plain = replace(broken, match=())
    assert check_documents(Site(images={}, profiles={"rack": plain}, nodes={})) == []
    word = Unknown(others="rack")
    with pytest.raises(SiteMistake, match="profile rack"):
        check_documents(Site(images={}, profiles={"rack": plain}, nodes={}, unknown=word))


def test_a_document_that_goes_by_labels_is_checked_when_they_are_known() -> None:
    text = PROFILE.templates[0].text + "\n# {{ node.labels.rack }}\n"
    labelled = replace(RACK, templates=(Template(name="a.yaml", text=text),))
    assert check_documents(Site(images={}, profiles={"rack": labelled}, nodes={})) == []
    alpha = replace(SPEC, profile="rack", labels={"rack": "r7"})
    check_documents(Site(images={}, profiles={"rack": labelled}, nodes={"alpha": alpha}))
    nobody = {"alpha": replace(alpha, labels={})}
    with pytest.raises(SiteMistake, match="there is no key 'rack'"):
        check_documents(Site(images={}, profiles={"rack": labelled}, nodes=nobody))
