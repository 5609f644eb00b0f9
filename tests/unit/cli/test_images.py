"""`images …` on a state directory of its own, with OCI layouts in place of registries."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from typer.testing import CliRunner, Result

from kairos_netboot.boot.site import Image
from kairos_netboot.cli.main import app
from kairos_netboot.errors import (
    ImageProblem,
    InvalidValue,
    NetbootError,
    StoreProblem,
    UnknownName,
)
from kairos_netboot.images.signing import sign
from kairos_netboot.store.store import Store
from kairos_netboot.values import Arch, Digest
from tests.images_factory import (
    MadeImage,
    file,
    image,
    index_of,
    kairos_entries,
    layer,
    write_layout,
)
from tests.unit.boot.sample import DOCUMENT

pytestmark = pytest.mark.skipif(
    not (shutil.which("tar2sqfs") or shutil.which("mksquashfs")),
    reason="no squashfs builder: apt-get install squashfs-tools-ng",
)

KERNEL = bytes.fromhex(
    (Path(__file__).parents[1] / "images/captures/debian-12-amd64-vmlinuz.hex").read_text()
)
KEY = ec.derive_private_key(7, ec.SECP256R1())
OTHER_KEY = ec.derive_private_key(8, ec.SECP256R1())
GC = "`kairos-netboot images gc`"
Call = Callable[..., Result]
Run = Callable[..., str]


def version(number: int, kernel: bytes = KERNEL, arch: str = "amd64") -> MadeImage:
    plain = [entry for entry in kairos_entries() if "vmlinuz-" not in entry.name]
    if arch != "amd64":  # which is what the file says
        plain = [entry for entry in plain if "kairos-release" not in entry.name]
    boot = file("./boot/vmlinuz-6.1.0-10-amd64", kernel)
    top = [file("./etc/version", f"{number}\n" * 1000)]
    return image([layer([*plain, boot]), layer(top)], arch=arch)


@pytest.fixture
def call(tmp_path: Path) -> Call:
    def call(*arguments: str | Path) -> Result:
        words = map(str, arguments)
        return CliRunner().invoke(app, ["--state", str(tmp_path / "state"), *words])

    return call


@pytest.fixture
def run(call: Call) -> Run:
    """What it prints; what it refuses is raised."""

    def run(*arguments: str | Path) -> str:
        result = call(*arguments)
        if isinstance(result.exception, NetbootError):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.stdout

    return run


@contextmanager
def store_in(tmp_path: Path) -> Iterator[Store]:
    with closing(Store(tmp_path / "state")) as store:
        yield store


def image_in(tmp_path: Path, name: str = "os") -> Image:
    with store_in(tmp_path) as store:
        found = store.fleet().images[name]
        assert store.is_whole(found)
        return found


def blobs_in(tmp_path: Path) -> set[str]:
    assert list((tmp_path / "state" / "blobs" / "work").iterdir()) == []
    return {path.name for path in (tmp_path / "state" / "blobs" / "sha256").iterdir()}


def hexes(*images: Image) -> set[str]:
    return {blob.digest.hex for image in images for blob in image.blobs()}


def ship(
    tmp_path: Path, made: MadeImage, signed_with: ec.EllipticCurvePrivateKey | None = None
) -> str:
    """The tag `v` of a layout now names this image, as when a registry's tag is moved."""
    layout = tmp_path / "os"
    shutil.rmtree(layout, ignore_errors=True)
    tags = {"v": made}
    if signed_with is not None:
        sealed = sign("os:v", made.top, signed_with)
        top = Digest.of(sealed.manifest)
        tags[sealed.tag] = MadeImage(top=top, blobs={top: sealed.manifest, **sealed.blobs})
    write_layout(layout, tags)
    return f"oci:{layout}:v"


def write_key(path: Path, key: ec.EllipticCurvePrivateKey = KEY) -> Path:
    spki = PublicFormat.SubjectPublicKeyInfo
    path.write_bytes(key.public_key().public_bytes(Encoding.PEM, spki))
    return path


