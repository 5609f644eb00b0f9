"""Debian's docker-registry: read, written, with logins, with TLS, behind mirrors."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from kairos_netboot.boot.site import RegistryHost
from kairos_netboot.errors import ImageProblem
from kairos_netboot.images.manifest import Descriptor, Index, Manifest
from kairos_netboot.images.reference import RegistryReference, parse
from kairos_netboot.images.registry import open_registry, open_repository
from kairos_netboot.images.repository import Repository
from kairos_netboot.images.source import Source, read_whole, resolve
from kairos_netboot.values import Arch, Blob, Digest
from tests.images_factory import MadeImage, file, image, index_of, kairos_entries, layer
from tests.registries import (
    Certificates,
    Waiting,
    docker_registry,
    free_port,
    make_certificates,
    push,
)

pytestmark = pytest.mark.wire

MADE = image([layer(kairos_entries()), layer([file("big", bytes(range(256)) * 4000)])])


@pytest.fixture(autouse=True)
def no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry with MADE as `kairos/debian:v4`, for those who only read."""
    folder = tmp_path_factory.mktemp("filled")
    with docker_registry(folder / "registry") as host:
        push(folder, MADE, f"{host}/kairos/debian:v4")
        yield host


def reference(text: str) -> RegistryReference:
    found = parse(text)
    assert isinstance(found, RegistryReference)
    return found


def opened(
    text: str,
    *,
    insecure: bool = True,
    hosts: Mapping[str, RegistryHost] | None = None,
    environ: Mapping[str, str] | None = None,
    heard: list[object] | None = None,
) -> AbstractContextManager[Source]:
    return open_registry(
        reference(text),
        insecure=insecure,
        hosts=hosts or {},
        tell=(heard if heard is not None else []).append,
        environ=environ or {"HOME": "/nonexistent"},
        clock=Waiting().clock(),
    )


def writable(
    text: str, *, insecure: bool = True, environ: Mapping[str, str] | None = None
) -> AbstractContextManager[Repository]:
    return open_repository(
        reference(text),
        insecure=insecure,
        hosts={},
        tell=lambda told: None,
        environ=environ or {"HOME": "/nonexistent"},
        clock=Waiting().clock(),
    )


def refused(text: str, words: str, **options: object) -> None:
    with pytest.raises(ImageProblem, match=words) as caught, opened(text, **options) as source:  # type: ignore[arg-type]
        source.top()
    assert "\n" not in str(caught.value)


def all_blobs(source: Source, arch: Arch = Arch.AMD64) -> dict[Digest, bytes]:
    """What the image consists of, each checked; the manifest too."""
    manifest = resolve(source, arch).manifest
    found = {manifest.digest: manifest.data}
    for descriptor in (manifest.config, *manifest.layers):
        found[descriptor.digest] = read_whole(source.blob(descriptor), descriptor)
    return found


def logged_in(folder: Path, host: str, password: str = "secret") -> dict[str, str]:
    auth = base64.b64encode(f"me:{password}".encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {host: {"auth": auth}}}))
    return {"DOCKER_CONFIG": str(folder)}


# --- reading ---


@pytest.mark.parametrize("which", [":v4", f"@{MADE.top}", f":gone@{MADE.top}"])
def test_an_image_is_read_by_tag_by_digest_and_by_both(filled: str, which: str) -> None:
    with opened(f"{filled}/kairos/debian{which}") as source:
        assert all_blobs(source) == MADE.blobs


def test_a_platform_is_chosen_from_an_index(tmp_path: Path, filled: str) -> None:
    arm = image([layer([file("arm", b"64")])], arch="arm64")
    both = index_of({"amd64": MADE, "arm64": arm})
    push(tmp_path, both, f"{filled}/multi:1")
    with opened(f"{filled}/multi:1") as source:
        assert all_blobs(source) == MADE.blobs
        assert all_blobs(source, Arch.ARM64) == arm.blobs
        assert resolve(source, Arch.ARM64).chain == (both.top, arm.top)
        with pytest.raises(ImageProblem, match=r"no image for linux/riscv64: .* linux/amd64"):
            resolve(source, Arch.RISCV64)


