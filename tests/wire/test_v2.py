"""Our registry, as skopeo, oras, curl, containerd and we ourselves pull from it."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import oras.client
import pytest
from aiohttp import web

from kairos_netboot.boot.fleet import Fleet
from kairos_netboot.boot.site import BootFiles, Content, Image, ImageFacts, ImageSource
from kairos_netboot.config.resources import load_scripts
from kairos_netboot.images.reference import RegistryReference, parse
from kairos_netboot.images.registry import open_registry
from kairos_netboot.images.source import read_whole, resolve
from kairos_netboot.store.blobs import BlobStore
from kairos_netboot.store.boots import Boots
from kairos_netboot.store.index import Index
from kairos_netboot.store.store import Store
from kairos_netboot.values import Arch, Blob, Digest
from kairos_netboot.web.app import make_app
from tests.images_factory import MadeImage, file, folder, image, kairos_entries, layer
from tests.registries import needs

pytestmark = [pytest.mark.wire, pytest.mark.timeout(60)]

BIG = os.urandom(3_000_000)

MADE = image([layer(kairos_entries()), layer([folder("./opt"), file("./opt/big", BIG)])])
BEFORE = image([layer([file("./version", b"0")])])
FOR_ARM = image([layer([file("./version", b"arm")])], arch="arm64")
OCI = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
# What go-containerregistry sends, and with it Kairos' agent.
GO = (
    "application/vnd.docker.distribution.manifest.v1+json,"
    f"application/vnd.docker.distribution.manifest.v1+prettyjws,{DOCKER},{OCI},"
    f"application/vnd.docker.distribution.manifest.list.v2+json,{OCI_INDEX}"
)
LARGEST = max(MADE.blobs, key=lambda digest: len(MADE.blobs[digest]))


def keep(
    store: BlobStore, made: MadeImage, name: str, reference: str, arch: Arch = Arch.AMD64
) -> Image:
    """Put a made image's own blobs into the store; its boot files are of no interest here."""
    with store.scratch() as scratch:
        paths = []
        for digest, data in made.blobs.items():
            paths.append(scratch / digest.hex)
            paths[-1].write_bytes(data)
        blobs = {blob.digest: blob for blob in store.adopt_all(paths)}
    manifest = blobs.pop(made.top)
    boot = Blob(digest=Digest.of(b"boot"), size=4)
    return Image(
        name=name,
        source=ImageSource(name=name, reference=reference, arch=arch),
        digest=made.top,
        facts=ImageFacts(arch=arch),
        files=BootFiles(kernel=boot, initrd=boot, rootfs=boot),
        content=Content(media_type=OCI, manifest=manifest, blobs=tuple(blobs.values())),
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    opened = Store(tmp_path_factory.mktemp("registry") / "state")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def host(store: Store) -> Iterator[str]:
    """HOST:PORT of a server that keeps one image of a registry, its former version, one image
    for two platforms, and one of boot files alone."""
    blobs = store.blobs
    debian = keep(blobs, MADE, "debian", "quay.io/kairos/debian:v4")
    amd = keep(blobs, MADE, "amd", "ghcr.io/kairos/multi:1")
    arm = keep(blobs, FOR_ARM, "arm", "ghcr.io/kairos/multi:1", Arch.ARM64)
    iso = keep(blobs, MADE, "iso", "iso:/srv/kairos.iso")
    before = keep(blobs, BEFORE, "debian", "quay.io/kairos/debian:v3")
    without = Image(
        name="iso", source=iso.source, digest=iso.digest, facts=iso.facts, files=iso.files
    )
    known = {"debian": debian, "amd": amd, "arm": arm, "iso": without}
    with serving(store, Fleet(images=known, former={"debian": before})) as address:
        yield address


@contextmanager
def serving(store: Store, fleet: Fleet) -> Iterator[str]:
    """The whole application, in a thread: its clients here are programs of others."""
    loop = asyncio.new_event_loop()
    started: list[int] = []
    ready = threading.Event()

    async def serve() -> web.AppRunner:
        index = Index(store)
        index.fleet = fleet
        runner = web.AppRunner(
            make_app(index, store.blobs, load_scripts(), {}, Boots(index)), access_log=None
        )
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        started.append(runner.addresses[0][1])
        ready.set()
        return runner

    def run() -> None:
        runner = loop.run_until_complete(serve())
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    assert ready.wait(10)
    try:
        yield f"127.0.0.1:{started[0]}"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


class Answer:
    def __init__(self, response: HTTPResponse) -> None:
        self.status, self.headers, self.body = response.status, response.headers, response.read()

    @property
    def error(self) -> str:
        """The code of the specification's error form."""
        assert self.headers["Content-Type"].startswith("application/json")
        (error,) = json.loads(self.body)["errors"]
        assert error["message"]
        return str(error["code"])


def ask(
    host: str, path: str, headers: Sequence[tuple[str, str]] = (), method: str = "GET"
) -> Answer:
    """One request with exactly these headers, the path as it is."""
    connection = HTTPConnection(host, timeout=10)
    try:
        connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in headers:
            connection.putheader(name, value)
        connection.endheaders()
        return Answer(connection.getresponse())
    finally:
        connection.close()


def run(*argv: str | Path) -> str:
    done = subprocess.run(list(map(str, argv)), capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr
    return done.stdout


# --- the API itself ---


def test_the_version_is_told(host: str) -> None:
    for path in ("/v2/", "/v2"):
        answer = ask(host, path)
        assert answer.status == 200
        assert answer.headers["Docker-Distribution-Api-Version"] == "registry/2.0"


@pytest.mark.parametrize(
    ("path", "made"),
    [
        ("debian/manifests/latest", MADE),
        ("debian/manifests/former", BEFORE),
        (f"debian/manifests/{MADE.top}", MADE),
        (f"debian/manifests/{BEFORE.top}", BEFORE),
        ("kairos/debian/manifests/v4", MADE),
        ("kairos/debian/manifests/v3", BEFORE),
        ("kairos/debian/manifests/v4?ns=quay.io", MADE),
        ("kairos/multi/manifests/" + FOR_ARM.top, FOR_ARM),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_manifests_have_their_exact_headers(
    host: str, path: str, made: MadeImage, method: str
) -> None:
    answer = ask(host, f"/v2/{path}", method=method)
    data = made.blobs[made.top]
    assert answer.status == 200
    assert answer.body == (data if method == "GET" else b"")
    assert answer.headers["Content-Length"] == str(len(data))
    assert answer.headers["Content-Type"] == OCI
    assert answer.headers["Docker-Content-Digest"] == made.top
    assert answer.headers["Docker-Distribution-Api-Version"] == "registry/2.0"
    assert answer.headers["ETag"] == f'"{made.top}"'
    assert ("immutable" in answer.headers["Cache-Control"]) == ("sha256:" in path)


def test_a_manifest_that_the_client_has_is_not_sent_again(host: str) -> None:
    for etag in (f'"{MADE.top}"', str(MADE.top), f'"x", W/"{MADE.top}"'):
        answer = ask(host, "/v2/debian/manifests/latest", [("If-None-Match", etag)])
        assert (answer.status, answer.body) == (304, b"")
        assert answer.headers["Docker-Content-Digest"] == MADE.top
    changed = ask(host, "/v2/debian/manifests/latest", [("If-None-Match", f'"{BEFORE.top}"')])
    assert changed.status == 200


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ([], 200),
        (["*/*"], 200),
        ([f"{DOCKER}, {OCI}, {OCI_INDEX}, *"], 200),
        ([DOCKER, OCI_INDEX, OCI], 200),
        ([f"{DOCKER};q=1.0, {OCI};q=0.4"], 200),
        ([GO], 200),
        ([DOCKER, OCI_INDEX], 404),
        ([f"{OCI};q=0, */*"], 404),
    ],
)
def test_accept_headers_are_respected_for_tags(host: str, accept: list[str], status: int) -> None:
    headers = [("Accept", value) for value in accept]
    answer = ask(host, "/v2/debian/manifests/latest", headers)
    assert answer.status == status
    if status == 404:
        assert answer.error == "MANIFEST_UNKNOWN"
    assert ask(host, f"/v2/debian/manifests/{MADE.top}", headers).status == 200


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_blobs_have_their_exact_headers(host: str, method: str) -> None:
    answer = ask(host, f"/v2/kairos/debian/blobs/{LARGEST}", method=method)
    assert answer.status == 200
    assert answer.body == (MADE.blobs[LARGEST] if method == "GET" else b"")
    assert answer.headers["Content-Length"] == str(len(MADE.blobs[LARGEST]))
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Docker-Content-Digest"] == LARGEST
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert "immutable" in answer.headers["Cache-Control"]


def test_a_part_of_a_blob_comes_with_the_digest_of_the_whole(host: str) -> None:
    answer = ask(host, f"/v2/debian/blobs/{LARGEST}", [("Range", "bytes=10-19")])
    assert (answer.status, answer.body) == (206, MADE.blobs[LARGEST][10:20])
    assert answer.headers["Docker-Content-Digest"] == LARGEST


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("nothing/manifests/latest", 404, "NAME_UNKNOWN"),
        ("iso/manifests/latest", 404, "NAME_UNKNOWN"),
        ("debian/manifests/v9", 404, "MANIFEST_UNKNOWN"),
        (f"debian/manifests/{FOR_ARM.top}", 404, "MANIFEST_UNKNOWN"),
        (f"arm/blobs/{LARGEST}", 404, "BLOB_UNKNOWN"),
        ("kairos/debian/manifests/v4?ns=ghcr.io", 404, "NAME_UNKNOWN"),
        (f"kairos/debian/blobs/{LARGEST}?ns=docker.io", 404, "NAME_UNKNOWN"),
        ("debian/manifests/sha256:1", 400, "DIGEST_INVALID"),
        ("debian/manifests/.x", 400, "TAG_INVALID"),
        ("../../etc/passwd/manifests/x", 400, "NAME_INVALID"),
        ("..%2f..%2fetc/manifests/x", 400, "NAME_INVALID"),
        ("%2e%2e/blobs/x", 400, "NAME_INVALID"),
        ("x/blobs/../../../state.db", 404, "NAME_UNKNOWN"),
        ("debian/tags/list?n=x", 400, "PAGINATION_NUMBER_INVALID"),
        ("a/" * 2000 + "manifests/x", 400, "NAME_INVALID"),
    ],
)
def test_what_is_not_there_is_told_in_the_specifications_form(
    host: str, path: str, status: int, code: str
) -> None:
    answer = ask(host, f"/v2/{path}")
    assert (answer.status, answer.error) == (status, code)
    head = ask(host, f"/v2/{path}", method="HEAD")
    assert (head.status, head.body) == (status, b"")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["debian/blobs/uploads/", "debian/manifests/latest", ""])
