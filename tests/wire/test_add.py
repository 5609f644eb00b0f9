"""Images from registries into the store, by the commands: what is fetched and what is kept."""

from __future__ import annotations

import os
import pty
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from typer.testing import CliRunner

from kairos_netboot.boot.site import Compression, Image, ImageSource
from kairos_netboot.cli.main import app
from kairos_netboot.errors import ImageProblem, NetbootError, StoreProblem
from kairos_netboot.images import patience
from kairos_netboot.images.progress import Progress, Tell
from kairos_netboot.images.pull import add_image
from kairos_netboot.images.reference import RegistryReference, parse
from kairos_netboot.images.registry import open_repository
from kairos_netboot.images.signing import sign
from kairos_netboot.store.store import Store
from kairos_netboot.values import Blob, Digest
from tests.images_factory import (
    MadeImage,
    PackedLayer,
    file,
    hardlink,
    image,
    index_of,
    kairos_entries,
    layer,
)
from tests.registries import (
    Answer,
    Answering,
    Asked,
    cut_after,
    docker_registry,
    fake_registry,
    honest,
    needs,
    push,
)
from tests.small_disk import filled_up, small_disk
from tests.unit.boot.sample import DOCUMENT

pytestmark = pytest.mark.wire

KEY, OTHER_KEY = (ec.derive_private_key(number, ec.SECP256R1()) for number in (7, 8))
BASE = layer(kairos_entries())
WAITING = "another command makes this image: waiting for it"


def with_big_file(seed: int, size: int = 4_000_000) -> PackedLayer:
    """It does not become smaller."""
    return layer([file("./etc/big", random.Random(seed).randbytes(size))])


BIG = with_big_file(1)
ONE, TWO, THREE = (image([BASE, layer([file("./etc/v", str(n))]), BIG]) for n in (1, 2, 3))


@pytest.fixture(autouse=True)
def nothing_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    needs("tar2sqfs")
    with closing(Store(tmp_path / "state")) as opened:
        yield opened


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with docker_registry(tmp_path_factory.mktemp("registry") / "registry") as host:
        yield host


@dataclass
class Shop:
    """A registry with one tag that can be moved; `asked` is what was asked of it."""

    made: MadeImage
    asked: list[Asked] = field(default_factory=list)

    def __call__(self, asked: Asked) -> Answer:
        self.asked.append(asked)
        return honest(self.made)(asked)

    def blobs(self) -> list[Digest]:
        names = [a.path.rpartition("/")[2] for a in self.asked if "/blobs/" in a.path]
        return [Digest(name) for name in names]


def source(reference: str, name: str = "os", **more: object) -> ImageSource:
    return ImageSource(name=name, reference=reference, insecure=True, **more)  # type: ignore[arg-type]


def add(store: Store, wanted: ImageSource, tell: Tell = lambda told: None) -> Image:
    return add_image(wanted, store, store.registries(), tell)