@pytest.mark.parametrize(
    "options", [("--format", "v2s2"), ("--dest-compress-format", "zstd")], ids=["docker", "zstd"]
)
def test_dockers_types_and_zstd_come_as_others_push_them(
    tmp_path: Path, filled: str, options: tuple[str, ...]
) -> None:
    push(tmp_path, MADE, f"{filled}/other:1", *options)
    with opened(f"{filled}/other:1") as source:
        top = source.top()
        assert isinstance(top, Manifest)
        assert len(all_blobs(source)) == 4


def test_what_is_not_there_is_told_at_once(filled: str) -> None:
    words = f"the registry {filled} does not have it: check the name and the tag"
    refused(f"{filled}/kairos/debian:v5", words)
    refused(f"{filled}/nobody/nothing:1", words)


def test_a_tag_may_be_missing_but_not_its_registry(filled: str) -> None:
    with opened(f"{filled}/kairos/debian:v4") as source:
        assert source.tagged("v4") == MADE.blobs[MADE.top]
        assert source.tagged(f"sha256-{MADE.top.hex}.sig") is None
    with (
        opened(f"127.0.0.1:{free_port()}/x") as source,
        pytest.raises(ImageProblem, match="refuses the connection, for 120 s: check its name"),
    ):
        source.tagged("v4")


def test_plain_http_is_spoken_only_when_asked_for(filled: str) -> None:
    words = "speaks no TLS that can be trusted: use --insecure"
    refused(f"{filled}/kairos/debian:v4", words, insecure=False)
    hosts = {filled: RegistryHost(host=filled, insecure=True)}
    with opened(f"{filled}/kairos/debian:v4", insecure=False, hosts=hosts) as source:
        assert source.top().digest == MADE.top


# --- referrers, which Debian's registry has no API for ---


def test_referrers_are_found_by_the_tag_that_stands_in_for_the_api(
    tmp_path: Path, filled: str
) -> None:
    attached = image([layer([file("signature")])])
    index = index_of({"amd64": attached})
    with opened(f"{filled}/kairos/debian:v4") as source:
        assert source.referrers(MADE.top) == ()
        push(tmp_path, index, f"{filled}/kairos/debian:sha256-{MADE.top.hex}")
        assert [found.digest for found in source.referrers(MADE.top)] == [attached.top]


# --- logins ---


def test_a_login_is_wanted_checked_and_used(tmp_path: Path) -> None:
    with docker_registry(tmp_path / "registry", login=True) as host:
        push(tmp_path, MADE, f"{host}/x", "--dest-creds", "me:secret")
        words = rf"the registry {host} refuses it \(401\).*docker login {host}"
        refused(f"{host}/x:latest", words)
        refused(f"{host}/x:latest", words, environ=logged_in(tmp_path, host, "wrong"))
        with opened(f"{host}/x:latest", environ=logged_in(tmp_path, host)) as source:
            assert all_blobs(source) == MADE.blobs


def test_a_helper_gives_the_login(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"credsStore": "sample"}))
    helper = tmp_path / "docker-credential-sample"
    helper.write_text(
        '#!/bin/sh\nread server\necho "$1 $server" >> "$HOME/asked"\n'
        'echo \'{"Username": "me", "Secret": "secret"}\'\n'
    )
    helper.chmod(0o755)
    environ = {
        "DOCKER_CONFIG": str(tmp_path),
        "HOME": str(tmp_path),
        "PATH": f"{tmp_path}:/usr/bin:/bin",
    }
    with docker_registry(tmp_path / "registry", login=True) as host:
        push(tmp_path, MADE, f"{host}/x", "--dest-creds", "me:secret")
        with opened(f"{host}/x", environ=environ) as source:
            assert all_blobs(source) == MADE.blobs
    assert (tmp_path / "asked").read_text() == f"get {host}\n"


# --- TLS ---