def test_nothing_can_be_pushed(host: str, method: str, path: str) -> None:
    answer = ask(host, f"/v2/{path}", method=method)
    assert (answer.status, answer.error) == (405, "UNSUPPORTED")
    assert answer.headers["Allow"] == "GET, HEAD"


def test_lists_have_pages(host: str) -> None:
    whole = ask(host, "/v2/_catalog")
    names = ["amd", "arm", "debian", "kairos/debian", "kairos/multi"]
    assert json.loads(whole.body) == {"repositories": names}
    first = ask(host, "/v2/_catalog?n=3")
    link = first.headers["Link"]
    assert link == '</v2/_catalog?n=3&last=debian>; rel="next"'
    rest = ask(host, link[1 : link.index(">")])
    assert json.loads(first.body)["repositories"] + json.loads(rest.body)["repositories"] == names
    assert "Link" not in rest.headers
    tags = ask(host, "/v2/kairos/debian/tags/list")
    assert json.loads(tags.body) == {"name": "kairos/debian", "tags": ["v3", "v4"]}
    assert json.loads(ask(host, "/v2/kairos/debian/tags/list?last=v3").body)["tags"] == ["v4"]


def test_there_are_no_referrers_and_that_is_no_error(host: str) -> None:
    answer = ask(host, f"/v2/debian/referrers/{MADE.top}?artifactType=x")
    assert (answer.status, json.loads(answer.body)["manifests"]) == (200, [])
    assert answer.headers["Content-Type"] == OCI_INDEX
    assert ask(host, f"/v2/nothing/referrers/{MADE.top}").error == "NAME_UNKNOWN"


