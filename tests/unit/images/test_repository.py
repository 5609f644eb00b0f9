from __future__ import annotations

from collections.abc import Callable

import pytest
import requests

from kairos_netboot.errors import ImageProblem
from kairos_netboot.images.endpoints import Endpoint
from kairos_netboot.images.manifest import Descriptor
from kairos_netboot.images.place import Body, Place
from kairos_netboot.images.repository import Repository
from kairos_netboot.images.session import Headers, Trouble
from kairos_netboot.images.source import read_whole
from kairos_netboot.values import Digest
from tests.images_factory import image, index_of, layer
from tests.registries import Waiting, answer

DATA = b"what is wanted"
WANTED = Descriptor(media_type="x", digest=Digest.of(DATA), size=len(DATA))
Answers = Callable[[str], requests.Response]


def place(name: str, answers: Answers, asked: list[str] | None = None) -> Place:
    def ask(
        method: str, url: str, headers: Headers, silence: float, body: Body = b""
    ) -> requests.Response:
        (asked if asked is not None else []).append(name)
        return answers(url)

    mirror = name.startswith("m")
    return Place(Endpoint(host=name, base=f"https://{name}/v2/", mirror=mirror), "x", ask)


def repository(
    *places: Place, heard: list[object] | None = None, waiting: Waiting | None = None
) -> Repository:
    tell = (heard if heard is not None else []).append
    return Repository(places, tell, (waiting or Waiting()).clock())


def status(code: int) -> Answers:
    return lambda url: answer(code)


def has(data: bytes) -> Answers:
    return lambda url: answer(body=data, url=url)


def unreachable(url: str) -> requests.Response:
    raise Trouble("cannot be reached", again=True)


def untrusted(url: str) -> requests.Response:
    raise Trouble("is not trusted")


def test_a_mirror_is_asked_before_the_registry() -> None:
    asked: list[str] = []
    found = repository(place("m", has(DATA), asked), place("r", has(b""), asked))
    assert found.document("1") == DATA
    assert asked == ["m"]


def test_the_place_that_is_read_is_told_when_it_is_not_the_registry_itself() -> None:
    heard: list[object] = []
    found = repository(place("m", has(DATA)), place("r", has(DATA)), heard=heard)
    found.document("1")
    found.document("1")
    assert heard == ["reading from the mirror m"]


@pytest.mark.parametrize("mirror", [unreachable, untrusted, status(503)])
def test_a_mirror_that_is_down_is_asked_once_and_told(mirror: Answers) -> None:
    asked, heard = list[str](), list[object]()
    found = repository(
        place("m", mirror, asked), place("r", has(DATA), asked), heard=heard, waiting=Waiting()
    )
    assert found.document("1") == found.document("1") == DATA
    assert asked == ["m", "r", "r"]
    assert len(heard) == 1
    assert str(heard[0]).endswith(": asking elsewhere")


def test_a_mirror_that_lacks_one_thing_is_asked_for_the_next() -> None:
    asked: list[str] = []
    found = repository(place("m", status(404), asked), place("r", has(DATA), asked))
    found.document("1")
    found.document("2")
    assert asked == ["m", "r", "m", "r"]


def test_a_mirror_with_another_manifest_of_that_digest_is_passed_over() -> None:
    found = repository(place("m", has(b"lie")), place("r", has(DATA)))
    assert found.document(WANTED.digest, WANTED.digest) == DATA


def test_a_mirror_with_a_blob_of_another_size_is_passed_over() -> None:
    def short(url: str) -> requests.Response:
        return answer(body=b"lie", headers={"Content-Length": "3"})

    found = repository(place("m", short), place("r", has(DATA)))
    assert read_whole(found.blob(WANTED), WANTED) == DATA


def test_what_the_registry_says_is_final_whatever_mirrors_say() -> None:
    waiting = Waiting()
    found = repository(place("m", status(503)), place("r", status(404)), waiting=waiting)
    with pytest.raises(
        ImageProblem, match=r"^the registry r does not have it \(the mirror m answers 503\): check"
    ):
        found.document("1")
    assert waiting.slept == []


def test_a_registry_that_is_down_is_waited_for_although_a_mirror_lacks_it() -> None:
    waiting = Waiting()
    found = repository(place("m", status(404)), place("r", unreachable), waiting=waiting)
    with pytest.raises(
        ImageProblem,
        match=r"registry r cannot be reached \(the mirror m does not have it\), for 120 s",
    ):
        found.document("1")
    assert len(waiting.slept) > 5


def test_a_mirror_that_may_come_back_is_waited_for_where_the_registry_never_will() -> None:
    waiting = Waiting()

    def later(url: str) -> requests.Response:
        return answer(body=DATA) if waiting.slept else answer(503)

    found = repository(place("m", later), place("r", untrusted), waiting=waiting)
    assert found.document("1") == DATA


@pytest.mark.parametrize("own", [unreachable, untrusted, status(404)])
def test_a_tag_that_a_mirror_lacks_is_missing_unless_the_registry_has_it(own: Answers) -> None:
    waiting = Waiting()
    assert repository(place("m", status(404)), place("r", own), waiting=waiting).find("t") is None
    assert waiting.slept == []
    assert repository(place("m", status(404)), place("r", has(DATA))).find("t") == DATA


@pytest.mark.parametrize("own", [unreachable, untrusted, status(401), status(503)])
def test_a_tag_is_not_missing_because_nobody_can_say(own: Answers) -> None:
    with pytest.raises(ImageProblem):
        repository(place("m", unreachable), place("r", own)).find("t")


def test_referrers_that_a_mirror_does_not_pass_on_are_asked_of_the_registry() -> None:
    attached = image([layer([])])
    index = index_of({"amd64": attached})
    empty = index_of({})
    found = repository(
        place("m", has(empty.blobs[empty.top])), place("r", has(index.blobs[index.top]))
    )
    assert [d.digest for d in found.referrers(WANTED.digest)] == [attached.top]


def test_a_registry_whose_index_of_referrers_is_empty_has_none() -> None:
    asked: list[str] = []
    empty = index_of({})
    found = repository(place("r", has(empty.blobs[empty.top]), asked))
    assert found.referrers(WANTED.digest) == ()
    assert asked == ["r"]


def test_pages_of_referrers_do_not_lead_to_another_host_nor_on_for_ever() -> None:
    asked: list[str] = []
    index = index_of({"amd64": image([layer([])])})

    def endless(link: str) -> Answers:
        headers = {"Link": f'<{link}>; rel="next"'}

        def answers(url: str) -> requests.Response:
            asked.append(url)
            number = len(asked)
            page = {"Link": headers["Link"].replace("N", str(number))}
            return answer(body=index.blobs[index.top], headers=page, url=url)

        return answers

    repository(place("r", endless("https://evil/"))).referrers(WANTED.digest)
    assert len(asked) == 1
    asked.clear()
    repository(place("r", endless("?page=N"))).referrers(WANTED.digest)
    assert len(asked) == 20


def test_only_the_registry_itself_is_written_to() -> None:
    asked: list[str] = []
    found = repository(place("m", has(b""), asked), place("r", status(404), asked))
    assert not found.has_blob(WANTED.digest)
    assert asked == ["r"]