def test_a_private_authority_is_trusted_where_it_is_named(
    tmp_path: Path, certificates: Certificates
) -> None:
    with docker_registry(tmp_path / "registry", tls=certificates) as host:
        push(tmp_path, MADE, f"{host}/x:1")
        hosts = {host: RegistryHost(host=host, ca=str(certificates.ca))}
        with opened(f"{host}/x:1", insecure=False, hosts=hosts) as source:
            assert all_blobs(source) == MADE.blobs
        words = f"the registry {host} has a certificate that is not trusted .*certs.d"
        refused(f"{host}/x:1", words, insecure=False)
        other = make_certificates(tmp_path / "other")
        hosts = {host: RegistryHost(host=host, ca=str(other.ca))}
        refused(f"{host}/x:1", words, insecure=False, hosts=hosts)


def test_insecure_does_not_get_through_to_a_registry_with_tls(
    tmp_path: Path, certificates: Certificates
) -> None:
    with docker_registry(tmp_path / "registry", tls=certificates) as host:
        refused(f"{host}/x:1", f"the registry {host} answered with status 400: try it without")


# --- mirrors ---


def test_a_mirror_serves_what_a_dead_registry_cannot(filled: str) -> None:
    dead, heard = f"127.0.0.1:{free_port()}", list[object]()
    hosts = {dead: RegistryHost(host=dead, mirrors=(f"http://{filled}",))}
    with opened(f"{dead}/kairos/debian:v4", insecure=False, hosts=hosts, heard=heard) as source:
        assert all_blobs(source) == MADE.blobs
        assert source.tagged("nothing") is None
        assert source.referrers(Digest.of(b"nothing")) == ()
    assert heard == [f"reading from the mirror {filled}"]


def test_a_mirror_may_keep_the_registry_below_a_prefix(filled: str) -> None:
    hosts = {"r.invalid": RegistryHost(host="r.invalid", mirrors=(f"http://{filled}/kairos",))}
    with opened("r.invalid/debian:v4", insecure=False, hosts=hosts) as source:
        assert all_blobs(source) == MADE.blobs


def test_what_a_mirror_lacks_comes_from_the_registry(tmp_path: Path, filled: str) -> None:
    with docker_registry(tmp_path / "empty") as mirror:
        hosts = {filled: RegistryHost(host=filled, mirrors=(f"http://{mirror}",))}
        heard: list[object] = []
        with opened(f"{filled}/kairos/debian:v4", hosts=hosts, heard=heard) as source:
            assert all_blobs(source) == MADE.blobs
        assert heard == []


def test_a_dead_mirror_is_told_and_asked_once(filled: str) -> None:
    dead, heard = f"127.0.0.1:{free_port()}", list[object]()
    hosts = {filled: RegistryHost(host=filled, mirrors=(f"http://{dead}",))}
    with opened(f"{filled}/kairos/debian:v4", hosts=hosts, heard=heard) as source:
        assert all_blobs(source) == MADE.blobs
    assert heard == [f"the mirror {dead} refuses the connection: asking elsewhere"]


def test_what_nobody_has_is_told_with_all_who_were_asked(filled: str) -> None:
    dead = f"127.0.0.1:{free_port()}"
    hosts = {filled: RegistryHost(host=filled, mirrors=(f"http://{dead}",))}
    words = rf"registry {filled} does not have it \(the mirror {dead} refuses the connection\)"
    refused(f"{filled}/kairos/debian:v5", words, hosts=hosts)


# --- writing ---


def pushed(repository: Repository, made: MadeImage, folder: Path) -> None:
    for digest, data in made.blobs.items():
        path = folder / digest.hex
        path.write_bytes(data)
        repository.push_blob(path, Blob(digest=digest, size=len(data)))
    top = made.blobs[made.top]
    repository.push_manifest(top, json.loads(top)["mediaType"], "new")


