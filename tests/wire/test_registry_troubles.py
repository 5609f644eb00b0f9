"""Registries and web servers that break off, stall, lie, redirect, or want tokens."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from kairos_netboot.boot.site import RegistryHost
from kairos_netboot.errors import ImageProblem
from kairos_netboot.images.manifest import Descriptor
from kairos_netboot.images.patience import PATIENCE
from kairos_netboot.images.reference import RegistryReference
from kairos_netboot.images.registry import open_registry, open_repository
from kairos_netboot.images.source import Source, read_whole, resolve
from kairos_netboot.values import Arch, Blob, Digest
from tests.images_factory import file, image, index_of, kairos_entries, layer
from tests.registries import (
    Answer,
    Answering,
    Asked,
    Certificates,
    Waiting,
    by_turns,
    cut_after,
    fake_registry,
    honest,
    make_certificates,
    ranged,
)

pytestmark = pytest.mark.wire

BODY = b"".join(number.to_bytes(4, "big") for number in range(100_000))
BIG = Descriptor(media_type="x", digest=Digest.of(BODY), size=len(BODY))
MADE = image([layer(kairos_entries())])
TRUTH = honest(MADE)


@pytest.fixture(autouse=True)
def no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@contextmanager
def proxy() -> Iterator[tuple[str, list[str]]]:
    """One that connects to where it is asked to; what it was asked."""
    asked: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            near, _ = server.accept()
            with near, near.makefile("rb") as lines:
                asked.append(lines.readline().split()[1].decode())
                while lines.readline().strip():
                    pass
                host, _, port = asked[-1].partition(":")
                with socket.create_connection((host, int(port))) as far:
                    near.sendall(b"HTTP/1.1 200 ok\r\n\r\n")
                    back = threading.Thread(target=pump, args=(far, near))
                    back.start()
                    pump(near, far)
                    back.join()

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", asked
        thread.join()


def pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


@pytest.fixture
def waiting() -> Waiting:
    return Waiting()


def reference(host: str, digest: Digest | None = None) -> RegistryReference:
    return RegistryReference(host=host, name="x", tag="1", digest=digest)


@contextmanager
def opened(
    host: str,
    waiting: Waiting | None = None,
    *,
    heard: list[object] | None = None,
    hosts: Mapping[str, RegistryHost] | None = None,
    environ: Mapping[str, str] | None = None,
    digest: Digest | None = None,
    insecure: bool = True,
    silence: float = 5.0,
) -> Iterator[Source]:
    with open_registry(
        reference(host, digest),
        insecure=insecure,
        hosts=hosts or {},
        tell=(heard if heard is not None else []).append,
        environ=environ or {"HOME": "/nonexistent"},
        clock=(waiting or Waiting()).clock(silence),
    ) as source:
        yield source


def blob_of(host: str, waiting: Waiting, **options: object) -> bytes:
    with opened(host, waiting, **options) as source:  # type: ignore[arg-type]
        return read_whole(source.blob(BIG), BIG)


def whole(asked: Asked) -> Answer:
    return Answer(body=BODY)


def part(asked: Asked) -> Answer:
    return ranged(asked, BODY)


def busy(status: int, **headers: str) -> Answering:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda asked: Answer(status=status, headers=named)


# --- what breaks off goes on where it was ---


def test_a_blob_that_breaks_off_again_and_again_is_resumed(waiting: Waiting) -> None:
    ranges: list[str | None] = []

    def breaking(asked: Asked) -> Answer:
        ranges.append(asked.headers.get("range"))
        return cut_after(70_000, ranged(asked, BODY))

    with fake_registry(breaking) as host:
        assert blob_of(host, waiting) == BODY
    assert ranges == [None, *(f"bytes={70_000 * n}-" for n in range(1, 6))]
    assert waiting.slept == [1.0] * 5  # each time it had come further


def test_each_wait_is_told(waiting: Waiting) -> None:
    heard: list[object] = []
    with fake_registry(by_turns(lambda a: cut_after(9, part(a)), part)) as host:
        blob_of(host, waiting, heard=heard)
    assert heard == [
        f"the registry {host} broke off in the middle: trying again in 1 s (for another 120 s)"
    ]


def test_a_registry_without_range_sends_all_again_and_what_is_here_is_skipped(
    waiting: Waiting,
) -> None:
    answers = [lambda a, n=n: cut_after(n, whole(a)) for n in (90_000, 50_000, 200_000)]
    with fake_registry(by_turns(*answers, whole)) as host:
        assert blob_of(host, waiting) == BODY
    assert len(waiting.slept) == 3


def test_a_registry_that_never_gets_to_the_end_without_range_is_given_up(
    waiting: Waiting,
) -> None:
    with (
        fake_registry(lambda asked: cut_after(300_000, whole(asked))) as host,
        pytest.raises(ImageProblem, match="broke off 10 times and cannot resume"),
    ):
        blob_of(host, waiting)


@pytest.mark.parametrize(
    "place", ["bytes 0-1/2", "bytes 5-399999/400000", "bytes */400000", "words", ""]
)
def test_a_part_from_the_wrong_place_is_not_taken(waiting: Waiting, place: str) -> None:
    def lying(asked: Asked) -> Answer:
        if "range" not in asked.headers:
            return cut_after(100_000, whole(asked)) if not waiting.slept else whole(asked)
        return Answer(status=206, body=BODY[5:], headers={"Content-Range": place})

    with fake_registry(lying) as host:
        assert blob_of(host, waiting) == BODY


def test_a_part_that_nobody_asked_for_is_not_taken(waiting: Waiting) -> None:
    headers = {"Content-Range": "bytes 5-399999/400000"}
    with (
        fake_registry(lambda a: Answer(status=206, body=BODY[5:], headers=headers)) as host,
        pytest.raises(ImageProblem, match="cannot resume"),
    ):
        blob_of(host, waiting)


def test_parts_of_the_part_that_was_asked_for_are_put_together(waiting: Waiting) -> None:
    def sparing(asked: Asked) -> Answer:
        told = part(asked)
        if told.status == 200:
            return cut_after(150_000, told)
        told.body = told.body[:150_000]
        start = len(BODY) - int(asked.headers["range"][6:-1])
        told.headers["Content-Range"] = (
            f"bytes {len(BODY) - start}-{len(BODY) - start + len(told.body) - 1}/{len(BODY)}"
        )
        return told

    with fake_registry(sparing) as host:
        assert blob_of(host, waiting) == BODY


def test_an_answer_without_a_length_may_end_early_and_is_resumed(waiting: Waiting) -> None:
    early = Answer(body=BODY[:100_000], endless=True)
    with fake_registry(by_turns(lambda asked: early, part)) as host:
        assert blob_of(host, waiting) == BODY


def test_a_blob_that_is_all_here_needs_no_clean_end(waiting: Waiting) -> None:
    with fake_registry(lambda asked: Answer(body=BODY, cut=10)) as host:
        assert blob_of(host, waiting) == BODY
    assert waiting.slept == []


def test_silence_in_the_middle_ends_the_connection_and_is_resumed(waiting: Waiting) -> None:
    def stalling(asked: Asked) -> Answer:
        told = cut_after(200_000, part(asked))
        told.hang = 5.0 if "range" not in asked.headers else 0.0
        return told

    started = time.monotonic()
    with fake_registry(stalling) as host:
        assert blob_of(host, waiting, silence=0.2) == BODY
    assert time.monotonic() - started < 2


def test_a_registry_that_accepts_and_says_nothing_is_given_up(waiting: Waiting) -> None:
    heard: list[object] = []
    with (
        fake_registry(lambda asked: Answer(status=100, hang=5.0)) as host,
        opened(host, waiting, heard=heard, silence=0.05) as source,
        pytest.raises(ImageProblem, match=f"{host} does not answer, for 120 s: try again"),
    ):
        source.top()
    assert f"the registry {host} does not answer: trying again in 1 s (for another 120 s)" in heard


def test_what_breaks_off_without_progress_is_given_up_within_the_bound(waiting: Waiting) -> None:
    with (
        fake_registry(lambda asked: cut_after(0, part(asked))) as host,
        pytest.raises(ImageProblem, match="broke off in the middle, for 120 s: try again later"),
    ):
        blob_of(host, waiting)
    assert PATIENCE - 1 <= waiting.time <= PATIENCE


def test_a_blob_that_was_changed_is_refused_by_its_digest(waiting: Waiting) -> None:
    with (
        fake_registry(lambda asked: Answer(body=b"X" + BODY[1:])) as host,
        pytest.raises(ImageProblem, match=f"{BIG.digest} came with other content"),
    ):
        blob_of(host, waiting)


# --- those that are down or busy ---


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_passing_failure_is_waited_for(waiting: Waiting, status: int) -> None:
    heard: list[object] = []
    turns = by_turns(busy(status), TRUTH)
    with fake_registry(turns) as host, opened(host, waiting, heard=heard) as source:
        assert source.top().digest == MADE.top
    told = f"the registry {host} answers {status}: trying again in 1 s (for another 120 s)"
    assert heard == [told]


def test_a_registry_that_fails_for_ever_is_given_up_within_the_bound(waiting: Waiting) -> None:
    with (
        fake_registry(busy(500)) as host,
        opened(host, waiting) as source,
        pytest.raises(ImageProblem, match=f"{host} answers 500, for 120 s: try again later"),
    ):
        source.top()
    assert waiting.slept[:5] == [1.0, 2.0, 4.0, 8.0, 16.0]
    assert max(waiting.slept) == 20.0
    assert PATIENCE - 1 <= waiting.time <= PATIENCE


def test_a_registry_says_how_long_to_wait(waiting: Waiting) -> None:
    dates = {
        "Date": "Sat, 01 Aug 2026 10:00:00 GMT",
        "Retry_After": "Sat, 01 Aug 2026 10:00:09 GMT",
    }
    turns = (busy(429, Retry_After="7"), busy(503, **dates), busy(429, Retry_After="9999"), TRUTH)
    with fake_registry(by_turns(*turns)) as host, opened(host, waiting) as source:
        source.top()
    assert waiting.slept[0] == 7.0
    assert waiting.slept[2] == 60.0


@pytest.mark.parametrize("status", [400, 403, 404, 418])
def test_what_will_not_change_is_not_waited_for(waiting: Waiting, status: int) -> None:
    with (
        fake_registry(busy(status)) as host,
        opened(host, waiting) as source,
        pytest.raises(ImageProblem, match=f"the registry {host} "),
    ):
        source.top()
    assert waiting.slept == []


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{}", "kind not known here"),
        (b"<html>login</html>", "not JSON"),
        (b" " * (5 << 20), "more than 4 MiB"),
    ],
)
def test_a_manifest_that_is_none_is_refused(body: bytes, words: str) -> None:
    with (
        fake_registry(lambda asked: Answer(body=body)) as host,
        opened(host) as source,
        pytest.raises(ImageProblem, match=words),
    ):
        source.top()


def test_another_manifest_than_the_digest_asked_for_is_refused() -> None:
    other = Digest.of(b"other")
    with (
        fake_registry(lambda asked: Answer(body=MADE.blobs[MADE.top])) as host,
        opened(host, digest=other) as source,
        pytest.raises(ImageProblem, match=f"sent another manifest, {MADE.top}: do not use it"),
    ):
        source.top()


# --- mirrors ---


@contextmanager
def mirrored(mirror: Answering, own: Answering) -> Iterator[tuple[str, dict[str, RegistryHost]]]:
    with fake_registry(mirror) as near, fake_registry(own) as far:
        yield far, {far: RegistryHost(host=far, mirrors=(f"http://{near}",))}


def never(asked: Asked) -> Answer:
    pytest.fail(f"asked for {asked.path}")


def test_the_registry_is_not_asked_for_what_a_mirror_has(waiting: Waiting) -> None:
    with mirrored(part, never) as (host, hosts):
        assert blob_of(host, waiting, hosts=hosts) == BODY


@pytest.mark.parametrize("mirror", [busy(500), busy(404), busy(401), lambda a: Answer(body=b"lie")])
def test_a_mirror_that_fails_lacks_or_lies_is_passed_over(
    waiting: Waiting, mirror: Answering
) -> None:
    with mirrored(mirror, part) as (host, hosts):
        assert blob_of(host, waiting, hosts=hosts) == BODY
    with (
        mirrored(mirror, TRUTH) as (host, hosts),
        opened(host, waiting, hosts=hosts, digest=MADE.top) as source,
    ):
        assert source.top().digest == MADE.top
    assert waiting.slept == []


def test_a_mirror_that_only_breaks_off_is_left_for_the_registry(waiting: Waiting) -> None:
    with mirrored(lambda asked: cut_after(0, part(asked)), part) as (host, hosts):
        assert blob_of(host, waiting, hosts=hosts) == BODY
    assert len(waiting.slept) == 1


def test_a_blob_that_one_mirror_began_another_place_ends(waiting: Waiting) -> None:
    mirror = by_turns(lambda asked: cut_after(100_000, part(asked)), busy(503))
    with mirrored(mirror, part) as (host, hosts):
        assert blob_of(host, waiting, hosts=hosts) == BODY


def test_mirror_and_registry_are_asked_in_turns_until_one_can(waiting: Waiting) -> None:
    mirror = by_turns(busy(503), busy(503), part)
    with mirrored(mirror, busy(502)) as (host, hosts):
        assert blob_of(host, waiting, hosts=hosts) == BODY
    assert len(waiting.slept) == 2


def test_logins_go_to_their_own_host_only(tmp_path: Path, waiting: Waiting) -> None:
    seen: dict[str, set[str | None]] = {"mirror": set(), "own": set()}

    def mirror(asked: Asked) -> Answer:
        seen["mirror"].add(asked.headers.get("authorization"))
        return Answer(status=401, headers={"WWW-Authenticate": 'Basic realm="m"'})

    def own(asked: Asked) -> Answer:
        seen["own"].add(asked.headers.get("authorization"))
        if "authorization" not in asked.headers:
            return Answer(status=401, headers={"WWW-Authenticate": 'Basic realm="o"'})
        return part(asked)

    with mirrored(mirror, own) as (host, hosts):
        assert blob_of(host, waiting, hosts=hosts, environ=logged_in(tmp_path, host)) == BODY
    assert seen == {"mirror": {None}, "own": {None, BASIC}}


# --- redirects, and other addresses ---


@pytest.mark.parametrize("place", ["http://[", "http://h:99999/", "ftp://h/", "//", "http://\x7f/"])
def test_a_redirect_to_what_is_no_address_is_told(waiting: Waiting, place: str) -> None:
    with (
        fake_registry(busy(307, Location=place)) as host,
        pytest.raises(ImageProblem, match=f"the registry {host} "),
    ):
        blob_of(host, waiting)


def test_a_redirect_to_another_host_goes_without_the_login(
    tmp_path: Path, waiting: Waiting
) -> None:
    seen: list[Asked] = []

    def store(asked: Asked) -> Answer:
        seen.append(asked)
        return cut_after(250_000, part(asked))

    with fake_registry(store) as far:

        def own(asked: Asked) -> Answer:
            if "authorization" not in asked.headers:
                return Answer(status=401, headers={"WWW-Authenticate": "Basic"})
            return Answer(status=307, headers={"Location": f"http://{far}/signed?by=us"})

        with fake_registry(own) as host:
            assert blob_of(host, waiting, environ=logged_in(tmp_path, host)) == BODY
    assert [asked.path for asked in seen] == ["/signed?by=us"] * 2
    assert seen[1].headers["range"] == "bytes=250000-"
    assert all("authorization" not in asked.headers for asked in seen)


def test_a_redirect_that_asks_for_the_login_does_not_get_it(
    tmp_path: Path, waiting: Waiting
) -> None:
    seen: list[str | None] = []

    def thief(asked: Asked) -> Answer:
        seen.append(asked.headers.get("authorization"))
        return Answer(status=401, headers={"WWW-Authenticate": 'Basic realm="give"'})

    with fake_registry(thief) as far:
        location = {"Location": f"http://{far}/"}
        with (
            fake_registry(lambda asked: Answer(status=302, headers=location)) as host,
            pytest.raises(ImageProblem, match=r"refuses it \(401\)"),
        ):
            blob_of(host, waiting, environ=logged_in(tmp_path, host))
    assert seen == [None]


def test_redirects_in_a_circle_are_given_up(waiting: Waiting) -> None:
    with (
        fake_registry(lambda asked: Answer(status=302, headers={"Location": asked.path})) as host,
        pytest.raises(ImageProblem, match="redirects more than 5 times"),
    ):
        blob_of(host, waiting)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


def test_a_redirect_from_tls_to_plain_http_is_refused(
    waiting: Waiting, certificates: Certificates
) -> None:
    with fake_registry(never) as far:
        location = {"Location": f"http://{far}/"}
        answering = busy(307, **location)
        with fake_registry(answering, certificates.server()) as host:
            hosts = {host: RegistryHost(host=host, ca=str(certificates.ca))}
            with pytest.raises(ImageProblem, match="redirects to http://, without TLS"):
                blob_of(host, waiting, hosts=hosts, insecure=False)


# --- tokens ---

BASIC = "Basic " + base64.b64encode(b"me:secret").decode()


def logged_in(folder: Path, host: str, **entry: str) -> dict[str, str]:
    auth = {"auth": BASIC.removeprefix("Basic ")}
    (folder / "config.json").write_text(json.dumps({"auths": {host: entry or auth}}))
    return {"DOCKER_CONFIG": str(folder)}


@contextmanager
def token_registry(
    service: Answering, scheme: str = "http", tls: Certificates | None = None
) -> Iterator[tuple[str, list[Asked]]]:
    """A registry that wants the token `good`; `service` gives the tokens."""
    heard: list[Asked] = []

    def answering(asked: Asked) -> Answer:
        heard.append(asked)
        if asked.path.startswith("/token"):
            return service(asked)
        if asked.headers.get("authorization") != "Bearer good":
            realm = f"{scheme}://{asked.headers['host']}/token"
            challenge = f'Bearer realm="{realm}",service="s",scope="repository:x:pull"'
            return Answer(status=401, headers={"WWW-Authenticate": challenge})
        return TRUTH(asked)

    with fake_registry(answering, tls.server() if tls else None) as host:
        yield host, heard


def good(asked: Asked) -> Answer:
    return Answer(body=b'{"token": "good"}')


def for_login(asked: Asked) -> Answer:
    return good(asked) if asked.headers.get("authorization") == BASIC else Answer(status=401)


def test_a_token_for_anybody_is_fetched_once_with_its_scope() -> None:
    with token_registry(good) as (host, heard), opened(host) as source:
        manifest = resolve(source, Arch.AMD64).manifest
        for descriptor in manifest.layers:
            read_whole(source.blob(descriptor), descriptor)
    asked = [urlsplit(asked.path) for asked in heard if asked.path.startswith("/token")]
    assert [parse_qs(url.query) for url in asked] == [
        {"service": ["s"], "scope": ["repository:x:pull"]}
    ]


def test_a_token_is_fetched_with_the_login(tmp_path: Path) -> None:
    with token_registry(for_login) as (host, _):
        with opened(host) as source, pytest.raises(ImageProblem, match=r"refuses it \(401\)"):
            source.top()
        with opened(host, environ=logged_in(tmp_path, host)) as source:
            assert source.top().digest == MADE.top


def test_an_identity_token_is_exchanged_for_an_access_token(tmp_path: Path) -> None:
    def exchange(asked: Asked) -> Answer:
        form = parse_qs(asked.body.decode())
        wanted = ("refresh_token", "identity", "repository:x:pull")
        given = tuple(form[key][0] for key in ("grant_type", "refresh_token", "scope"))
        fits = asked.method == "POST" and given == wanted
        return Answer(body=b'{"access_token": "good"}') if fits else Answer(status=401)

    with token_registry(exchange) as (host, _):
        environ = logged_in(tmp_path, host, identitytoken="identity", auth="")
        with opened(host, environ=environ) as source:
            assert source.top().digest == MADE.top


def test_a_token_that_expires_is_renewed_once_for_all_threads() -> None:
    given = count(1)
    valid = {"token": "1"}

    def answering(asked: Asked) -> Answer:
        assert asked.headers["accept-encoding"] == "identity"  # nothing comes packed
        if asked.path.startswith("/token"):
            valid["token"] = str(next(given))
            return Answer(body=json.dumps(valid).encode())
        if asked.headers.get("authorization") != f"Bearer {valid['token']}":
            challenge = f'Bearer realm="http://{asked.headers["host"]}/token"'
            return Answer(status=401, headers={"WWW-Authenticate": challenge})
        return TRUTH(asked)

    with fake_registry(answering) as host, opened(host) as source:
        manifest = resolve(source, Arch.AMD64).manifest
        valid["token"] = "expired"

        def read(_: int) -> bytes:
            return read_whole(source.blob(manifest.layers[0]), manifest.layers[0])

        with ThreadPoolExecutor(4) as threads:
            assert len(set(threads.map(read, range(8)))) == 1
    assert next(given) == 3  # the first, and one for all that found it expired


@pytest.mark.parametrize(
    "body", [b"[]", b"<html>", b'{"token": ["x"]}', b'{"token": "a b"}', b"{}", b" " * (2 << 20)]
)
def test_a_token_service_that_talks_nonsense_is_told(
    capfd: pytest.CaptureFixture[str], body: bytes
) -> None:
    words = r"answered the login with nonsense|refuses it \(401\)|more than 1 MiB"
    with (
        token_registry(lambda asked: Answer(body=body)) as (host, _),
        opened(host) as source,
        pytest.raises(ImageProblem, match=words),
    ):
        source.top()
    assert capfd.readouterr() == ("", "")


def test_a_token_that_would_be_a_header_of_its_own_is_nonsense() -> None:
    body = json.dumps({"token": "good\r\nX: y"}).encode()
    with (
        token_registry(lambda asked: Answer(body=body)) as (host, _),
        opened(host) as source,
        pytest.raises(ImageProblem, match="answered the login with nonsense"),
    ):
        source.top()


def test_a_token_service_that_is_busy_is_waited_for(waiting: Waiting) -> None:
    with token_registry(by_turns(busy(503), good)) as (host, _), opened(host, waiting) as source:
        assert source.top().digest == MADE.top
    assert len(waiting.slept) == 1


def test_a_login_is_not_sent_without_tls_where_the_registry_has_it(
    tmp_path: Path, certificates: Certificates
) -> None:
    with token_registry(never, "http", certificates) as (host, _):
        hosts = {host: RegistryHost(host=host, ca=str(certificates.ca))}
        environ = logged_in(tmp_path, host)
        with (
            opened(host, insecure=False, hosts=hosts, environ=environ) as source,
            pytest.raises(ImageProblem, match="wants the login sent without TLS"),
        ):
            source.top()


def test_a_token_over_tls_trusts_the_registrys_authority(certificates: Certificates) -> None:
    with token_registry(good, "https", certificates) as (host, _):
        hosts = {host: RegistryHost(host=host, ca=str(certificates.ca))}
        with opened(host, insecure=False, hosts=hosts) as source:
            assert source.top().digest == MADE.top


def test_a_private_authority_is_trusted_through_a_proxy_too(
    monkeypatch: pytest.MonkeyPatch, certificates: Certificates
) -> None:
    with fake_registry(TRUTH, certificates.server()) as host, proxy() as (address, asked):
        monkeypatch.setenv("https_proxy", address)
        monkeypatch.setenv("no_proxy", "")
        hosts = {host: RegistryHost(host=host, ca=str(certificates.ca))}
        with opened(host, insecure=False, hosts=hosts) as source:
            assert source.top().digest == MADE.top
    assert asked == [host]


def test_a_login_in_netrc_is_not_for_registries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login thief password thief\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    with token_registry(good) as (host, heard), opened(host) as source:
        assert source.top().digest == MADE.top
    assert {asked.headers.get("authorization") for asked in heard} == {None, "Bearer good"}


# --- referrers by the API ---


def test_referrers_are_read_page_by_page() -> None:
    first, second = (image([layer([file(name)])]) for name in ("one", "two"))

    def answering(asked: Asked) -> Answer:
        made = second if "last=1" in asked.path else first
        index = index_of({"amd64": made})
        link = {} if made is second else {"Link": f'<{asked.path}?last=1>; rel="next"'}
        return Answer(body=index.blobs[index.top], headers=link)

    with fake_registry(answering) as host, opened(host) as source:
        found = source.referrers(MADE.top)
    assert [descriptor.digest for descriptor in found] == [first.top, second.top]


@pytest.mark.parametrize(
    "told", [Answer(status=400), Answer(status=405), Answer(body=b"<html>"), Answer(status=404)]
)
def test_a_registry_without_the_api_is_asked_for_the_tag(told: Answer) -> None:
    index = index_of({"amd64": MADE})

    def answering(asked: Asked) -> Answer:
        if "/referrers/" in asked.path:
            return told
        assert asked.path.endswith(f"/manifests/sha256-{MADE.top.hex}")
        return Answer(body=index.blobs[index.top])

    with fake_registry(answering) as host, opened(host) as source:
        assert [found.digest for found in source.referrers(MADE.top)] == [MADE.top]


# --- uploads ---


def upload(host: str, waiting: Waiting, path: Path) -> None:
    with open_repository(
        reference(host),
        insecure=True,
        hosts={},
        tell=lambda told: None,
        environ={"HOME": "/nonexistent"},
        clock=waiting.clock(),
    ) as repository:
        repository.push_blob(path, Blob(digest=BIG.digest, size=BIG.size))


def test_an_upload_that_fails_is_done_again_whole(tmp_path: Path, waiting: Waiting) -> None:
    path, sizes = tmp_path / "blob", list[int]()
    path.write_bytes(BODY)

    def answering(asked: Asked) -> Answer:
        match asked.method:
            case "HEAD":
                return Answer(status=404)
            case "POST":
                return Answer(status=202, headers={"Location": "/upload?state=1"})
        assert asked.path == f"/upload?state=1&digest={BIG.digest}"
        sizes.append(len(asked.body))
        return Answer(status=502 if len(sizes) == 1 else 201)

    with fake_registry(answering) as host:
        upload(host, waiting, path)
    assert sizes == [len(BODY), len(BODY)]


def test_an_upload_that_is_too_big_says_so(tmp_path: Path, waiting: Waiting) -> None:
    path = tmp_path / "blob"
    path.write_bytes(BODY)
    answering = by_turns(busy(404), busy(202, Location="/upload"), busy(413))
    with (
        fake_registry(answering) as host,
        pytest.raises(ImageProblem, match=r"takes no file of that size \(413\)"),
    ):
        upload(host, waiting, path)


def test_an_upload_to_another_host_goes_there_without_the_login(
    tmp_path: Path, waiting: Waiting
) -> None:
    seen: list[Asked] = []

    def store(asked: Asked) -> Answer:
        seen.append(asked)
        return Answer(status=201)

    def own(asked: Asked) -> Answer:
        if "authorization" not in asked.headers:
            return Answer(status=401, headers={"WWW-Authenticate": "Basic"})
        if asked.method == "HEAD":
            return Answer(status=404)
        return Answer(status=202, headers={"Location": f"http://{far}/put"})

    with (
        fake_registry(store) as far,
        fake_registry(own) as host,
        open_repository(
            reference(host),
            insecure=True,
            hosts={},
            tell=lambda told: None,
            environ=logged_in(tmp_path, host),
            clock=waiting.clock(),
        ) as repository,
    ):
        repository.push_blob(BODY, Blob(digest=BIG.digest, size=BIG.size))
    assert [(asked.body, asked.headers.get("authorization")) for asked in seen] == [(BODY, None)]
