"""The site files that the docs show, each made whole: what it names and does not have is added."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from kairos_netboot.config.keys import names
from tests.certificates import certificate, public_key

ROOT = Path(__file__).parents[2]
PAGES = sorted([*(ROOT / "docs").glob("*.md"), ROOT / "README.md"])

_DOCUMENT = """#cloud-config
hostname: {{ node.name }}
users: [{name: kairos, groups: [admin]}]
install: {auto: true, reboot: true, device: /dev/vda}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    page: str
    line: int
    text: str

    @property
    def name(self) -> str:
        return f"{self.page}:{self.line}"


def examples() -> Iterator[Example]:
    """Every block of YAML that has nothing but keys of the site file at its top."""
    for page in PAGES:
        text = page.read_text()
        for match in re.finditer(r"^```yaml\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
            if _is_site(match[1]):
                line = text.count("\n", 0, match.start()) + 2
                yield Example(page=page.name, line=line, text=match[1])


def _is_site(text: str) -> bool:
    try:
        root = yaml.load(text, Loader=yaml.BaseLoader)
    except yaml.YAMLError:
        return False
    return isinstance(root, dict) and bool(root) and set(root) <= set(names("site"))


def completed(text: str) -> str:
    """With images and profiles for the names that it uses: an example shows what it is about."""
    root: dict[str, Any] = yaml.load(text, Loader=yaml.BaseLoader)
    profiles = _entries(root.get("profiles"))
    wanted = {p["image"] for p in profiles.values() if isinstance(p.get("image"), str)}
    used = {n["profile"] for n in _entries(root.get("nodes")).values() if "profile" in n}
    used |= _words_of_unknown(root.get("unknown"))
    parts = []
    if missing := sorted(used - set(profiles)):
        parts.append(_block("profiles", missing, "{image: example, cloud-config: example.yaml}"))
        wanted.add("example")
    known = set(_entries(root.get("images")))
    if images := sorted(wanted - known):
        parts.append(_block("images", images, "oci:example"))
    return _joined(text, parts)


def _entries(part: object) -> dict[str, dict[str, Any]]:
    if not isinstance(part, Mapping):
        return {}
    return {key: value if isinstance(value, dict) else {} for key, value in part.items()}


def _words_of_unknown(part: object) -> set[str]:
    words = [part] if isinstance(part, str) else []
    if isinstance(part, Mapping):
        words += [part.get("others", "ignore"), *_values(part.get("networks"))]
    return {word for word in words if word not in ("ignore", "inventory")}


def _values(part: object) -> list[str]:
    return list(part.values()) if isinstance(part, Mapping) else []


def _block(key: str, entries: list[str], value: str) -> str:
    return "".join([f"{key}:\n", *(f"  {name}: {value}\n" for name in entries)])


def _joined(text: str, parts: list[str]) -> str:
    for part in parts:
        key, _, entries = part.partition("\n")
        found = re.search(rf"^{key}[^\n]*\n", text, re.MULTILINE)
        if found:
            text = text[: found.end()] + entries + text[found.end() :]
        else:
            text += part
    return text


def _content(path: Path) -> str:
    if path.suffix in (".pem", ".pub"):
        return certificate() if path.suffix == ".pem" else public_key()
    own = [*(ROOT / "docs" / "examples").rglob(path.name)]
    return own[0].read_text() if own else _DOCUMENT


def lay_out(folder: Path, text: str) -> Path:
    """The site file, with every file that it names beside it: the docs' own where there is one."""
    for name in {"example.yaml", *re.findall(r"[\w./-]+\.(?:ya?ml|ign|json|sh|pub|pem)", text)}:
        path = folder / name
        if not path.resolve().is_relative_to(folder) or path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_content(path))
    (folder / "site.yaml").write_text(text)
    return folder / "site.yaml"
