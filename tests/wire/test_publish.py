"""Boot files through a registry: made once, taken as they are."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import oras.client
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from typer.testing import CliRunner

from kairos_netboot.boot.site import Image, ImageSource
from kairos_netboot.cli.main import app
from kairos_netboot.errors import ImageProblem, InvalidValue, NetbootError, StoreProblem
from kairos_netboot.images.artifact import pack
from kairos_netboot.images.keys import PrivateKey
from kairos_netboot.images.publish import publish_image
from kairos_netboot.images.reference import RegistryReference, parse
from kairos_netboot.store.store import Store
from kairos_netboot.values import Arch, Digest
from tests.bundles import keep, made_image
from tests.images_factory import file, image, kairos_entries, layer, write_archive
from tests.registries import Answer, Asked, docker_registry, fake_registry, needs

pytestmark = pytest.mark.wire

KEY, OTHER_KEY = (ec.derive_private_key(number, ec.SECP256R1()) for number in (7, 8))
OCI = "application/vnd.oci.image.manifest.v1+json"


@pytest.fixture(autouse=True)
def nothing_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with docker_registry(tmp_path_factory.mktemp("registry") / "registry") as host:
        yield host


@pytest.fixture
def central(tmp_path: Path) -> Iterator[Store]:
    with closing(Store(tmp_path / "central")) as opened:
        yield opened


@pytest.fixture
def edge(tmp_path: Path) -> Iterator[Store]:
    with closing(Store(tmp_path / "edge")) as opened:
        yield opened


def command(state: Path, *arguments: str | Path) -> str:
    words = ["--state", state, *arguments]
    result = CliRunner().invoke(app, list(map(str, words)))
    if isinstance(result.exception, NetbootError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def keep_image(store: Store, arch: Arch = Arch.AMD64) -> Image:
    source = ImageSource(name="os", reference="quay.io/kairos/debian:v4", arch=arch)
    return keep(store, source, made_image(1))


def write_keys(folder: Path, key: ec.EllipticCurvePrivateKey) -> tuple[Path, Path]:
    folder.mkdir(exist_ok=True)
    private, public = folder / "key.pem", folder / "key.pub"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    spki = PublicFormat.SubjectPublicKeyInfo
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, spki))
    return private, public


def publish(store: Store, kept: Image, reference: str, key: PrivateKey | None = None) -> Digest:
    target = parse(reference)
    assert isinstance(target, RegistryReference)
    return publish_image(
        kept, target, store.blobs, hosts={}, insecure=True, key=key, tell=lambda told: None
    )


def test_another_box_takes_the_boot_files_without_any_work(
    tmp_path: Path, registry: str, central: Store, edge: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs("tar2sqfs", "rdsquashfs")
    made = image([layer(kairos_entries()), layer([file("./etc/x", "1")])])
    archive = write_archive(tmp_path / "os.tar", {"v": made})
    command(central.directory, "images", "add", f"oci-archive:{archive}", "--name", "os")
    reference = f"{registry}/boot/os:v4"
    said = command(central.directory, "images", "publish", "os", reference, "--insecure")
    there = central.fleet().images["os"]
    digest = Digest.of(pack(there).manifest)
    assert said == f"image os: published as {reference}, {digest}\n"

    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert shutil.which("tar2sqfs") is None
    command(edge.directory, "images", "add", reference, "--insecure")
    here = edge.fleet().images["os"]
    assert (here.digest, here.files, here.content) == (digest, there.files, None)
    assert here.facts == replace(there.facts, made_of=made.top)
    assert edge.is_whole(here)
    assert here.facts.version == "v4.2.0"
    with closing(Store(tmp_path / "third")) as third:
        # What was taken can be given on, and is still the same.
        again = command(edge.directory, "images", "publish", "os", reference, "--insecure")
        assert again == said
        command(third.directory, "images", "add", reference, "--insecure")
        assert third.fleet().images["os"] == here


def test_the_artifact_is_read_by_other_tools(registry: str, central: Store, tmp_path: Path) -> None:
    kept = keep_image(central)
    reference = f"{registry}/boot/tools:v4"
    digest = publish(central, kept, reference)
    argv = ["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{reference}"]
    raw = subprocess.run(argv, check=True, capture_output=True).stdout
    assert Digest.of(raw) == digest
    document = json.loads(raw)
    assert document["artifactType"] == "application/vnd.kairos-netboot.boot-files.v1"
    assert document["annotations"]["org.opencontainers.image.base.digest"] == kept.digest
    assert document["annotations"]["io.kairos.netboot.version"] == "v4.2.0"
    client = oras.client.OrasClient(insecure=True)
    assert client.get_manifest(reference) == document
    pulled = client.pull(target=reference, outdir=str(tmp_path / "pulled"))
    assert sorted(Path(path).name for path in pulled) == ["initrd", "kernel", "rootfs"]
    for part in ("kernel", "initrd", "rootfs"):
        data = (tmp_path / "pulled" / part).read_bytes()
        assert Digest.of(data) == getattr(kept.files, part).digest


class Counting:
    """A registry that takes what is pushed, and counts it."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, bytes] = {}
        self.order: list[str] = []

    def __call__(self, asked: Asked) -> Answer:
        path, _, query = asked.path.partition("?")
        name = path.rpartition("/")[2]
        if "/uploads/" in path:
            return self._upload(asked, query)
        known = self.blobs if "/blobs/" in path else self.manifests
        if asked.method == "PUT":
            self.order.append(name)
            self.manifests[name] = self.manifests[Digest.of(asked.body)] = asked.body
            return Answer(status=201)
        if name not in known:
            return Answer(status=404)
        return Answer(body=known[name])

    def _upload(self, asked: Asked, query: str) -> Answer:
        if asked.method == "POST":
            return Answer(status=202, headers={"Location": f"{asked.path}1"})
        digest = query.removeprefix("digest=").replace("%3A", ":")
        assert digest == Digest.of(asked.body)
        self.order.append(digest)
        self.blobs[digest] = asked.body
        return Answer(status=201)


