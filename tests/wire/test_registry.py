"""Images from registries: Debian's docker-registry, and servers that lie, break off or hang up."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from kairos_netboot.boot.site import Image
from kairos_netboot.errors import ImageProblem
from kairos_netboot.images.progress import Progress
from kairos_netboot.images.pull import add_image
from kairos_netboot.store.blobs import BlobStore
from kairos_netboot.values import Arch, Digest
from tests.images_factory import (
    MadeImage,
    file,
    image,
    index_of,
    kairos_entries,
    layer,
    write_archive,
)

pytestmark = [
    pytest.mark.wire,
    pytest.mark.skipif(
        os.environ.get("CI") != "true" and shutil.which("tar2sqfs") is None,
        reason="not installed: tar2sqfs",
    ),
]

# 'secret' for bcrypt, the only hash that the registry takes.
HTPASSWD = "me:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n"
MADE = image([layer(kairos_entries()), layer([file("big", os.urandom(300_000))])])


@pytest.fixture(autouse=True)
def nobody_is_logged_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "blobs")


def log_in(tmp_path: Path, host: str, password: str = "secret") -> None:
    auth = base64.b64encode(f"me:{password}".encode()).decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {host: {"auth": auth}}}))


def add(
    store: BlobStore,
    reference: str,
    *,
    insecure: bool = True,
    arch: Arch = Arch.AMD64,
    heard: list[Progress] | None = None,
) -> Image:
    return add_image(
        reference,
        name=None,
        store=store,
        insecure=insecure,
        arch=arch,
        compression="auto",
        progress=(heard if heard is not None else []).append,
    )


def files(store: BlobStore) -> list[Path]:
    return [path for path in store.root.rglob("*") if path.is_file()]


def refused(store: BlobStore, reference: str, words: str, *, insecure: bool = True) -> None:
    """Adding fails soon, in one line that names the reference, and leaves nothing."""
    started = time.monotonic()
    with pytest.raises(ImageProblem, match=words) as caught:
        add(store, reference, insecure=insecure)
    assert str(caught.value).startswith(reference)
    assert "\n" not in str(caught.value)
    assert files(store) == []
    assert time.monotonic() - started < 5


# --- Debian's docker-registry ---


def needs(*tools: str) -> None:
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing and os.environ.get("CI") == "true":
        pytest.fail(f"not installed: {missing}")
    if missing:
        pytest.skip(f"not installed: {missing}")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def wait_until_it_listens(port: int) -> None:
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail("docker-registry does not start")


@contextmanager
def docker_registry(folder: Path, *, login: bool = False) -> Iterator[str]:
    """A registry of Debian's on a free port of the loopback interface."""
    needs("docker-registry", "skopeo")
    folder.mkdir()
    port = free_port()
    config = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": f"127.0.0.1:{port}"},
    }
    if login:
        (folder / "htpasswd").write_text(HTPASSWD)
        config["auth"] = {"htpasswd": {"realm": "test", "path": str(folder / "htpasswd")}}
    (folder / "config.yml").write_text(json.dumps(config))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            ["docker-registry", "serve", str(folder / "config.yml")], stdout=log, stderr=log
        )
        try:
            wait_until_it_listens(port)
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait()


def push(tmp_path: Path, made: MadeImage, target: str, *options: str) -> None:
    archive = write_archive(tmp_path / "pushed.tar", {"": made})
    argv = ["skopeo", "--insecure-policy", "copy", "--all", "--dest-tls-verify=false", *options]
    subprocess.run(
        [*argv, f"oci-archive:{archive}", f"docker://{target}"], check=True, capture_output=True
    )


def test_an_image_comes_from_a_registry_by_tag_and_by_digest(
    tmp_path: Path, store: BlobStore
) -> None:
    with docker_registry(tmp_path / "registry") as host:
        push(tmp_path, MADE, f"{host}/kairos/debian:v4")
        heard: list[Progress] = []
        by_tag = add(store, f"{host}/kairos/debian:v4", heard=heard)
        by_digest = add(store, f"{host}/kairos/debian@{MADE.top}")
    assert (by_tag.name, by_tag.digest, by_tag.files) == ("debian", MADE.top, by_digest.files)
    assert len(files(store)) == 3
    last = {told.step: told for told in heard}
    assert list(last)[:2] == ["fetch layer 1 of 2", "fetch layer 2 of 2"]
    assert all(told.done == told.total for told in last.values())