# --- add ---


def test_an_image_is_added_under_the_last_word_of_its_reference(run: Run, tmp_path: Path) -> None:
    assert re.fullmatch(
        r"image os: debian bookworm v4\.2\.0, kernel 6\.1\.0-10-amd64, 0\.0 MB\n",
        run("images", "add", ship(tmp_path, version(1))),
    )
    assert image_in(tmp_path).digest == version(1).top


@pytest.mark.parametrize(
    ("spelling", "arch"),
    [("arm64", "arm64"), ("linux/arm64", "arm64"), ("linux/amd64", "amd64"), ("", "amd64")],
)
def test_a_platform_is_spelt_with_and_without_its_system(
    run: Run, tmp_path: Path, spelling: str, arch: str
) -> None:
    made = {name: version(1, b"kernel " * 9, name) for name in ("arm64", "amd64")}
    options = ["--platform", spelling] if spelling else []
    run("images", "add", ship(tmp_path, index_of(made)), *options)
    found = image_in(tmp_path)
    assert (found.digest, found.facts.arch) == (made[arch].top, Arch(arch))


@pytest.mark.parametrize("spelling", ["arm", "linux/", "windows/amd64", "linux/arm64/v8", "AMD64"])
def test_another_platform_is_a_wrong_call(call: Call, spelling: str, tmp_path: Path) -> None:
    result = call("images", "add", ship(tmp_path, version(1)), "--platform", spelling)
    assert result.exit_code == 2
    assert "is none of amd64, arm64, riscv64" in " ".join(result.stderr.replace("│", " ").split())


def test_another_compression_is_a_wrong_call(call: Call, tmp_path: Path) -> None:
    reference = ship(tmp_path, version(1))
    assert call("images", "add", reference, "--compression", "lz4").exit_code == 2


def test_an_image_without_its_file_names_the_reference(run: Run, tmp_path: Path) -> None:
    with pytest.raises(NetbootError, match=f"oci:{tmp_path}/nowhere"):
        run("images", "add", f"oci:{tmp_path}/nowhere")


# --- list and show ---


def test_lists_keep_long_names_whole_and_aligned(run: Run, tmp_path: Path) -> None:
    reference, long = ship(tmp_path, version(1)), ("a-name-that-is-long-" * 8).rstrip("-")
    run("images", "add", reference, "--name", long)
    run("images", "add", reference, "--name", "b")
    head, first, second = run("images", "list").splitlines()
    assert first.split() == [long, "v4.2.0", "amd64", "6.1.0-10-amd64", reference]
    assert second.split() == ["b", "v4.2.0", "amd64", "6.1.0-10-amd64", reference]
    assert head.index("SOURCE") == first.index(reference) == second.index(reference)
    assert run("images", "show", long).splitlines()[0].split() == ["name", long]


def test_everything_that_is_known_of_an_image_is_shown(run: Run, tmp_path: Path) -> None:
    reference = ship(tmp_path, version(1), KEY)
    run("images", "add", reference, "--verify-key", write_key(tmp_path / "cosign.pub"))
    found = image_in(tmp_path)
    shown = dict(
        re.split(r"\s{3,}", line, maxsplit=1) for line in run("images", "show", "os").splitlines()
    )
    expected = {
        "name": "os",
        "source": reference,
        "digest": found.digest,
        "signature": "checked with a key",
        "arch": "amd64",
        "flavor": "debian",
        "flavor release": "bookworm",
        "version": "v4.2.0",
        "kernel version": "6.1.0-10-amd64",
        "efi stub": "True",
        "former": "-",
    }
    assert {key: shown.get(key) for key in expected} == expected
    assert shown["rootfs"] == f"{found.boot_files.rootfs.digest} (0.0 MB)"
    assert shown["layers"] == "0.0 MB"


def test_a_kernel_that_uefi_cannot_start_is_shown_as_one(run: Run, tmp_path: Path) -> None:
    run("images", "add", ship(tmp_path, version(1, b"\0\0" + KERNEL[2:])))
    assert re.search(r"^efi stub +False$", run("images", "show", "os"), re.MULTILINE)


