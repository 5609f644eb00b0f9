"""Find the machine's own Debian package sources, so that no mirror is named here."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

SUITE = "bookworm"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One place packages come from."""

    uri: str
    suite: str
    signed_by: str

    def stanza(self) -> str:
        """The source in apt's deb822 form."""
        lines = ["Types: deb", f"URIs: {self.uri}", f"Suites: {self.suite}", "Components: main"]
        if self.signed_by:
            lines.append(f"Signed-By: {self.signed_by}")
        return "\n".join(lines) + "\n"


def debian_sources(etc: Path = Path("/etc")) -> list[Source]:
    """The Debian entries of this machine, turned to our suite; none on another distribution."""
    release = _os_release(etc / "os-release")
    if release.get("ID") != "debian":
        return []
    found = [source for text in _files(etc / "apt") for source in _parse(text)]
    codename = release.get("VERSION_CODENAME", SUITE)
    chosen = [_turned(source, codename) for source in found if _is_debian(source.suite, codename)]
    return list(dict.fromkeys(chosen))


def proxy_options() -> list[str]:
    """The proxy apt uses on this machine, as apt.conf lines."""
    command = ["apt-config", "dump", "Acquire::http::Proxy", "Acquire::https::Proxy"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return [line for line in done.stdout.splitlines() if '"";' not in line and line.strip()]


def _os_release(path: Path) -> dict[str, str]:
    lines = path.read_text().splitlines() if path.exists() else []
    pairs = (line.split("=", 1) for line in lines if "=" in line)
    return {key: value.strip('"') for key, value in pairs}


def _files(apt: Path) -> list[str]:
    parts = apt / "sources.list.d"
    paths = [apt / "sources.list", *sorted(parts.glob("*.list")), *sorted(parts.glob("*.sources"))]
    return [path.read_text() for path in paths if path.is_file()]


def _parse(text: str) -> list[Source]:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    one_line = [line for line in lines if line.startswith("deb ")]
    if one_line:
        return [source for line in one_line for source in _one_line(line)]
    stanzas = "\n".join(lines).split("\n\n")
    return [source for stanza in stanzas for source in _deb822(stanza)]


def _one_line(line: str) -> list[Source]:
    words = line.split()[1:]
    options: list[str] = []
    if words and words[0].startswith("["):
        end = next(i for i, word in enumerate(words) if word.endswith("]"))
        options, words = " ".join(words[: end + 1]).strip("[] ").split(), words[end + 1 :]
    if len(words) < 3 or "main" not in words[2:]:
        return []
    signed = next((o.partition("=")[2] for o in options if o.startswith("signed-by=")), "")
    return [Source(uri=words[0], suite=words[1], signed_by=_keyring(signed))]


def _deb822(stanza: str) -> list[Source]:
    pairs = (line.split(":", 1) for line in stanza.splitlines() if ":" in line and line[0] != " ")
    fields = {key.strip().lower(): value.strip() for key, value in pairs}
    wanted = "main" in fields.get("components", "").split() and "deb" in fields.get("types", "")
    if not wanted or fields.get("enabled", "yes").lower() in ("no", "false"):
        return []
    key = _keyring(fields.get("signed-by", ""))
    return [
        Source(uri=uri, suite=suite, signed_by=key)
        for uri in fields.get("uris", "").split()
        for suite in fields.get("suites", "").split()
    ]


def _keyring(named: str) -> str:
    """A key file that exists, Debian's own before none."""
    if named.startswith("/"):
        return named
    return str(KEYRING) if KEYRING.exists() else ""


def _is_debian(suite: str, codename: str) -> bool:
    # Third parties name their suites after Debian's too, but with additions: `bookworm-pgdg`.
    return suite in (codename, f"{codename}-updates", f"{codename}-security")


def _turned(source: Source, codename: str) -> Source:
    suite = source.suite.replace(codename, SUITE, 1)
    return Source(uri=source.uri, suite=suite, signed_by=source.signed_by)