def test_pulls_and_refusals_are_logged_once(host: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "kairos_netboot"):
        ask(host, "/v2/debian/manifests/latest", method="HEAD")
        ask(host, "/v2/debian/manifests/latest")
        ask(host, f"/v2/debian/blobs/{LARGEST}")
        ask(host, "/v2/nothing/manifests/x")
    assert [record.getMessage() for record in caplog.records] == [
        f"registry: 127.0.0.1 pulls debian:latest (image 'debian', {MADE.top})",
        "registry: 127.0.0.1 GET /v2/nothing/manifests/x: no image 'nothing' here: "
        "`kairos-netboot images list` shows those that are",
    ]


def test_a_blob_that_is_lost_is_told_and_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(tmp_path / "state")
    kept = keep(store.blobs, BEFORE, "x", "quay.io/x:1")
    for digest in BEFORE.blobs:
        store.blobs.remove(digest)
    with serving(store, Fleet(images={"x": kept})) as host:
        assert ask(host, "/v2/x/manifests/latest").error == "MANIFEST_UNKNOWN"
        layer = next(digest for digest in BEFORE.blobs if digest != BEFORE.top)
        assert ask(host, f"/v2/x/blobs/{layer}").error == "BLOB_UNKNOWN"
    store.close()
    assert "is not in the blob store any more: add its image again" in caplog.text