def test_an_image_without_layers_says_what_that_means(run: Run, tmp_path: Path) -> None:
    run("images", "add", ship(tmp_path, version(1)))
    with store_in(tmp_path) as store:
        rootfs = store.blobs.path(store.fleet().images["os"].boot_files.rootfs.digest)
    (tmp_path / "kernel").write_bytes(KERNEL)
    (tmp_path / "initrd").write_bytes(b"070701" + bytes(200))
    parts = f"kernel={tmp_path}/kernel,initrd={tmp_path}/initrd,rootfs={rootfs}"
    run("images", "add", f"files:{parts}", "--name", "bare")
    assert "none: nodes cannot upgrade from here" in run("images", "show", "bare")


def test_an_image_that_is_one_file_is_told_as_one(run: Run, tmp_path: Path) -> None:
    (tmp_path / "kairos.efi").write_bytes(KERNEL)
    added = run("images", "add", f"uki:{tmp_path}/kairos.efi", "--name", "trusted")
    assert "efi for UEFI HTTP Boot (amd64), 0.0 MB" in added
    shown = run("images", "show", "trusted")
    assert re.search(r"^efi +sha256:[0-9a-f]{64} \(0\.0 MB\)$", shown, re.MULTILINE)
    assert f"uki:{tmp_path}/kairos.efi" in run("images", "list")
    with pytest.raises(ImageProblem, match="is one efi file, which is nothing to publish"):
        run("images", "publish", "trusted", "registry.example/x:v1")


# --- update and rollback ---


def test_an_update_with_nothing_new_says_so_and_does_nothing(run: Run, tmp_path: Path) -> None:
    run("images", "add", ship(tmp_path, version(1)))
    before, blobs = image_in(tmp_path), blobs_in(tmp_path)
    assert run("images", "update") == f"image os: is up to date, {before.digest}\n"
    assert (image_in(tmp_path), blobs_in(tmp_path)) == (before, blobs)
    assert re.search(r"^former +-$", run("images", "show", "os"), re.MULTILINE)


def test_an_update_keeps_the_former_and_rollback_swaps_the_two(run: Run, tmp_path: Path) -> None:
    run("images", "add", ship(tmp_path, version(1)), "--compression", "xz")
    first = image_in(tmp_path)
    ship(tmp_path, version(2))
    assert run("images", "update", "os") == (
        f"image os: {version(1).top} is now {version(2).top}\n"
    )
    second = image_in(tmp_path)
    assert second.source == first.source, "with the same options"
    assert re.search(rf"^former +{first.digest}$", run("images", "show", "os"), re.MULTILINE)
    assert run("images", "gc") == "nothing to delete\n"
    assert blobs_in(tmp_path) == hexes(first, second)

    assert run("images", "rollback", "os").startswith(f"image os: {first.digest} again, debian")
    assert image_in(tmp_path) == first
    run("images", "rollback", "os")
    assert image_in(tmp_path) == second
    assert run("images", "gc") == "nothing to delete\n"


def test_a_second_update_drops_the_oldest_and_gc_frees_exactly_it(run: Run, tmp_path: Path) -> None:
    found: list[Image] = []
    for number in (1, 2, 3):
        reference = ship(tmp_path, version(number))
        run("images", "update") if found else run("images", "add", reference)
        found.append(image_in(tmp_path))
    oldest = hexes(found[0]) - hexes(*found[1:])
    assert len(oldest) == 4, "its layer, config and manifest, and the squashfs"
    told = run("images", "gc", "--yes")
    assert set(re.findall("sha256:([0-9a-f]{64})", told)) == oldest
    assert "4 files that nothing needs" in told
    assert blobs_in(tmp_path) == hexes(*found[1:])
    assert run("images", "gc", "--yes") == "nothing to delete\n"