def test_a_second_publish_sends_no_file_again_and_tags_come_last(central: Store) -> None:
    kept, counting = keep_image(central), Counting()
    with fake_registry(counting) as host:
        digest = publish(central, kept, f"{host}/boot/os:v4", KEY)
        files = {blob.digest for blob in kept.files}
        assert files <= set(counting.order)
        signature = f"sha256-{digest.hex}.sig"
        assert counting.order[-3:] == [digest, signature, "v4"]
        counting.order.clear()
        before = dict(counting.manifests)
        assert publish(central, kept, f"{host}/boot/os:v4", KEY) == digest
        assert counting.order == [digest, signature, "v4"]
        assert counting.manifests == before


def test_only_the_right_signature_is_taken(
    tmp_path: Path, registry: str, central: Store, edge: Store
) -> None:
    keep_image(central)
    private, public = write_keys(tmp_path / "keys", KEY)
    other, _ = write_keys(tmp_path / "other", OTHER_KEY)
    reference = f"{registry}/boot/signed:v4"
    add = ("images", "add", reference, "--insecure", "--verify-key")
    give = ("images", "publish", "os", reference, "--insecure")
    command(central.directory, *give)
    with pytest.raises(ImageProblem, match=f"^{reference}: it is not signed"):
        command(edge.directory, *add, public)
    command(central.directory, *give, "--sign-key", other)
    with pytest.raises(ImageProblem, match="is not by this key"):
        command(edge.directory, *add, public)
    assert (edge.fleet().images, edge.blobs.all()) == ({}, ())
    command(central.directory, *give, "--sign-key", private)
    command(edge.directory, *add, public)
    assert edge.fleet().images["signed"].facts.made_of == made_image(1).top


def test_another_platform_is_refused(registry: str, central: Store, edge: Store) -> None:
    reference = f"{registry}/boot/arm:v4"
    publish(central, keep_image(central, Arch.ARM64), reference)
    add = ("images", "add", reference, "--insecure")
    with pytest.raises(ImageProblem, match="made for linux/arm64, not linux/amd64"):
        command(edge.directory, *add)
    command(edge.directory, *add, "--platform", "arm64")
    assert edge.fleet().images["arm"].facts.arch is Arch.ARM64


def serving(kept: Image, store: Store, **changes: object) -> Counting:
    """A registry with the artifact, its manifest changed."""
    found = Counting()
    packed = pack(kept)
    manifest = json.dumps(json.loads(packed.manifest) | changes).encode()
    found.manifests["v4"] = manifest
    blobs = [packed.config, *(store.blobs.path(b.digest).read_bytes() for b in kept.files)]
    found.blobs = {Digest.of(data): data for data in blobs}
    return found


@pytest.mark.parametrize("what", ["lies", "lacks", "incomplete", "other config"])
def test_an_artifact_that_is_not_whole_changes_nothing(
    central: Store, edge: Store, what: str
) -> None:
    kept = keep_image(central)
    layers = json.loads(pack(kept).manifest)["layers"]
    rootfs = kept.boot_files.rootfs.digest
    found = serving(kept, central)
    match what:
        case "lies":
            found.blobs[rootfs] = b"?" + found.blobs[rootfs][1:]
            message = f"{rootfs} came with other content"
        case "lacks":
            del found.blobs[rootfs]
            message = "does not have it"
        case "incomplete":
            found = serving(kept, central, layers=layers[:2])
            message = "its boot files are not complete: have it published again"
        case _:
            config = b'{"arch": 1}'
            found = serving(kept, central, config=descriptor_of(config))
            found.blobs[Digest.of(config)] = config
            message = "its facts cannot be read"
    with fake_registry(found) as host, pytest.raises(ImageProblem, match=message):
        command(edge.directory, "images", "add", f"{host}/boot/os:v4", "--insecure")
    assert (edge.fleet().images, edge.blobs.all()) == ({}, ())
    assert list((edge.blobs.root / "work").iterdir()) == []


def descriptor_of(config: bytes) -> dict[str, object]:
    kind = "application/vnd.kairos-netboot.facts.v1+json"
    return {"mediaType": kind, "digest": Digest.of(config), "size": len(config)}


@pytest.mark.parametrize("text", ["oci:somewhere", "r.example/os@" + Digest.of(b""), "iso:x.iso"])
def test_what_is_nothing_to_push_to_is_told_first(central: Store, text: str) -> None:
    keep_image(central)
    with pytest.raises(InvalidValue, match="is nothing to push to: write HOST/NAME:TAG"):
        command(central.directory, "images", "publish", "os", text)


def test_a_registry_that_takes_nothing_is_named(central: Store, tmp_path: Path) -> None:
    kept = keep_image(central)
    with (
        docker_registry(tmp_path / "registry", read_only=True) as host,
        pytest.raises(ImageProblem, match=f"^{host}/boot/os:v4: .*read-only"),
    ):
        publish(central, kept, f"{host}/boot/os:v4")


def test_files_that_are_gone_are_told_before_anything_is_pushed(central: Store) -> None:
    kept, counting = keep_image(central), Counting()
    central.blobs.remove(kept.boot_files.kernel.digest)
    with (
        fake_registry(counting) as host,
        pytest.raises(StoreProblem, match="files of image 'os' are not here any more"),
    ):
        publish(central, kept, f"{host}/boot/os:v4")
    assert counting.order == []