def command(tmp_path: Path, *arguments: str | Path) -> str:
    words = ["--state", tmp_path / "state", *arguments]
    result = CliRunner().invoke(app, list(map(str, words)))
    if isinstance(result.exception, NetbootError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


@contextmanager
def unchanged(store: Store) -> Iterator[None]:
    """The store is as it was, and nobody works on anything."""
    before = store.fleet(), store.blobs.all()
    yield
    assert (store.fleet(), store.blobs.all()) == before
    assert list((store.blobs.root / "work").iterdir()) == []
    assert all(store.is_whole(image) for image in store.fleet().images.values())


def hexes(*images: Image) -> set[Digest]:
    return {blob.digest for image in images for blob in image.blobs()}


# --- what is kept, and what is not fetched ---


def test_an_image_of_a_registry_is_kept_whole(tmp_path: Path, registry: str, store: Store) -> None:
    push(tmp_path, ONE, f"{registry}/kairos/debian:v1")
    told = command(tmp_path, "images", "add", "--insecure", f"{registry}/kairos/debian:v1")
    assert told.startswith("image debian: debian bookworm v4.2.0, kernel 6.1.0-10-amd64, ")
    found = store.fleet().images["debian"]
    assert store.is_whole(found)
    assert found.content
    kept = [found.content.manifest, *found.content.blobs]
    assert {one.digest: store.blobs.path(one.digest).read_bytes() for one in kept} == ONE.blobs
    assert store.blobs.path(found.boot_files.initrd.digest).read_bytes() == b"initrd " * 500
    assert store.garbage() == ()


def test_what_is_here_is_not_fetched_again(store: Store) -> None:
    shop = Shop(ONE)
    with fake_registry(shop) as host:
        first = add(store, source(f"{host}/os:v"))
        assert sorted(shop.blobs()) == sorted(ONE.blobs.keys() - {ONE.top}), "each once"
        shop.asked.clear()
        again = add(store, source(f"{host}/os:v", name="again"))
        assert (again.files, again.content, shop.blobs()) == (first.files, first.content, [])
        packed = add(store, source(f"{host}/os:v", name="xz", compression=Compression.XZ))
        assert packed.boot_files.rootfs != first.boot_files.rootfs
        assert len(shop.blobs()) == 1, "the config, which is read before the layers are known"
        shop.made = TWO
        shop.asked.clear()
        second = add(store, source(f"{host}/os:v"))
        assert set(shop.blobs()) == TWO.blobs.keys() - ONE.blobs.keys() - {TWO.top}
        assert store.is_whole(second)


def test_mirrors_of_the_site_file_hold_for_later_commands(tmp_path: Path, store: Store) -> None:
    shop = Shop(ONE)
    with fake_registry(shop) as host:
        (tmp_path / "site.yaml").write_text(
            f"registries: {{'r.invalid': {{mirrors: ['http://{host}/far']}}}}\n"
            "images: {os: 'r.invalid/kairos:v'}\n"
        )
        assert command(tmp_path, "apply", tmp_path / "site.yaml").startswith("image os: added")
        shop.made = TWO
        command(tmp_path, "images", "update")
    assert store.fleet().images["os"].digest == TWO.top
    assert {asked.path.split("/manifests")[0] for asked in shop.asked[:1]} == {"/v2/far/kairos"}


# --- two at once ---


@dataclass
class Slow:
    """Gives the big layer only when `go` is set."""

    shop: Shop
    go: threading.Event = field(default_factory=threading.Event)
    asked_for: threading.Event = field(default_factory=threading.Event)

    def __call__(self, asked: Asked) -> Answer:
        if asked.path.endswith(Digest.of(BIG.blob)):
            self.asked_for.set()
            assert self.go.wait(15)
        return self.shop(asked)


@contextmanager
def program(tmp_path: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The real one, in a process group of its own as in a terminal."""
    with subprocess.Popen(
        [sys.executable, "-m", "kairos_netboot", "--state", str(tmp_path / "state"), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def adding(tmp_path: Path, host: str, name: str = "os"):  # type: ignore[no-untyped-def]
    return program(tmp_path, "images", "add", "--insecure", f"{host}/os:v", "--name", name)


def heard(process: subprocess.Popen[str], words: str) -> None:
    """Wait until it says so."""
    assert process.stderr
    lines = iter(process.stderr.readline, "")
    assert any(words in line for line in lines), "it ended without saying so"


def test_two_that_add_one_image_make_it_once(tmp_path: Path, store: Store) -> None:
    slow = Slow(Shop(ONE))
    with fake_registry(slow) as host, adding(tmp_path, host) as first:
        assert slow.asked_for.wait(12)
        with adding(tmp_path, host, "other") as second:
            heard(second, WAITING)
            assert store.fleet().images == {}
            slow.go.set()
            for process in (first, second):
                out, err = process.communicate(timeout=15)
                assert process.returncode == 0, err
                assert "kernel 6.1.0-10-amd64" in out
                assert ("read 3 layers" in err) == (process is first)
    assert sorted(slow.shop.blobs()) == sorted(ONE.blobs.keys() - {ONE.top}), "each once"
    images = store.fleet().images
    assert images["os"].files == images["other"].files
    assert store.garbage() == ()


def test_who_waits_does_the_work_where_the_first_is_killed(tmp_path: Path, store: Store) -> None:
    slow = Slow(Shop(ONE))
    with fake_registry(slow) as host, adding(tmp_path, host) as first:
        assert slow.asked_for.wait(12)
        with adding(tmp_path, host, "other") as second:
            heard(second, WAITING)
            first.kill()
            slow.go.set()
            assert second.wait(15) == 0
    assert set(store.fleet().images) == {"other"}
    store.blobs.sweep()
    with unchanged(store):
        pass


# --- signatures ---


def publish_signature(host: str, digest: Digest, key: ec.EllipticCurvePrivateKey) -> None:
    """As cosign does where the registry knows no referrers."""
    reference = parse(f"{host}/os:v")
    assert isinstance(reference, RegistryReference)
    sealed = sign(str(reference), digest, key)
    with open_repository(reference, insecure=True, hosts={}, tell=lambda told: None) as repository:
        for data in sealed.blobs.values():
            repository.push_blob(data, Blob(digest=Digest.of(data), size=len(data)))
        kind = "application/vnd.oci.image.manifest.v1+json"
        repository.push_manifest(sealed.manifest, kind, sealed.tag)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    spki = PublicFormat.SubjectPublicKeyInfo
    pem = KEY.public_key().public_bytes(Encoding.PEM, spki)
    (tmp_path / "cosign.pub").write_bytes(pem)
    return tmp_path / "cosign.pub"


def test_a_signature_in_a_registry_decides(tmp_path: Path, store: Store, key: Path) -> None:
    with docker_registry(tmp_path / "registry") as host:
        push(tmp_path, ONE, f"{host}/os:v")
        publish_signature(host, ONE.top, KEY)
        options = ("--insecure", "--verify-key", key, f"{host}/os:v")
        command(tmp_path, "images", "add", *options)
        push(tmp_path, TWO, f"{host}/os:v")
        with unchanged(store), pytest.raises(ImageProblem, match=f"^{host}/os:v: it is not signed"):
            command(tmp_path, "images", "add", *options)
        publish_signature(host, TWO.top, OTHER_KEY)
        with unchanged(store), pytest.raises(ImageProblem, match="signature is not by this key"):
            command(tmp_path, "images", "add", *options)
        publish_signature(host, TWO.top, KEY)
        command(tmp_path, "images", "update", "os")
    assert store.fleet().images["os"].digest == TWO.top


def test_the_site_files_key_counts_and_the_indexs_signature_holds(
    tmp_path: Path, store: Store, key: Path
) -> None:
    arm = image([layer([file("./arm")])], arch="arm64")
    both = index_of({"arm64": arm, "amd64": ONE})
    (tmp_path / "base.yaml").write_text(DOCUMENT)
    with docker_registry(tmp_path / "registry") as host:
        push(tmp_path, both, f"{host}/os:v")
        site = tmp_path / "site.yaml"
        site.write_text(
            f"registries: {{'{host}': {{insecure: true}}}}\n"
            f"images: {{os: {{source: '{host}/os:v', verify: {key.name}}}}}\n"
            "profiles: {server: {image: os, cloud-config: base.yaml}}\n"
        )
        with unchanged(store), pytest.raises(ImageProblem, match="it is not signed"):
            command(tmp_path, "apply", site)
        publish_signature(host, both.top, KEY)
        assert f"image os: added, {ONE.top}" in command(tmp_path, "apply", site)
    assert store.fleet().images["os"].source.verify_key == key.read_text()


# --- updates ---


def test_tags_that_move_in_a_registry(tmp_path: Path, registry: str, store: Store) -> None:
    found: list[Image] = []
    for made in (ONE, TWO, THREE):
        push(tmp_path, made, f"{registry}/moves:v")
        before = found[-1].digest if found else None
        told = (
            command(tmp_path, "images", "update")
            if found
            else command(tmp_path, "images", "add", "--insecure", f"{registry}/moves:v")
        )
        if before:
            assert told == f"image moves: {before} is now {made.top}\n"
        found.append(store.fleet().images["moves"])
        assert command(tmp_path, "images", "update").startswith("image moves: is up to date, ")
        if made is TWO:
            assert command(tmp_path, "images", "gc", "--yes") == "nothing to delete\n"
            assert store.is_whole(found[0])
    oldest = hexes(found[0]) - hexes(*found[1:])
    assert {blob.digest for blob in store.garbage()} == oldest
    command(tmp_path, "images", "gc", "--yes")
    assert {blob.digest for blob in store.blobs.all()} == hexes(*found[1:])
    command(tmp_path, "images", "rollback", "moves")
    assert store.fleet().images["moves"] == found[1]


def test_an_image_whose_registry_is_down_stays_in_service(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "PATIENCE", 1.5)
    with fake_registry(Shop(ONE)) as host:
        add(store, source(f"{host}/os:v"))
    with unchanged(store), pytest.raises(ImageProblem, match="not updated, and still in service"):
        command(tmp_path, "images", "update")


# --- registries that lie ---


def _changed(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def lying(made: MadeImage, digest: Digest, lie: Callable[[bytes], bytes]) -> MadeImage:
    return replace(made, blobs={**made.blobs, digest: lie(made.blobs[digest])})


def cut_off(asked: Asked) -> Answer:
    """The big layer's connection breaks where it always did, and nothing can be resumed."""
    told = honest(TWO)(replace(asked, headers={}))
    return cut_after(1000, told) if "/blobs/" in asked.path else told


LIES: Mapping[str, tuple[Answering, str, str]] = {
    "a layer with other bytes": (
        honest(lying(TWO, Digest.of(TWO.blobs[Digest.of(BIG.blob)]), _changed)),
        ":v",
        "came with other content",
    ),
    "a layer that is too short": (
        honest(lying(TWO, Digest.of(BIG.blob), lambda data: data[:-1])),
        ":v",
        "bytes",
    ),
    "a layer that is too long": (
        honest(lying(TWO, Digest.of(BIG.blob), lambda data: data + b"x")),
        ":v",
        "bytes",
    ),
    "a layer that never comes whole": (cut_off, ":v", "broke off|sends hardly|of"),
    "a layer that is not there": (
        honest(
            replace(TWO, blobs={k: v for k, v in TWO.blobs.items() if k != Digest.of(BIG.blob)})
        ),
        ":v",
        "does not have it",
    ),
    "another manifest": (
        honest(lying(TWO, TWO.top, lambda data: THREE.blobs[THREE.top])),
        f"@{TWO.top}",
        "sent another manifest",
    ),
    "no manifest": (
        lambda asked: Answer(body=b"<html>", headers={"Content-Type": "text/html"}),
        ":v",
        "manifest|JSON",
    ),
}


@pytest.mark.parametrize("name", LIES)
def test_a_registry_that_lies_changes_nothing(
    name: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "PATIENCE", 1.5)
    answering, which, words = LIES[name]
    with fake_registry(Shop(image([BASE]))) as host:
        add(store, source(f"{host}/os:v"))
    with (
        fake_registry(answering) as host,
        unchanged(store),
        pytest.raises(ImageProblem, match=words) as caught,
    ):
        add(store, source(f"{host}/os{which}"))
    assert str(caught.value).startswith(f"{host}/os{which}: ")
    assert "\n" not in str(caught.value)


# --- builders ---


@contextmanager
def only(builder: str, tmp_path: Path) -> Iterator[None]:
    """No other program can be found."""
    needs(builder)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / builder).symlink_to(str(shutil.which(builder)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(tmp_path / "bin"))
        yield


LINKED = image([BASE, layer([hardlink("./boot/same", "./boot/initrd")])])


@pytest.mark.parametrize("made", [ONE, LINKED], ids=["plain", "with links into lower layers"])
def test_mksquashfs_alone_makes_the_same_image(
    tmp_path: Path, store: Store, made: MadeImage
) -> None:
    with fake_registry(Shop(made)) as host:
        best = add(store, source(f"{host}/os:v"))
        with closing(Store(tmp_path / "other")) as other, only("mksquashfs", tmp_path):
            found = add(other, source(f"{host}/os:v"))
            assert other.is_whole(found)
    assert found.boot_files.rootfs != best.boot_files.rootfs
    files = (found.boot_files.kernel, found.boot_files.initrd)
    assert files == (best.boot_files.kernel, best.boot_files.initrd)
    assert (found.facts, found.content) == (best.facts, best.content)


def test_without_a_builder_nothing_is_fetched(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    shop = Shop(ONE)
    with (
        fake_registry(shop) as host,
        unchanged(store),
        pytest.raises(NetbootError, match="apt-get install squashfs-tools-ng"),
    ):
        add(store, source(f"{host}/os:v"))
    assert Digest.of(BIG.blob) not in shop.blobs()


# --- disks that are too small ---

LARGE = image([BASE, with_big_file(2, 8_000_000)])


@pytest.fixture
def small_store(tmp_path: Path) -> Iterator[Store]:
    """With an image in service."""
    needs("tar2sqfs")
    with (
        small_disk(tmp_path / "disk", megabytes=64) as disk,
        closing(Store(disk / "state")) as opened,
        fake_registry(Shop(ONE)) as host,
    ):
        add(opened, source(f"{host}/os:v"))
        yield opened


def test_what_will_not_fit_is_not_begun(tmp_path: Path) -> None:
    needs("tar2sqfs")
    shop = Shop(LARGE)
    with (
        small_disk(tmp_path / "disk", megabytes=40) as disk,
        closing(Store(disk / "state")) as store,
        fake_registry(shop) as host,
        unchanged(store),
        pytest.raises(StoreProblem, match=r"needs about \d+ MB and has \d+ MB left: .* gc`"),
    ):
        add(store, source(f"{host}/os:v"))
    assert len(shop.blobs()) == 1, "the config"


def filling_up(store: Store, step: str, stack: ExitStack) -> Tell:
    """Somebody else takes all the room as soon as that step has begun."""
    full: list[bool] = []

    def tell(told: Progress | str) -> None:
        if isinstance(told, Progress) and told.step.startswith(step) and not full:
            full.append(True)
            stack.enter_context(filled_up(store.directory.parent))

    return tell


def test_a_disk_that_fills_up_under_a_download_leaves_the_store_as_it_was(
    small_store: Store,
) -> None:
    with fake_registry(Shop(LARGE)) as host:
        with ExitStack() as stack, unchanged(small_store):
            tell = filling_up(small_store, "fetch", stack)
            with pytest.raises(StoreProblem, match=r"No space left on device: .*images gc"):
                add(small_store, source(f"{host}/os:v"), tell)
        add(small_store, source(f"{host}/os:v"))  # there is room again


@pytest.mark.parametrize("builder", ["tar2sqfs", "mksquashfs"])
def test_a_disk_that_fills_up_under_the_squashfs_leaves_the_store_as_it_was(
    tmp_path: Path, small_store: Store, builder: str
) -> None:
    with fake_registry(Shop(ONE)) as host, only(builder, tmp_path):  # its layers are here
        again = source(f"{host}/os:v", compression=Compression.GZIP)
        with ExitStack() as stack, unchanged(small_store):
            tell = filling_up(small_store, "read", stack)
            with pytest.raises(StoreProblem, match=r"the disk is full, or fails: .*images gc`"):
                add(small_store, again, tell)
        add(small_store, again)


# --- Ctrl-C ---


def stuck(where: str, begun: threading.Event) -> Answering:
    """Half of what is asked for there, and then nothing."""

    def answering(asked: Asked) -> Answer:
        told = honest(ONE)(asked)
        if where not in asked.path:
            return told
        begun.set()
        return replace(cut_after(len(told.body) // 2, told), hang=20.0)

    return answering


@pytest.mark.parametrize("where", ["/manifests/", Digest.of(BIG.blob)], ids=["manifest", "layer"])
@pytest.mark.parametrize("to_all", [True, False], ids=["terminal", "kill"])
def test_ctrl_c_ends_it_soon_and_leaves_nothing(
    tmp_path: Path, store: Store, where: str, to_all: bool
) -> None:
    begun = threading.Event()
    with (
        fake_registry(stuck(where, begun)) as host,
        unchanged(store),
        adding(tmp_path, host) as process,
    ):
        assert begun.wait(12)
        time.sleep(0.3)
        assert process.poll() is None
        pressed = time.monotonic()
        (os.killpg if to_all else os.kill)(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=10)
        assert time.monotonic() - pressed < 3
        assert process.returncode == 130
        assert "Traceback" not in err
        assert out == ""


def test_ctrl_c_ends_the_waiting_for_another(tmp_path: Path, store: Store) -> None:
    slow = Slow(Shop(ONE))
    with fake_registry(slow) as host, adding(tmp_path, host) as first:
        assert slow.asked_for.wait(12)
        with adding(tmp_path, host, "other") as second:
            heard(second, WAITING)
            os.killpg(second.pid, signal.SIGINT)
            assert second.wait(3) == 130
        slow.go.set()
        assert first.wait(15) == 0
    assert set(store.fleet().images) == {"os"}


# --- gc, asked by a person ---


@pytest.mark.parametrize("answer", ["n", "y"])
def test_gc_asks_on_a_terminal(tmp_path: Path, store: Store, answer: str) -> None:
    with fake_registry(Shop(ONE)) as host:
        found = add(store, source(f"{host}/os:v"))
    store.remove_image("os")
    master, slave = pty.openpty()
    os.write(master, f"{answer}\n".encode())
    done = subprocess.run(
        [sys.executable, "-m", "kairos_netboot", "--state", tmp_path / "state", "images", "gc"],
        stdin=slave,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    os.close(master)
    os.close(slave)
    assert done.returncode == 0, done.stderr
    assert "delete them? [y/N]" in done.stdout
    left = {blob.digest for blob in store.blobs.all()}
    assert left == (hexes(found) if answer == "n" else set())