def test_an_update_after_a_rollback_takes_the_new_one_without_making_it_again(
    run: Run, call: Call, tmp_path: Path
) -> None:
    run("images", "add", ship(tmp_path, version(1)))
    ship(tmp_path, version(2))
    run("images", "update")
    second = image_in(tmp_path)
    run("images", "rollback", "os")
    result = call("images", "update")
    assert "fetch" not in result.stderr
    assert image_in(tmp_path) == second


def test_there_is_no_way_back_to_what_never_was(run: Run, tmp_path: Path) -> None:
    run("images", "add", ship(tmp_path, version(1)))
    with pytest.raises(UnknownName, match="no former version here"):
        run("images", "rollback", "os")
    with pytest.raises(UnknownName, match="no image 'nothing' here"):
        run("images", "rollback", "nothing")


def test_an_image_whose_source_is_gone_stays_and_the_others_are_updated(
    run: Run, call: Call, tmp_path: Path
) -> None:
    gone = f"oci:{write_layout(tmp_path / 'gone', {'v': version(7)})}:v"
    run("images", "add", gone, "--name", "a-gone")
    run("images", "add", ship(tmp_path, version(1)))
    shutil.rmtree(tmp_path / "gone")
    ship(tmp_path, version(2))
    result = call("images", "update")
    assert str(result.exception) == "not updated, and still in service: a-gone"
    assert f"image a-gone: {gone}: " in result.stderr
    assert image_in(tmp_path).digest == version(2).top
    assert image_in(tmp_path, "a-gone").digest == version(7).top


def test_an_unknown_name_updates_nothing(run: Run, tmp_path: Path) -> None:
    run("images", "add", ship(tmp_path, version(1)))
    ship(tmp_path, version(2))
    with pytest.raises(UnknownName, match="no image 'oss' here"):
        run("images", "update", "os", "oss")
    assert image_in(tmp_path).digest == version(1).top


# --- rm and gc ---

SITE = """\
images:
  os: {{source: "{source}"{more}}}
profiles:
  server: {{image: os, cloud-config: base.yaml}}
nodes:
  alpha: {{macs: 52:54:00:00:00:01, profile: server}}
"""


def write_site(tmp_path: Path, source: str, more: str = "") -> Path:
    (tmp_path / "base.yaml").write_text(DOCUMENT)
    (tmp_path / "site.yaml").write_text(SITE.format(source=source, more=more))
    return tmp_path / "site.yaml"


def test_an_image_that_a_profile_names_is_not_removed(run: Run, tmp_path: Path) -> None:
    run("apply", write_site(tmp_path, ship(tmp_path, version(1))))
    before = image_in(tmp_path)
    with pytest.raises(StoreProblem) as caught:
        run("images", "rm", "os")
    assert "profile 'server' installs image 'os': take it out of the site file" in str(caught.value)
    assert image_in(tmp_path) == before
    assert run("images", "gc") == "nothing to delete\n"

    (tmp_path / "site.yaml").write_text("")
    run("apply", tmp_path / "site.yaml")
    assert run("images", "rm", "os") == f"image os: gone; {GC} frees 0.0 MB\n"
    assert "no images yet" in run("images", "list")


def test_gc_lists_what_it_would_delete_and_deletes_nothing_unasked(
    run: Run, call: Call, tmp_path: Path
) -> None:
    reference = ship(tmp_path, version(1))
    run("images", "add", reference)
    run("images", "add", reference, "--name", "other", "--compression", "xz")
    found, other = image_in(tmp_path), image_in(tmp_path, "other")
    run("images", "rm", "os")
    result = call("images", "gc")
    assert isinstance(result.exception, InvalidValue)
    assert str(result.exception) == "nobody to ask whether to delete them: say --yes"
    unneeded = hexes(found) - hexes(other)
    assert {found.boot_files.rootfs.digest.hex} == unneeded, "the rest is the other's too"
    assert set(re.findall("sha256:([0-9a-f]{64})", result.stdout)) == unneeded
    assert blobs_in(tmp_path) == hexes(found, other)

    assert run("images", "gc", "-y").endswith("freed 0.0 MB\n")
    assert blobs_in(tmp_path) == hexes(other)
    assert image_in(tmp_path, "other") == other


