from __future__ import annotations

from pathlib import Path

import certifi
import pytest

from kairos_netboot.boot.site import (
    Compression,
    ExitMethod,
    ImageSource,
    RegistryHost,
    Template,
)
from kairos_netboot.config.sitefile import load_site, load_with_files
from kairos_netboot.errors import SiteMistake
from kairos_netboot.values import Arch, Firmware, Mac

RECIPES = ("bios", "uefi", "uefi-direct")
WHOLE = """\
images:
  plain: registry.example/kairos/debian:v4.2.0
  packed:
    source: oci-archive:images/sample.tar
    platform: linux/arm64
    insecure: true
    compression: gzip
profiles:
  server:
    image: plain
    action: install
    cloud-config: [base.yaml, server.yaml]
    kernel-args: [console=ttyS1]
    variables: {domain: example.org, workers: 3}
    exit: {bios: sanboot}
nodes:
  alpha:
    macs: [52:54:00:12:34:56, 5254.0012.3457]
    profile: server
    variables: {rack: r1}
    exit: silence
    recipe: uefi-direct
  beta:
    macs: 52-54-00-12-34-58
    profile: server
vendor-recipes:
  B8-27-EB: uefi
"""

REGISTRIES = """\
registries:
  quay.io:
    mirrors: [registry.lan:5000/quay, http://10.0.0.9:5000]
  registry.lan:5000:
    ca: certs/lan.pem
  old.lan:
    insecure: true
    mirrors: mirror.lan
images:
  signed:
    source: quay.io/kairos/debian:v4.2.0
    verify: cosign.pub
"""
# Any certificate will do: the first of those that Mozilla trusts.
AUTHORITY = Path(certifi.where()).read_text().partition("-----END CERTIFICATE-----")[0]
AUTHORITY += "-----END CERTIFICATE-----\n"
P256 = """\
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEunE0b4pZkZf8sXFrvKVN13bWkU8h
E8p/Ecp4IjvZwQLFo1yebUiPKlI3FoHaiWVw9xEpGNTWWt2ZmAhGBz9Vsg==
-----END PUBLIC KEY-----
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("base.yaml", "server.yaml"):
        (tmp_path / name).write_text(f"#cloud-config\n# {name}\n")
    (tmp_path / "certs").mkdir()
    (tmp_path / "certs" / "lan.pem").write_text(AUTHORITY)
    (tmp_path / "cosign.pub").write_text(P256)
    (tmp_path / "cosign.key").write_text("-----BEGIN PRIVATE KEY-----\n")
    (tmp_path / "image.bin").write_bytes(b"\xff\xfe")
    return tmp_path


def write(folder: Path, text: str) -> Path:
    path = folder / "site.yaml"
    path.write_text(text)
    return path


def test_a_whole_site_is_read(folder: Path) -> None:
    site = load_site(write(folder, WHOLE), RECIPES)
    assert site.images == {
        "plain": ImageSource(name="plain", reference="registry.example/kairos/debian:v4.2.0"),
        "packed": ImageSource(
            name="packed",
            reference=f"oci-archive:{folder}/images/sample.tar",
            arch=Arch.ARM64,
            insecure=True,
            compression=Compression.GZIP,
        ),
    }
    server = site.profiles["server"]
    assert server.templates[1] == Template(
        name="server.yaml", text="#cloud-config\n# server.yaml\n"
    )
    assert server.kernel_args == ("console=ttyS1",)
    assert server.variables == {"domain": "example.org", "workers": 3}
    assert server.exits == {Firmware.BIOS: ExitMethod.SANBOOT}
    alpha = site.nodes["alpha"]
    assert alpha.macs == (Mac("52:54:00:12:34:56"), Mac("52:54:00:12:34:57"))
    assert alpha.exits == dict.fromkeys(Firmware, ExitMethod.SILENCE)
    assert (alpha.recipe, alpha.variables) == ("uefi-direct", {"rack": "r1"})
    assert site.nodes["beta"].macs == (Mac("52:54:00:12:34:58"),)
    assert site.vendor_recipes == {"b8:27:eb": "uefi"}


@pytest.mark.parametrize(
    "spelling",
    ["52:54:00:12:34:56", "52-54-00-12-34-56", "5254.0012.3456", "525400123456", "'525400123456'"],
)
def test_a_mac_may_be_spelt_as_people_spell_it(folder: Path, spelling: str) -> None:
    text = WHOLE.replace("52-54-00-12-34-58", spelling).replace("52:54:00:12:34:56, ", "")
    assert load_site(write(folder, text), RECIPES).nodes["beta"].macs == (Mac("525400123456"),)


@pytest.mark.parametrize(
    ("old", "new", "line", "told"),
    [
        ("profiles:", "profile:", 8, "nearest: 'profiles'"),
        ("image: plain", "image: plane", 10, "no image 'plane'; nearest: 'plain'"),
        ("    profile: server\n    variables", "    profile: sever\n    variables", 19, "'server'"),
        ("kernel-args:", "kernel_args:", 13, "nearest: 'kernel-args'"),
        ("action: install", "action: instal", 11, "nearest: 'install'"),
        (
            "bios: sanboot",
            "uefi: sanboot",
            15,
            "sanboot is not for uefi machines, which have silence, exit, grub",
        ),
        ("52-54-00-12-34-58", "52-54-00-12-34", 24, "no MAC address"),
        ("52-54-00-12-34-58", "53-54-00-12-34-58", 24, "group address"),
        ("52-54-00-12-34-58", "52:54:00:12:34:56", 24, "is node alpha's already"),
        ("macs: 52-54-00-12-34-58", "macs: []", 24, "at least one MAC"),
        ("recipe: uefi-direct", "recipe: uefi_direct", 22, "nearest: 'uefi-direct'"),
        ("server.yaml]", "sever.yaml]", 12, "nearest: 'server.yaml'"),
        ("    macs: 52-54-00-12-34-58\n", "", 23, "'macs' is missing"),
        ("  beta:", "  Beta:", 23, "a node's name is its host name"),
        ("  beta:", "  alpha:", 23, "key 'alpha' is there already, on line 17"),
        ("insecure: true", "insecure: yes", 6, "write true or false"),
        ("platform: linux/arm64", "platform: linux/arm", 5, "'linux/arm' is not known here"),
        ("platform: linux/arm64", "platform: arm46", 5, "nearest: 'arm64'"),
        ("platform: linux/arm64", "arch: arm64", 5, "no such key"),
        ("B8-27-EB", "B8-27-E", 27, "no MAC prefix"),
        ("compression: gzip", "compression: lz5", 7, "'lz5' is not known here"),
        ("kairos/debian:v4.2.0", "Kairos/Debian", 2, "images.plain: 'registry.example/Kairos"),
        ("images/sample.tar", "images/a:b/c.tar", 4, "images.packed.source: 'b/c.tar' in"),
        ("[52:54:00:12:34:56, 5254.0012.3457]", "[525400123456, 5254.0012.3456]", 18, "alpha's"),
        ("[console=ttyS1]", '["a\\nb"]', 13, "one line of text"),
        ("[console=ttyS1]", "[kairos.reset]", 13, "holds 'kairos.reset'"),
        ("[console=ttyS1]", "[" + "x" * 1001 + "]", 13, "the kernel would cut"),
        ("plain: registry.example/kairos/debian:v4.2.0", "plain: Foo Bar", 2, "Foo Bar"),
    ],
)
def test_a_mistake_is_told_with_file_line_key_and_way_out(
    folder: Path, old: str, new: str, line: int, told: str
) -> None:
    refused(folder, WHOLE, old, new, line, told)


def refused(folder: Path, text: str, old: str, new: str, line: int, told: str) -> None:
    assert old in text
    path = write(folder, text.replace(old, new, 1))
    with pytest.raises(SiteMistake) as caught:
        load_site(path, RECIPES)
    message = str(caught.value)
    assert message.startswith(f"{path}:{line}: ")
    assert told in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("spelling", "arch"),
    [("amd64", Arch.AMD64), ("arm64", Arch.ARM64), ("linux/riscv64", Arch.RISCV64)],
)
def test_a_platform_is_spelt_with_and_without_its_system(
    folder: Path, spelling: str, arch: Arch
) -> None:
    text = WHOLE.replace("linux/arm64", spelling)
    assert load_site(write(folder, text), RECIPES).images["packed"].arch is arch


def test_registries_and_keys_are_read(folder: Path) -> None:
    site = load_site(write(folder, REGISTRIES), RECIPES)
    assert site.registries == {
        "quay.io": RegistryHost(
            host="quay.io", mirrors=("registry.lan:5000/quay", "http://10.0.0.9:5000")
        ),
        "registry.lan:5000": RegistryHost(
            host="registry.lan:5000", ca=str(folder / "certs" / "lan.pem")
        ),
        "old.lan": RegistryHost(host="old.lan", mirrors=("mirror.lan",), insecure=True),
    }
    assert site.images["signed"].verify_key == P256


def test_an_authority_is_found_from_wherever_the_command_is_called(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder, REGISTRIES)
    monkeypatch.chdir(folder)
    hosts = load_site(Path("site.yaml"), RECIPES).registries
    assert hosts["registry.lan:5000"].ca == str(folder / "certs" / "lan.pem")


def test_authority_and_key_are_among_the_files_that_belong_to_the_site(folder: Path) -> None:
    files = load_with_files(write(folder, REGISTRIES), RECIPES)[1]
    assert set(files) == {"site.yaml", "certs/lan.pem", "cosign.pub"}


@pytest.mark.parametrize(
    ("old", "new", "line", "told"),
    [
        ("registries:", "registry:", 1, "nearest: 'registries'"),
        ("  quay.io:", "  quay.io/kairos:", 2, "'quay.io/kairos' is no registry: write HOST or"),
        ("  quay.io:", "  https://quay.io:", 2, "is no registry"),
        ("  old.lan:", "  quay.io:", 6, "key 'quay.io' is there already, on line 2"),
        ("mirrors: [", "mirror: [", 3, "nearest: 'mirrors'"),
        ("http://10.0.0.9:5000", "ftp://10.0.0.9", 3, "'ftp://10.0.0.9' is no mirror: write [http"),
        ("registry.lan:5000/quay", "registry.lan/Quay", 3, "'registry.lan/Quay' is no mirror"),
        ("mirrors: mirror.lan", "mirrors: {a: b}", 8, "write a list"),
        ("certs/lan.pem", "certs/lam.pem", 5, "No such file or directory; nearest: 'lan.pem'"),
        ("certs/lan.pem", "image.bin", 5, "is no UTF-8 text"),
        ("certs/lan.pem", "certs", 5, "is no text file of at most 4 MiB"),
        ("certs/lan.pem", "/dev/zero", 5, "is no text file of at most 4 MiB"),
        ("insecure: true", "insecure: 1", 7, "registries.old.lan.insecure: '1' is here"),
        ("cosign.pub", "cosign.pem", 12, "cannot read "),
        ("cosign.pub", "cosign.key", 12, "cosign.key is a private key: keep it secret"),
        ("cosign.pub", "base.yaml", 12, "base.yaml is no public key: give a PEM file"),
        ("verify: cosign.pub", "verify:", 12, "write a text"),
        ("verify: ", "verify-key: ", 12, "nearest: 'verify'"),
    ],
)
def test_a_mistake_about_registries_and_keys_is_told_likewise(
    folder: Path, old: str, new: str, line: int, told: str
) -> None:
    refused(folder, REGISTRIES, old, new, line, told)


def test_broken_yaml_is_one_line(folder: Path) -> None:
    with pytest.raises(SiteMistake, match=r"site.yaml:2: no YAML"):
        load_site(write(folder, "images:\n\tplain: x\n"), RECIPES)


def test_a_missing_file_is_told(folder: Path) -> None:
    with pytest.raises(SiteMistake, match="cannot be read: No such file"):
        load_site(folder / "nowhere.yaml", RECIPES)


def test_an_empty_site_names_nothing(folder: Path) -> None:
    site = load_site(write(folder, ""), RECIPES)
    assert (site.images, site.profiles, site.nodes) == ({}, {}, {})


def test_a_key_for_documents_is_long(folder: Path) -> None:
    key = "0123456789abcdef0123456789abcdef"
    text = WHOLE.replace("    exit: {bios: sanboot}\n", f"    document-key: {key}\n")
    assert load_site(write(folder, text), RECIPES).profiles["server"].documents_opened_by == key
    with pytest.raises(SiteMistake, match="32 letters and digits or more"):
        load_site(write(folder, text.replace(key, key[1:])), RECIPES)