# --- clients of others ---


@pytest.mark.parametrize(
    ("reference", "made"),
    [
        ("debian:latest", MADE),
        ("debian:former", BEFORE),
        (f"debian@{BEFORE.top}", BEFORE),
        ("kairos/debian:v4", MADE),
        (f"kairos/debian@{MADE.top}", MADE),
    ],
)
def test_skopeo_copies_the_very_same_image(
    host: str, tmp_path: Path, reference: str, made: MadeImage
) -> None:
    needs("skopeo")
    source = f"docker://{host}/{reference}"
    told = run("skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}", source)
    assert told.strip() == made.top
    run("skopeo", "--insecure-policy", "copy", "--src-tls-verify=false", source, f"oci:{tmp_path}")
    copied = {path.name for path in (tmp_path / "blobs" / "sha256").iterdir()}
    assert copied == {digest.hex for digest in made.blobs}


@pytest.mark.parametrize(("arch", "made"), [("amd64", MADE), ("arm64", FOR_ARM)])
def test_skopeo_chooses_among_the_platforms_of_one_tag(
    host: str, arch: str, made: MadeImage
) -> None:
    needs("skopeo")
    told = run(
        *("skopeo", f"--override-arch={arch}", "inspect", "--raw", "--config"),
        *("--tls-verify=false", f"docker://{host}/kairos/multi:1"),
    )
    config = json.loads(made.blobs[made.top])["config"]["digest"]
    assert Digest.of(told.encode()) == config


def test_skopeo_copies_all_platforms(host: str, tmp_path: Path) -> None:
    needs("skopeo")
    run(
        *("skopeo", "--insecure-policy", "copy", "--all", "--src-tls-verify=false"),
        *(f"docker://{host}/kairos/multi:1", f"oci:{tmp_path}"),
    )
    copied = {path.name for path in (tmp_path / "blobs" / "sha256").iterdir()}
    assert {digest.hex for digest in (*MADE.blobs, *FOR_ARM.blobs)} < copied


def test_skopeo_lists_the_tags(host: str) -> None:
    needs("skopeo")
    told = run("skopeo", "list-tags", "--tls-verify=false", f"docker://{host}/kairos/debian")
    assert json.loads(told)["Tags"] == ["v3", "v4"]


def test_oras_reads_manifests_and_blobs(host: str, tmp_path: Path) -> None:
    client = oras.client.OrasClient(insecure=True)
    manifest = client.get_manifest(f"{host}/debian:latest")
    assert manifest == json.loads(MADE.blobs[MADE.top])
    assert client.get_tags(f"{host}/kairos/debian") == ["v3", "v4"]
    target = tmp_path / "layer"
    client.download_blob(f"{host}/debian:latest", LARGEST, str(target))
    assert target.read_bytes() == MADE.blobs[LARGEST]


def test_curl_resumes_a_blob(host: str, tmp_path: Path) -> None:
    needs("curl")
    data, target = MADE.blobs[LARGEST], tmp_path / "blob"
    target.write_bytes(data[:1_000_000])
    url = f"http://{host}/v2/debian/blobs/{LARGEST}"
    run("curl", "--fail", "--silent", "--show-error", "--continue-at", "-", "-o", target, url)
    assert target.read_bytes() == data
    head = run("curl", "--fail", "--silent", "--head", url)
    assert f"Content-Length: {len(data)}" in head


