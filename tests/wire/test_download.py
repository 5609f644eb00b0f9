"""Files of web servers, for iso: and files: references."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from kairos_netboot.boot.site import RegistryHost
from kairos_netboot.errors import ImageProblem
from kairos_netboot.images.fetch import download
from kairos_netboot.images.progress import Progress
from tests.registries import (
    Answer,
    Asked,
    Waiting,
    by_turns,
    cut_after,
    fake_registry,
    free_port,
    make_certificates,
    ranged,
)

pytestmark = pytest.mark.wire

BODY = b"".join(number.to_bytes(4, "big") for number in range(100_000))
BASIC = "Basic " + base64.b64encode(b"me:secret").decode()


@pytest.fixture(autouse=True)
def no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def waiting() -> Waiting:
    return Waiting()


def whole(asked: Asked) -> Answer:
    return Answer(body=BODY)


def fetched(host: str, path: Path, waiting: Waiting, **options: object) -> bytes:
    url = f"http://{host}/k/kairos.iso?signature=secret"
    heard: list[object] = []
    size = download(url, path, heard.append, clock=waiting.clock(), **options)  # type: ignore[arg-type]
    assert size == path.stat().st_size
    return path.read_bytes()


def tagged(told: Answer, tag: str) -> Answer:
    told.headers["ETag"] = tag
    return told


def test_a_file_that_breaks_off_is_resumed_if_it_is_the_same(
    tmp_path: Path, waiting: Waiting
) -> None:
    seen: list[tuple[str | None, str | None]] = []

    def answering(asked: Asked) -> Answer:
        seen.append((asked.headers.get("range"), asked.headers.get("if-range")))
        return tagged(cut_after(300_000, ranged(asked, BODY)), '"v1"')

    with fake_registry(answering) as host:
        assert fetched(host, tmp_path / "iso", waiting) == BODY
    assert seen == [(None, None), ("bytes=300000-", '"v1"')]


def test_a_file_that_changed_meanwhile_is_fetched_from_its_start(
    tmp_path: Path, waiting: Waiting
) -> None:
    other = BODY[::-1][:350_000]
    turns = by_turns(
        lambda asked: tagged(cut_after(300_000, whole(asked)), '"v1"'),
        lambda asked: tagged(Answer(body=other), '"v2"'),
    )
    with fake_registry(turns) as host:
        assert fetched(host, tmp_path / "iso", waiting) == other


def test_a_server_that_forgets_about_if_range_is_found_out(
    tmp_path: Path, waiting: Waiting
) -> None:
    other = BODY[::-1]
    turns = by_turns(
        lambda asked: tagged(cut_after(300_000, whole(asked)), '"v1"'),
        lambda asked: tagged(ranged(asked, other), '"v2"'),
    )
    with fake_registry(turns) as host:
        assert fetched(host, tmp_path / "iso", waiting) == other


def test_a_file_without_a_name_for_its_state_is_fetched_again_whole(
    tmp_path: Path, waiting: Waiting
) -> None:
    seen: list[str | None] = []

    def answering(asked: Asked) -> Answer:
        seen.append(asked.headers.get("range"))
        told = tagged(ranged(asked, BODY), 'W/"weak"')
        return cut_after(300_000, told) if len(seen) == 1 else told

    with fake_registry(answering) as host:
        assert fetched(host, tmp_path / "iso", waiting) == BODY
    assert seen == [None, None]


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (Answer(status=404), r"is not there \(404\): check the address"),
        (Answer(status=403), r"refuses it \(403\): write http://USER:PASSWORD@HOST"),
        (Answer(status=418), r"answered with status 418"),
        (Answer(status=503), r"answers 503, for 120 s: try again later"),
    ],
)
def test_what_a_web_server_refuses_is_told_with_the_address(
    tmp_path: Path, waiting: Waiting, told: Answer, words: str
) -> None:
    with (
        fake_registry(lambda asked: told) as host,
        pytest.raises(ImageProblem, match=f"^http://{host}/k/kairos.iso {words}") as caught,
    ):
        fetched(host, tmp_path / "iso", waiting)
    assert "secret" not in str(caught.value)


def test_a_file_larger_than_allowed_is_cut(tmp_path: Path, waiting: Waiting) -> None:
    with (
        fake_registry(whole) as host,
        pytest.raises(ImageProblem, match="is more than 0 MiB: no boot file"),
    ):
        fetched(host, tmp_path / "iso", waiting, limit=100_000)


def test_a_login_in_the_address_is_sent_and_not_shown(tmp_path: Path, waiting: Waiting) -> None:
    def answering(asked: Asked) -> Answer:
        return whole(asked) if asked.headers.get("authorization") == BASIC else Answer(status=401)

    with fake_registry(answering) as host:
        assert fetched(f"me:secret@{host}", tmp_path / "iso", waiting) == BODY
        with pytest.raises(ImageProblem, match=f"^http://{host}/k/kairos.iso refuses") as caught:
            fetched(f"me:wrong@{host}", tmp_path / "other", waiting)
    assert "wrong" not in str(caught.value)


def test_a_web_server_that_is_not_there_is_told(tmp_path: Path, waiting: Waiting) -> None:
    with pytest.raises(ImageProblem, match=r"kairos\.iso refuses the connection, for 120 s: check"):
        fetched(f"127.0.0.1:{free_port()}", tmp_path / "iso", waiting)


def test_a_download_over_tls_trusts_the_authority_of_its_host(tmp_path: Path) -> None:
    certificates = make_certificates(tmp_path)
    with fake_registry(whole, certificates.server()) as host:
        hosts = {host: RegistryHost(host=host, ca=str(certificates.ca))}
        download(f"https://{host}/iso", tmp_path / "iso", lambda told: None, hosts=hosts)
    assert (tmp_path / "iso").read_bytes() == BODY


def test_progress_is_told_with_the_whole_size(tmp_path: Path) -> None:
    heard: list[object] = []
    with fake_registry(whole) as host:
        download(f"http://{host}/iso", tmp_path / "iso", heard.append, step="fetch the ISO")
    assert heard[-1] == Progress(step="fetch the ISO", done=len(BODY), total=len(BODY))
