"""Talos' machine configs: one or more YAML documents, one of which is the v1alpha1 one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import yaml

from ..errors import DocumentProblem
from .document import Document
from .findings import Finding, error, warning
from .spelling import nearest
from .yamlnodes import MAX_TEXT, find, is_null, is_other, kind, parse, to_value, triples

# Config, MachineConfig and ClusterConfig of the v1alpha1 reference: a key near one of them is a
# slip, others may be of a newer Talos.
_TOP = ("version", "debug", "persist", "machine", "cluster")
_MACHINE = (
    *("type", "token", "ca", "acceptedCAs", "certSANs", "controlPlane", "kubelet", "pods"),
    *("network", "disks", "install", "files", "env", "time", "sysctls", "sysfs", "registries"),
    *("systemDiskEncryption", "features", "udev", "logging", "kernel", "seccompProfiles"),
    *("baseRuntimeSpecOverrides", "nodeLabels", "nodeAnnotations", "nodeTaints"),
)
_CLUSTER = (
    *("id", "secret", "controlPlane", "clusterName", "network", "token", "ca", "acceptedCAs"),
    *("aescbcEncryptionSecret", "secretboxEncryptionSecret", "aggregatorCA", "serviceAccount"),
    *("apiServer", "controllerManager", "proxy", "scheduler", "discovery", "etcd", "coreDNS"),
    *("externalCloudProvider", "extraManifests", "extraManifestHeaders", "inlineManifests"),
    *("adminKubeconfig", "allowSchedulingOnControlPlanes", "allowSchedulingOnMasters"),
)
_CONTROL = ("init", "controlplane")
_TYPES = (*_CONTROL, "worker", "join")  # `join` is what old ones call a worker


def talos_document(text: str, name: str) -> Document:
    """Served as it is; raises DocumentProblem where it is no YAML."""
    findings = list(check_talos(parts_of(text, name), name))
    return Document(text=text, findings=tuple(dict.fromkeys(findings)))


def parts_of(text: str, name: str) -> list[yaml.Node]:
    """Each document; an empty one is none. Lines are those of the whole."""
    if len(text) > MAX_TEXT:
        raise DocumentProblem(f"{name}: a machine config has at most {MAX_TEXT} characters")
    parts, first = [], 0
    lines = text.split("\n")
    ends = [number for number, line in enumerate(lines) if re.match(r"---(\s|$)", line)]
    for end in [*ends, len(lines)]:
        parts.append(parse("\n" * first + "\n".join(lines[first:end]), name))
        # What stands behind the dashes is of the next document, but a comment alone goes there.
        first = end + 1 if end < len(lines) and _is_plain(lines[end]) else end
    return [part for part in parts if not is_null(part)]


def _is_plain(line: str) -> bool:
    return re.fullmatch(r"---\s*(#.*)?", line) is not None


def check_talos(parts: list[yaml.Node], name: str) -> Iterator[Finding]:
    """What would leave a machine in Talos' maintenance mode, or surprise."""
    main = []
    for part in parts:
        if not isinstance(part, yaml.MappingNode):
            yield error(part, "", f"{kind(part)} is here: write a mapping (key: value)")
        elif find(part, "apiVersion") is not None or find(part, "kind") is not None:
            yield from _other_document(part)
        else:
            main.append(part)
    if not main:
        nothing = yaml.ScalarNode("", "", yaml.Mark(name, 0, 0, 0, None, 0))
        yield error(nothing, "", "no document with `version: v1alpha1`: Talos would wait for one")
    for part in main[1:]:
        yield error(part, "", "a second v1alpha1 document: each other one has apiVersion and kind")
    for part in main[:1]:
        yield from _v1alpha1(part)


def _other_document(part: yaml.Node) -> Iterator[Finding]:
    for key in ("apiVersion", "kind"):
        value = to_value(find(part, key))
        if not isinstance(value, str) or not value:
            yield error(part, key, "is missing: every further document says both")


def _v1alpha1(root: yaml.Node) -> Iterator[Finding]:
    version = to_value(find(root, "version"))
    if version != "v1alpha1":
        yield error(root, "version", "write `version: v1alpha1`, the only one there is")
    for path, known in (((), _TOP), (("machine",), _MACHINE), (("cluster",), _CLUSTER)):
        section = find(root, *path)
        if is_other(section, yaml.MappingNode):
            yield error(section, ".".join(path), f"{kind(section)} is here: write a mapping")
            continue
        for key, _, value in triples(section):
            if key not in known and (near := nearest(key, known)):
                place = ".".join((*path, key))
                yield warning(value, place, f"Talos knows no such key; nearest: '{near}'")
    yield from _machine(root)
    yield from _endpoint(root)


def _machine(root: yaml.Node) -> Iterator[Finding]:
    node = find(root, "machine", "type")
    role = to_value(node)
    if role not in _TYPES:
        yield error(node or root, "machine.type", f"write one of {', '.join(_TYPES)}")
    if not to_value(find(root, "machine", "token")):
        yield error(root, "machine.token", "is missing: `talosctl gen config` makes one")
    disk = to_value(find(root, "machine", "install", "disk"))
    selector = find(root, "machine", "install", "diskSelector")
    if disk is None and selector is None:
        yield error(root, "machine.install.disk", "is missing: Talos has to know where to install")
    elif disk is not None and (not isinstance(disk, str) or not disk.startswith("/dev/")):
        yield error(root, "machine.install.disk", f"{disk!r} is no disk: write it like /dev/sda")
    if role in _CONTROL and not to_value(find(root, "machine", "ca", "key")):
        yield error(root, "machine.ca.key", "is missing, which a control plane signs with")
    if role in ("worker", "join") and to_value(find(root, "machine", "ca", "key")):
        yield warning(root, "machine.ca.key", "is a secret that no worker needs")


def _endpoint(root: yaml.Node) -> Iterator[Finding]:
    key = "cluster.controlPlane.endpoint"
    node = find(root, "cluster", "controlPlane", "endpoint")
    text = to_value(node)
    if not isinstance(text, str) or not text:
        yield error(root, key, "is missing: the cluster's address, like https://192.0.2.10:6443")
        return
    try:
        parts = urlsplit(text)
        good = parts.scheme == "https" and bool(parts.hostname)
        parts.port  # noqa: B018 raises for one that is none
    except ValueError:
        good = False
    if not good:
        yield error(node or root, key, f"'{text[:60]}' is no https:// address")
