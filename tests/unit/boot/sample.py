"""A small fleet for tests: one node in whichever state a test wants."""

from __future__ import annotations

from kairos_netboot.boot.fleet import Fleet, Node
from kairos_netboot.boot.lifecycle import State
from kairos_netboot.boot.site import (
    BootFiles,
    Image,
    ImageFacts,
    ImageSource,
    NodeSpec,
    Profile,
    Template,
)
from kairos_netboot.values import Arch, Blob, Digest, Mac

MAC = Mac("52:54:00:00:00:01")
STRANGER = Mac("52:54:00:00:00:99")


def blob(byte: str, size: int) -> Blob:
    return Blob(digest=Digest("sha256:" + byte * 64), size=size)


IMAGE = Image(
    name="debian",
    source=ImageSource(name="debian", reference="oci-archive:/images/debian.tar"),
    digest=Digest("sha256:" + "0" * 64),
    facts=ImageFacts(arch=Arch.AMD64, flavor="debian", version="v4.2.0"),
    files=BootFiles(kernel=blob("1", 8_000_000), initrd=blob("2", 33_000_000), rootfs=blob("3", 9)),
)
DOCUMENT = """#cloud-config
hostname: {{ node.name }}
users:
  - name: kairos
    groups: [admin]
install:
  auto: true
  reboot: true
  device: /dev/vda
"""
PROFILE = Profile(
    name="server", image="debian", templates=(Template(name="base.yaml", text=DOCUMENT),)
)
SPEC = NodeSpec(name="alpha", macs=(MAC,), profile="server")


def node(state: State = State.ARMED, **changes: object) -> Node:
    fields: dict[str, object] = {"id": 1, "macs": (MAC,), "state": state, "spec": SPEC}
    return Node(**{**fields, **changes})  # type: ignore[arg-type]


def fleet(*nodes: Node, profile: Profile = PROFILE, image: Image = IMAGE) -> Fleet:
    return Fleet(nodes, {profile.name: profile}, {image.name: image})
