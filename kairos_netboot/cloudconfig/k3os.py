"""k3OS' config.yaml: its keys, and the command that reports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import yaml

from ..errors import DocumentProblem
from .document import Document
from .findings import Finding, error
from .merge import merge
from .spelling import hint_or_known
from .units import ready_command
from .yamlnodes import (
    find,
    is_null,
    is_other,
    items,
    kind,
    list_node,
    map_node,
    parse,
    text_node,
    to_value,
    triples,
    write,
)

_MAP, _LIST, _TEXT = yaml.MappingNode, yaml.SequenceNode, yaml.ScalarNode
# Its README's configuration reference, and both spellings where it has two.
_TOP: Mapping[str, type[yaml.Node]] = {
    **dict.fromkeys(("ssh_authorized_keys", "write_files"), _LIST),
    **dict.fromkeys(("run_cmd", "boot_cmd", "init_cmd"), _LIST),
    **dict.fromkeys(("runcmd", "bootcmd", "initcmd"), _LIST),
    "hostname": _TEXT,
    "k3os": _MAP,
}
_K3OS: Mapping[str, type[yaml.Node]] = {
    **dict.fromkeys(("data_sources", "modules", "ntp_servers", "dns_nameservers"), _LIST),
    **dict.fromkeys(("wifi", "k3s_args", "taints"), _LIST),
    **dict.fromkeys(("sysctl", "sysctls", "labels", "environment", "install"), _MAP),
    **dict.fromkeys(("password", "server_url", "token", "mode"), _TEXT),
}
_FILE = ("encoding", "content", "owner", "path", "permissions")
_ENCODINGS = ("", "b64", "base64", "gz", "gzip", "gz+base64", "gzip+base64", "gz+b64", "gzip+b64")


def k3os_document(text: str, name: str, report_url: str) -> Document:
    """Of a rendered template; raises DocumentProblem where it is no YAML mapping."""
    root = parse(text, name)
    if is_null(root):
        raise DocumentProblem(f"{name}: it is empty: k3OS would have nobody to log in")
    if not isinstance(root, yaml.MappingNode):
        raise DocumentProblem(f"{name}: {kind(root)} is here: write a mapping (key: value)")
    findings = tuple(check_k3os(root))
    if any(finding.is_error for finding in findings):
        return Document(text=text, findings=findings)
    told = list_node([text_node(ready_command(report_url))])
    key = "runcmd" if find(root, "runcmd") is not None else "run_cmd"
    return Document(text=write(merge(root, map_node({key: told}))), findings=findings)


def check_k3os(root: yaml.Node) -> Iterator[Finding]:
    yield from _keys(root, _TOP, "")
    yield from _keys(find(root, "k3os"), _K3OS, "k3os.")
    for number, file in enumerate(items(find(root, "write_files"))):
        yield from _file(file, f"write_files[{number}]")
    keys = find(root, "ssh_authorized_keys")
    for number, key in enumerate(items(keys)):
        if not isinstance(to_value(key), str):
            yield error(key, f"ssh_authorized_keys[{number}]", "write a key, or github:USER")
    args = items(find(root, "k3os", "k3s_args"))
    if args and to_value(args[0]) not in ("server", "agent"):
        yield error(args[0], "k3os.k3s_args[0]", "k3s is started as `server` or `agent`")
    url = to_value(find(root, "k3os", "server_url"))
    if url is not None and not str(url).startswith("https://"):
        yield error(root, "k3os.server_url", "is no https:// address")


def _keys(
    section: yaml.Node | None, known: Mapping[str, type[yaml.Node]], below: str
) -> Iterator[Finding]:
    for key, _, value in triples(section):
        if key not in known:
            yield error(value, below + key, f"k3OS knows no such key{hint_or_known(key, known)}")
        elif is_other(value, known[key]):
            yield error(value, below + key, f"{kind(value)} is here: write {_WANTED[known[key]]}")


_WANTED = {_MAP: "a mapping", _LIST: "a list", _TEXT: "a text"}


def _file(file: yaml.Node, place: str) -> Iterator[Finding]:
    if not isinstance(file, yaml.MappingNode):
        yield error(file, place, f"{kind(file)} is here: write a mapping with path and content")
        return
    for key, _, value in triples(file):
        if key not in _FILE:
            yield error(value, f"{place}.{key}", f"no such key{hint_or_known(key, _FILE)}")
    path = to_value(find(file, "path"))
    if not isinstance(path, str) or not path.startswith("/"):
        yield error(file, f"{place}.path", "write an absolute path")
    if (encoding := to_value(find(file, "encoding"))) not in (None, *_ENCODINGS):
        yield error(file, f"{place}.encoding", f"'{encoding}' is none that k3OS knows")