def test_a_registry_gives_the_same_boot_files_as_an_archive(
    tmp_path: Path, store: BlobStore
) -> None:
    with docker_registry(tmp_path / "registry") as host:
        push(tmp_path, MADE, f"{host}/x")
        remote = add(store, f"{host}/x")
    local = add(store, f"oci-archive:{write_archive(tmp_path / 'a.tar', {'': MADE})}")
    assert (remote.files, remote.digest) == (local.files, local.digest)


def test_a_platform_is_chosen_from_an_index_in_a_registry(tmp_path: Path, store: BlobStore) -> None:
    entries = [e for e in kairos_entries() if "release" not in e.name]
    arm = image([layer([*entries, file("arm", b"64")])], arch="arm64")
    with docker_registry(tmp_path / "registry") as host:
        push(tmp_path, index_of({"amd64": MADE, "arm64": arm}), f"{host}/multi:1")
        assert add(store, f"{host}/multi:1", arch=Arch.ARM64).digest == arm.top
        assert add(store, f"{host}/multi:1").digest == MADE.top


def test_docker_manifests_and_zstd_layers_are_understood(tmp_path: Path, store: BlobStore) -> None:
    with docker_registry(tmp_path / "registry") as host:
        push(tmp_path, MADE, f"{host}/docker", "--format", "v2s2")
        push(tmp_path, MADE, f"{host}/zstd", "--dest-compress-format", "zstd")
        docker, zstd = add(store, f"{host}/docker"), add(store, f"{host}/zstd")
    assert docker.digest != MADE.top
    assert docker.files == zstd.files


def test_a_registry_with_a_login_wants_it(tmp_path: Path, store: BlobStore) -> None:
    with docker_registry(tmp_path / "registry", login=True) as host:
        push(tmp_path, MADE, f"{host}/x", "--dest-creds", "me:secret")
        refused(store, f"{host}/x:latest", r"refuses it \(401\).*docker login")
        log_in(tmp_path, host, "wrong")
        refused(store, f"{host}/x:latest", r"refuses it \(401\).*docker login")
        log_in(tmp_path, host)
        assert add(store, f"{host}/x:latest").digest == MADE.top


def test_what_a_registry_lacks_is_told(tmp_path: Path, store: BlobStore) -> None:
    with docker_registry(tmp_path / "registry") as host:
        push(tmp_path, MADE, f"{host}/x:1")
        refused(store, f"{host}/x:2", f"the registry {host} does not have it: check the name")
        refused(store, f"{host}/y:1", "does not have it")


def test_a_registry_of_plain_http_is_refused_without_insecure(
    tmp_path: Path, store: BlobStore
) -> None:
    with docker_registry(tmp_path / "registry") as host:
        refused(store, f"{host}/x:1", "no TLS that can be trusted: use --insecure", insecure=False)


def test_a_registry_that_is_not_there_is_told_at_once(store: BlobStore) -> None:
    refused(store, f"127.0.0.1:{free_port()}/x:1", "cannot be reached: check its name and port")


# --- a registry that is up to no good ---


