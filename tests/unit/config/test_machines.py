from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kairos_netboot.boot.clusters import Cluster, ClusterKind, Role
from kairos_netboot.boot.fleet import Fleet, Node
from kairos_netboot.boot.lifecycle import State
from kairos_netboot.boot.site import NodeSpec, Origin, Profile
from kairos_netboot.boot.unknown import Selector
from kairos_netboot.config.machines import read_machines
from kairos_netboot.errors import SiteMistake
from kairos_netboot.values import Mac

ONE, TWO = Mac("52:54:00:00:00:01"), Mac("52:54:00:00:00:02")
UUID = "4c4c4544-0042-3510-8052-b4c04f4e4d31"
K3S = Cluster(name="edge", kind=ClusterKind.K3S)
FLEET = Fleet(
    (
        Node(
            id=1,
            macs=(ONE,),
            state=State.READY,
            spec=NodeSpec(name="alpha", macs=(ONE,), profile="server"),
        ),
        Node(
            id=2,
            macs=(TWO,),
            state=State.READY,
            spec=NodeSpec(name="beta", macs=(TWO,), profile="server", origin=Origin.APPROVED),
        ),
    ),
    {"server": Profile(name="server", image="debian")},
    clusters={"edge": K3S},
)
NEW = "52:54:00:00:00:99"


def mistakes(text: str, fleet: Fleet = FLEET) -> list[str]:
    with pytest.raises(SiteMistake) as error:
        read_machines(text, "rack.csv", fleet)
    return str(error.value).splitlines()


def test_a_table_of_machines() -> None:
    text = (
        "mac,name,profile,label:rack,cluster,role,serial\r\n"
        f"{NEW},web,server,r7,edge,agent,\r\n"
        "\r\n"
        ",db,server,,,,7XK2\r\n"
    )
    assert read_machines(text, "rack.csv", FLEET) == [
        NodeSpec(
            name="web",
            macs=(Mac(NEW),),
            profile="server",
            labels={"rack": "r7"},
            cluster="edge",
            role=Role.AGENT,
            origin=Origin.APPROVED,
        ),
        NodeSpec(name="db", profile="server", serial="7XK2", origin=Origin.APPROVED),
    ]


def test_a_byte_order_mark_and_quotes_are_as_spreadsheets_write_them() -> None:
    text = f'\ufeffmac,"name",profile\n"{NEW}","web","server"\n'
    assert [spec.name for spec in read_machines(text, "-", FLEET)] == ["web"]


def test_a_machine_may_have_several_cards() -> None:
    text = f"mac,profile\n{NEW} 52-54-00-00-00-98,server\n"
    (spec,) = read_machines(text, "-", FLEET)
    assert spec.macs == (Mac(NEW), Mac("52:54:00:00:00:98"))


def test_a_machine_that_was_approved_may_be_in_it_again() -> None:
    text = f"mac,name,profile\n{TWO},gamma,server\n"
    assert read_machines(text, "-", FLEET)[0].name == "gamma"


@pytest.mark.parametrize(
    ("heading", "mistake"),
    [
        ("", "rack.csv:1: the first line names the columns"),
        ("name,profile", "the first line names the columns"),
        ("mac,nme", "rack.csv:1: no column 'nme'; nearest: 'name'"),
        ("mac,label:", "no column 'label:'"),
        ("mac,label:a b", "no column 'label:a b'"),
        ("mac,mac", "a column is here twice"),
        (f"{NEW},web", f"no column '{NEW}'"),
    ],
)
def test_without_a_right_heading_nothing_is_read(heading: str, mistake: str) -> None:
    assert any(mistake in line for line in mistakes(f"{heading}\nx,y\n"))


@pytest.mark.parametrize(
    ("line", "mistake"),
    [
        ("x,web,server,,,,", "'x' is no MAC address"),
        ("01:00:5e:00:00:01,web,server,,,,", "is a group address"),
        (f"{NEW},web,servr,,,,", "no profile 'servr'; nearest: 'server'"),
        (f"{NEW},Web 1,server,,,,", "'Web 1' is no host name"),
        (f"{NEW},web,server,x,,,", "'x' is no UUID of one machine"),
        (f"{NEW},web,server,,,egde,", "no cluster 'egde'; nearest: 'edge'"),
        (f"{NEW},web,server,,,,boss", "no role 'boss'"),
        (f"{NEW},web,server", "3 cells here, the heading has 7"),
        (",web,server,,,,", "which machine is it?"),
        (",,server,,S1,,", "a machine known without its mac needs a name"),
        (f"{NEW},web,,,,,", "no profile, and none has a `match`"),
        (f"{ONE},web,server,,,,", "is node alpha of the site file: change it there"),
        (f"{NEW},alpha,server,,,,", f"another machine is 'alpha' ({ONE})"),
        (f"{NEW},beta,server,,,,", f"another machine is 'beta' ({TWO})"),
        (f"{NEW},web,server,," + "x" * 300 + ",,", "is too long"),
    ],
)
def test_mistakes_are_told_with_their_line(line: str, mistake: str) -> None:
    text = f"mac,name,profile,uuid,serial,cluster,role\n\n{line}\n"
    told = mistakes(text)
    assert all(one.startswith("rack.csv:3: ") for one in told)
    assert any(mistake in one for one in told)


def test_every_mistake_is_told_at_once() -> None:
    told = mistakes(f"mac,name,profile\nx,web,server\n{NEW},web,nobody\n")
    assert [line.partition(": ")[0] for line in told] == ["rack.csv:2", "rack.csv:3", "rack.csv:3"]


@pytest.mark.parametrize(
    ("lines", "mistake"),
    [
        (f"{NEW},a,\n{NEW},b,", "is in line 2 already"),
        (f"{NEW},a,\n52:54:00:00:00:98,a,", "name a is in line 2 already"),
        (f",a,{UUID}\n,b,44454C4C-4200-1035-8052-B4C04F4E4D31", "is in line 2 already"),
    ],
)
def test_two_lines_are_two_machines(lines: str, mistake: str) -> None:
    rows = "".join(f"{line},server\n" for line in lines.split("\n"))
    (told,) = mistakes(f"mac,name,uuid,profile\n{rows}")
    assert told.startswith("rack.csv:3: ")
    assert mistake in told


def test_a_profile_may_be_left_to_selectors() -> None:
    selecting = Profile(name="a", image="", match=(Selector(facts={"arch": "amd64"}),))
    (spec,) = read_machines(f"mac\n{NEW}\n", "-", Fleet((), {"a": selecting}))
    assert (spec.name, spec.profile) == ("", "")


@given(st.text())
@example('mac\n"')
@example("mac\n\0")
@example("mac\n" + "x" * 200_000)
def test_any_text_is_a_table_or_a_mistake(text: str) -> None:
    for table in (text, f"mac,name,profile\n{text}"):
        with contextlib.suppress(SiteMistake):
            read_machines(table, "-", FLEET)