@pytest.fixture(scope="module")
def ctr() -> Iterator[list[str]]:
    """The command `ctr` for a containerd of our own, away from any other's folders and socket."""
    needs("containerd", "ctr")
    if os.geteuid() != 0 and os.environ.get("CI") != "true":
        pytest.skip("containerd starts as root only")
    folder = Path(tempfile.mkdtemp(prefix="knb-ctr-"))  # a socket's path has 107 bytes at most
    socket = folder / "sock"
    (folder / "config.toml").write_text(
        'version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
        f'[ttrpc]\n  address = "{socket}.ttrpc"\n'
    )
    argv = ["containerd", "--config", str(folder / "config.toml"), "--address", str(socket)]
    argv += ["--root", str(folder / "root"), "--state", str(folder / "state")]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log)
    try:
        until = time.monotonic() + 20
        while subprocess.run(["ctr", "-a", str(socket), "version"], capture_output=True).returncode:
            assert process.poll() is None, (folder / "log").read_text()[-2000:]
            assert time.monotonic() < until, (folder / "log").read_text()[-2000:]
            time.sleep(0.1)
        yield ["ctr", "--address", str(socket)]
    finally:
        process.terminate()
        process.wait(20)
        shutil.rmtree(folder, ignore_errors=True)


def contents(ctr: list[str]) -> set[str]:
    return set(run(*ctr, "content", "ls", "--quiet").split())


@pytest.mark.parametrize(
    ("reference", "made"),
    [("debian:latest", MADE), (f"debian@{BEFORE.top}", BEFORE), ("kairos/debian:v4", MADE)],
)
def test_containerd_pulls_and_unpacks(
    host: str, ctr: list[str], reference: str, made: MadeImage
) -> None:
    name = f"{host}/{reference}"
    run(*ctr, "images", "pull", "--plain-http", "--snapshotter", "native", name)
    listed = run(*ctr, "images", "ls", f"name=={name}")
    assert name in listed
    assert made.top in listed
    assert set(made.blobs) <= contents(ctr)
    run(*ctr, "images", "check", "--snapshotter", "native")


def test_containerd_takes_us_for_a_mirror_of_the_registry_meant(
    host: str, ctr: list[str], tmp_path: Path
) -> None:
    for registry in ("quay.io", "ghcr.io"):
        hosts = tmp_path / registry
        hosts.mkdir()
        # No other server to fall back to: nothing may leave this machine.
        (hosts / "hosts.toml").write_text(
            f'server = "http://{host}"\n[host."http://{host}"]\n'
            '  capabilities = ["pull", "resolve"]\n'
        )
    pull = (*ctr, "content", "fetch", "--hosts-dir", str(tmp_path))
    run(*pull, "quay.io/kairos/debian:v4")
    assert MADE.top in run(*ctr, "images", "ls", "name==quay.io/kairos/debian:v4")
    wrong = subprocess.run([*pull, "ghcr.io/kairos/debian:v4"], capture_output=True, text=True)
    assert wrong.returncode != 0
    assert "not found" in wrong.stderr
    run(*pull, "--platform", "linux/arm64", "ghcr.io/kairos/multi:1")
    assert set(FOR_ARM.blobs) <= contents(ctr)


# --- and ourselves ---


@pytest.mark.parametrize(
    ("reference", "arch", "made"),
    [
        ("debian:latest", Arch.AMD64, MADE),
        (f"debian@{BEFORE.top}", Arch.AMD64, BEFORE),
        ("kairos/multi:1", Arch.ARM64, FOR_ARM),
    ],
)
def test_one_server_is_the_registry_of_another(
    host: str, reference: str, arch: Arch, made: MadeImage
) -> None:
    parsed = parse(f"{host}/{reference}")
    assert isinstance(parsed, RegistryReference)
    with open_registry(parsed, insecure=True, hosts={}, tell=lambda told: None) as source:
        found = resolve(source, arch).manifest
        assert found.digest == made.top
        for one in (found.config, *found.layers):
            assert read_whole(source.blob(one), one) == made.blobs[one.digest]