# --- signatures ---


def test_a_signed_image_is_taken_and_its_update_must_be_signed_too(
    run: Run, call: Call, tmp_path: Path
) -> None:
    reference = ship(tmp_path, version(1), KEY)
    key = write_key(tmp_path / "cosign.pub")
    run("images", "add", reference, "--verify-key", key)
    before, blobs = image_in(tmp_path), blobs_in(tmp_path)
    key.unlink()  # it is kept with the image

    ship(tmp_path, version(2))
    assert "os: it is not signed" not in call("images", "update").stdout
    assert "it is not signed: sign it with" in call("images", "update").stderr
    ship(tmp_path, version(2), OTHER_KEY)
    assert "its signature is not by this key" in call("images", "update").stderr
    assert (image_in(tmp_path), blobs_in(tmp_path)) == (before, blobs)

    ship(tmp_path, version(2), KEY)
    run("images", "update")
    assert image_in(tmp_path).digest == version(2).top


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("-----BEGIN PRIVATE KEY-----\n", "is a private key: keep it secret"),
        ("hello\n", "is no public key"),
        (None, "cosign.pub: cannot be read: No such file"),
    ],
)
def test_a_key_that_is_none_is_told_first(
    run: Run, tmp_path: Path, text: str | None, words: str
) -> None:
    if text is not None:
        (tmp_path / "cosign.pub").write_text(text)
    with pytest.raises(InvalidValue, match=words):
        run("images", "add", "r.invalid/os:v", "--verify-key", tmp_path / "cosign.pub")


def test_a_site_file_that_wants_a_signature_changes_nothing_without(
    run: Run, tmp_path: Path
) -> None:
    source = ship(tmp_path, version(1))
    run("apply", write_site(tmp_path, source))
    before, blobs = image_in(tmp_path), blobs_in(tmp_path)
    write_key(tmp_path / "cosign.pub")
    signed = write_site(tmp_path, source, ", verify: cosign.pub")
    with pytest.raises(NetbootError, match=f"^{source}: it is not signed"):
        run("apply", signed)
    assert (image_in(tmp_path), blobs_in(tmp_path)) == (before, blobs)

    ship(tmp_path, version(1), KEY)
    assert run("apply", signed) == f"image os: added, {before.digest}\n"
    assert image_in(tmp_path).source.verify_key == (tmp_path / "cosign.pub").read_text()
    assert blobs_in(tmp_path) == blobs
    assert run("apply", signed) == "nothing to change\n"


def test_an_image_without_a_manifest_cannot_be_signed(run: Run, tmp_path: Path) -> None:
    key = write_key(tmp_path / "cosign.pub")
    with pytest.raises(NetbootError, match="carry signatures: leave the key out"):
        run("images", "add", f"dir:{tmp_path}", "--verify-key", key)


@pytest.mark.parametrize("name", ["UPPER", "../../etc", "a b", "a\x1b[31m", "a..b", "-a"])
def test_a_name_that_no_registry_could_serve_is_refused(
    run: Run, tmp_path: Path, name: str
) -> None:
    reference = ship(tmp_path, version(1))
    with pytest.raises(InvalidValue, match="is no name for an image"):
        run("images", "add", reference, f"--name={name}")


def test_an_authority_for_what_is_on_the_disk_is_refused(run: Run, tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="--ca is for registries"):
        run("images", "add", ship(tmp_path, version(1)), "--ca", "x.pem")


def test_paths_count_from_where_the_image_was_added(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = ship(tmp_path, version(1))
    scheme, _, path = reference.partition(":")
    monkeypatch.chdir(Path(path).parent)
    run("images", "add", f"{scheme}:{Path(path).name}", "--name", "os")
    monkeypatch.chdir("/")
    assert "is up to date" in run("images", "update", "os")