def test_what_we_push_others_can_read(tmp_path: Path, certificates: Certificates) -> None:
    with docker_registry(tmp_path / "registry", login=True) as host:
        with writable(f"{host}/ours", environ=logged_in(tmp_path, host)) as repository:
            assert not repository.has_blob(MADE.top)
            pushed(repository, MADE, tmp_path)
            assert repository.has_blob(MADE.top)
        options = ["--tls-verify=false", "--creds", "me:secret"]
        said = subprocess.run(
            ["skopeo", "inspect", *options, f"docker://{host}/ours:new"],
            check=True,
            capture_output=True,
        ).stdout
        assert json.loads(said)["Digest"] == MADE.top
        with opened(f"{host}/ours:new", environ=logged_in(tmp_path, host)) as source:
            assert all_blobs(source) == MADE.blobs


def test_an_upload_is_told_as_it_goes_and_not_repeated(tmp_path: Path, filled: str) -> None:
    path, data = tmp_path / "blob", bytes(range(256)) * 4000
    path.write_bytes(data)
    blob = Blob(digest=Digest.of(data), size=len(data))
    heard: list[int] = []
    with writable(f"{filled}/uploads") as repository:
        repository.push_blob(path, blob, heard.append)
        assert heard[0] < heard[-1] == len(data)
        assert heard == sorted(heard)
        heard.clear()
        repository.push_blob(path, blob, heard.append)
        assert heard == [len(data)]


def test_empty_and_small_content_is_pushed_from_memory(filled: str) -> None:
    with writable(f"{filled}/small") as repository:
        for data in (b"", b"{}"):
            repository.push_blob(data, Blob(digest=Digest.of(data), size=len(data)))
            assert repository.has_blob(Digest.of(data))


def test_a_file_that_changed_is_not_pushed(tmp_path: Path, filled: str) -> None:
    path = tmp_path / "blob"
    path.write_bytes(b"shorter")
    with (
        writable(f"{filled}/small") as repository,
        pytest.raises(ImageProblem, match="is not the file that it was"),
    ):
        repository.push_blob(path, Blob(digest=Digest.of(b"long"), size=100))


def test_a_registry_that_only_serves_says_so(tmp_path: Path) -> None:
    with (
        docker_registry(tmp_path / "registry", read_only=True) as host,
        writable(f"{host}/x") as repository,
        pytest.raises(ImageProblem, match=rf"the registry {host} takes nothing \(405\): it is"),
    ):
        repository.push_blob(b"{}", Blob(digest=Digest.of(b"{}"), size=2))


def test_a_push_without_a_login_says_which_is_needed(tmp_path: Path) -> None:
    with (
        docker_registry(tmp_path / "registry", login=True) as host,
        writable(f"{host}/x") as repository,
        pytest.raises(ImageProblem, match=rf"not let us write \(401\): .*docker login {host}"),
    ):
        repository.push_blob(b"{}", Blob(digest=Digest.of(b"{}"), size=2))


def test_a_manifest_is_not_pushed_before_its_blobs(filled: str) -> None:
    top = MADE.blobs[MADE.top]
    with (
        writable(f"{filled}/hollow") as repository,
        pytest.raises(ImageProblem, match="answered with status 4"),
    ):
        repository.push_manifest(top, json.loads(top)["mediaType"], "1")


def test_an_index_is_read_as_one(tmp_path: Path, filled: str) -> None:
    push(tmp_path, index_of({"amd64": MADE}), f"{filled}/index:1")
    with opened(f"{filled}/index:1") as source:
        top = source.top()
        assert isinstance(top, Index)
        descriptor = top.manifests[0]
        assert read_whole(source.document(descriptor), descriptor) == MADE.blobs[MADE.top]


def test_a_blob_of_the_wrong_digest_is_told_by_its_reader(filled: str) -> None:
    size = len(MADE.blobs[MADE.top])
    lied = Descriptor(media_type="x", digest=Digest.of(b"never pushed"), size=size)
    with (
        opened(f"{filled}/kairos/debian:v4") as source,
        pytest.raises(ImageProblem, match="does not have it"),
    ):
        read_whole(source.blob(lied), lied)