@dataclass(kw_only=True)
class Answer:
    """What the fake registry says to a path; `cut` bytes are promised and never sent."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: int = 0


Answering = Callable[[str, dict[str, str]], Answer]


@contextmanager
def fake_registry(answering: Answering) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = answering(self.path, {k.lower(): v for k, v in self.headers.items()})
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body) + answer.cut))
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def honest(path: str, headers: dict[str, str], made: MadeImage = MADE) -> Answer:
    """Manifests by tag and digest, and blobs, as they should be."""
    name = path.rpartition("/")[2]
    wanted = Digest(name) if name.startswith("sha256:") else made.top
    if wanted not in made.blobs:
        return Answer(status=404)
    kind = json.loads(made.blobs[made.top])["mediaType"] if "/manifests/" in path else "x/y"
    return Answer(body=made.blobs[wanted], headers={"Content-Type": kind})


BIG = max(MADE.blobs, key=lambda digest: len(MADE.blobs[digest]))


def bent(change: Callable[[Answer], Answer], where: str = BIG) -> Answering:
    """Honest, but for what has `where` in its path."""

    def answering(path: str, headers: dict[str, str]) -> Answer:
        answer = honest(path, headers)
        return change(answer) if where in path else answer

    return answering


def test_the_fake_registry_is_good_for_something(store: BlobStore) -> None:
    with fake_registry(honest) as host:
        assert add(store, f"{host}/x:1").digest == MADE.top


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda a: Answer(body=b"X" + a.body[1:]), f"layer 2: {BIG} came with other content"),
        (lambda a: Answer(body=a.body + b"more"), f"layer 2: {BIG} came with more than"),
        (lambda a: Answer(body=a.body[:-9]), f"layer 2: {BIG} came with .* of"),
        (
            lambda a: Answer(body=a.body[:99], cut=len(a.body)),
            "layer 2: .* broke off in the",
        ),
        (lambda a: Answer(status=404), "layer 2: the registry .* does not have it"),
        (lambda a: Answer(status=500), "layer 2: the registry .* answered with status 500"),
        (lambda a: Answer(status=429), "layer 2: the registry .* answered with status 429"),
    ],
    ids=["changed", "longer", "shorter", "cut", "missing", "failing", "busy"],
)
def test_a_layer_that_does_not_come_as_promised_leaves_nothing(
    store: BlobStore, change: Callable[[Answer], Answer], words: str
) -> None:
    with fake_registry(bent(change)) as host:
        refused(store, f"{host}/x:1", words)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{}", "kind not known here"),
        (b"<html>login</html>", "not JSON"),
        (b" " * (5 << 20), "more than 4 MiB"),
    ],
)
def test_a_manifest_that_is_none_leaves_nothing(store: BlobStore, body: bytes, words: str) -> None:
    with fake_registry(bent(lambda a: Answer(body=body), "/manifests/")) as host:
        refused(store, f"{host}/x:1", words)


def test_another_manifest_than_the_digest_asked_for_is_refused(store: BlobStore) -> None:
    other = image([layer(kairos_entries())])

    def answering(path: str, headers: dict[str, str]) -> Answer:
        return honest("/manifests/1", headers, other)

    with fake_registry(answering) as host:
        refused(store, f"{host}/x@{MADE.top}", f"sent another manifest, {other.top}")


def test_a_config_that_was_changed_is_refused(store: BlobStore) -> None:
    config = json.loads(MADE.blobs[MADE.top])["config"]["digest"]
    with fake_registry(bent(lambda a: Answer(body=a.body + b" "), config)) as host:
        refused(store, f"{host}/x:1", f"{config} came with more than")


# --- tokens ---


@contextmanager
def token_registry(basic: str | None, body: bytes = b"") -> Iterator[tuple[str, list[str]]]:
    """A registry that wants a token, whose token service wants `basic`; its host and the calls."""
    asked: list[str] = []

    def answering(path: str, headers: dict[str, str]) -> Answer:
        asked.append(path.partition("?")[0])
        if path.startswith("/token"):
            allowed = headers.get("authorization") == basic
            return Answer(body=body or b'{"token": "good"}') if allowed else Answer(status=401)
        if headers.get("authorization") != "Bearer good":
            realm = f"http://{headers['host']}/token"
            challenge = f'Bearer realm="{realm}",service="s",scope="repository:x:pull"'
            return Answer(status=401, headers={"WWW-Authenticate": challenge})
        return honest(path, headers)

    with fake_registry(answering) as host:
        yield host, asked


def test_a_token_for_anybody_is_fetched_once(store: BlobStore) -> None:
    with token_registry(None) as (host, asked):
        assert add(store, f"{host}/x:1").digest == MADE.top
    assert asked.count("/token") == 1


def test_a_token_is_fetched_with_the_login(tmp_path: Path, store: BlobStore) -> None:
    basic = "Basic " + base64.b64encode(b"me:secret").decode()
    with token_registry(basic) as (host, _):
        refused(store, f"{host}/x:1", r"refuses it \(401\).*docker login")
        log_in(tmp_path, host)
        assert add(store, f"{host}/x:1").digest == MADE.top


@pytest.mark.parametrize("body", [b"[]", b"<html>", b'{"token": ["x"]}', b"{}"])
def test_a_token_service_that_talks_nonsense_is_told(
    capfd: pytest.CaptureFixture[str], store: BlobStore, body: bytes
) -> None:
    with token_registry(None, body) as (host, _):
        refused(store, f"{host}/x:1", r"answered the login with nonsense|refuses it \(401\)")
    assert capfd.readouterr() == ("", "")
