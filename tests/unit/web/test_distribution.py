"""Paths, Accept lists and pages of the OCI distribution API."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kairos_netboot.images.reference import is_name
from kairos_netboot.values import Digest
from kairos_netboot.web.distribution import (
    DOCKER_MANIFEST_TYPE,
    INDEX_TYPE,
    Ask,
    Code,
    Page,
    Refused,
    What,
    accepts,
    page,
    read_path,
)

DIGEST = Digest.of(b"x")
OCI = "application/vnd.oci.image.manifest.v1+json"


@pytest.mark.parametrize(
    ("path", "ask"),
    [
        ("/v2/", Ask(what=What.API)),
        ("/v2", Ask(what=What.API)),
        ("/v2/_catalog", Ask(what=What.CATALOG)),
        ("/v2/a/tags/list", Ask(what=What.TAGS, name="a")),
        ("/v2/a/manifests/latest", Ask(what=What.MANIFEST, name="a", tag="latest")),
        ("/v2/k/u/manifests/24.04_x-1", Ask(what=What.MANIFEST, name="k/u", tag="24.04_x-1")),
        (f"/v2/a/manifests/{DIGEST}", Ask(what=What.MANIFEST, name="a", digest=DIGEST)),
        (f"/v2/a/b/c/blobs/{DIGEST}", Ask(what=What.BLOB, name="a/b/c", digest=DIGEST)),
        (f"/v2/a/referrers/{DIGEST}", Ask(what=What.REFERRERS, name="a", digest=DIGEST)),
        # What a careful client encodes, is decoded.
        (f"/v2/a/blobs/sha256%3A{DIGEST.hex}", Ask(what=What.BLOB, name="a", digest=DIGEST)),
    ],
)
def test_every_path_of_the_api_is_read(path: str, ask: Ask) -> None:
    assert read_path(path) == ask


def test_a_name_may_hold_the_words_of_the_api() -> None:
    ask = Ask(what=What.MANIFEST, name="a/manifests/b/blobs", tag="tags")
    assert read_path("/v2/a/manifests/b/blobs/manifests/tags") == ask
    assert read_path("/v2/blobs/tags/list") == Ask(what=What.TAGS, name="blobs")


@pytest.mark.parametrize(
    ("path", "code", "status"),
    [
        ("/v2/../manifests/x", Code.NAME_INVALID, 400),
        ("/v2/a/../../etc/manifests/x", Code.NAME_INVALID, 400),
        ("/v2/a%2Fb/manifests/x", Code.NAME_INVALID, 400),
        ("/v2/a%252fb/manifests/x", Code.NAME_INVALID, 400),
        ("/v2/%2e%2e/manifests/x", Code.NAME_INVALID, 400),
        ("/v2/a%00/manifests/x", Code.NAME_INVALID, 400),
        ("/v2/a%0a/manifests/x", Code.NAME_INVALID, 400),
        ("/v2/A/manifests/x", Code.NAME_INVALID, 400),
        ("/v2//manifests/x", Code.NAME_UNKNOWN, 404),
        ("/v2/a//b/manifests/x", Code.NAME_INVALID, 400),
        (f"/v2/{'a' * 256}/manifests/x", Code.NAME_INVALID, 400),
        (f"/v2/{'a/' * 4000}manifests/x", Code.NAME_INVALID, 400),
        ("/v2/a/manifests/.x", Code.TAG_INVALID, 400),
        ("/v2/a/manifests/..", Code.TAG_INVALID, 400),
        ("/v2/a/manifests/", Code.TAG_INVALID, 400),
        ("/v2/a/manifests/x%0a", Code.TAG_INVALID, 400),
        (f"/v2/a/manifests/{'x' * 129}", Code.TAG_INVALID, 400),
        ("/v2/a/manifests/sha256:0", Code.DIGEST_INVALID, 400),
        (f"/v2/a/blobs/sha512:{'0' * 128}", Code.DIGEST_INVALID, 400),
        (f"/v2/a/blobs/sha256:{'A' * 64}", Code.DIGEST_INVALID, 400),
        ("/v2/a/blobs/x", Code.DIGEST_INVALID, 400),
        ("/v2/a/blobs/..", Code.DIGEST_INVALID, 400),
        ("/v2/a", Code.NAME_UNKNOWN, 404),
        ("/v2/a/tags", Code.NAME_UNKNOWN, 404),
        ("/v2/_catalog/", Code.NAME_UNKNOWN, 404),
    ],
)
def test_other_paths_are_refused_with_the_codes_of_the_specification(
    path: str, code: Code, status: int
) -> None:
    with pytest.raises(Refused) as caught:
        read_path(path)
    assert (caught.value.code, caught.value.http_status) == (code, status)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", ["a", "a" * 255, "a.b_c__d-e---f/0"])
def test_the_longest_and_strangest_names_are_names(name: str) -> None:
    assert is_name(name)
    assert read_path(f"/v2/{name}/manifests/{'x' * 128}").name == name


@pytest.mark.parametrize("name", ["", "a" * 256, "a..b", "-a", "a-", "a___b", "a/", "/a", "a\n"])
def test_other_names_are_none(name: str) -> None:
    assert not is_name(name)


@given(st.text(max_size=80))
@example("%")
@example("a/manifests/%c3%28")
@example("a/manifests/\ud800")
def test_any_path_is_read_or_refused(rest: str) -> None:
    with contextlib.suppress(Refused):
        ask = read_path(f"/v2/{rest}")
        assert ask.what in (What.API, What.CATALOG) or is_name(ask.name)


def test_an_error_has_the_form_of_the_specification() -> None:
    error = Refused(Code.MANIFEST_UNKNOWN, "no")
    assert error.body == {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "no"}]}


# --- Accept ---

CONTAINERD = (
    f"{DOCKER_MANIFEST_TYPE}, application/vnd.docker.distribution.manifest.list.v2+json, "
    f"{OCI}, {INDEX_TYPE}, */*"
)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [""],
        ["*/*"],
        ["*"],  # containerd before 1.6, at the end of its list
        ["application/*"],
        [OCI],
        [OCI.upper()],
        [CONTAINERD],
        ["text/html", OCI],  # skopeo: a header for every type
        [f"text/html, {OCI};q=0.5"],
        ["text/html;q=1, */*;q=0.1"],
        [f"*/*;q=0, {OCI}"],
        ["application/json, , application/*; q=0.001"],
    ],
)
def test_what_a_client_takes_is_seen(headers: list[str]) -> None:
    assert accepts(headers, OCI)


@pytest.mark.parametrize(
    "headers",
    [
        ["text/html"],
        [DOCKER_MANIFEST_TYPE, INDEX_TYPE],
        ["text/*"],
        [f"{OCI};q=0"],
        [f"{OCI}; q=0.000, */*"],
        ["application/*;q=0, */*"],
    ],
)
def test_what_a_client_does_not_take_is_seen(headers: list[str]) -> None:
    assert not accepts(headers, OCI)


@given(st.lists(st.text(max_size=40)))
def test_any_accept_header_is_read(headers: list[str]) -> None:
    assert accepts(headers, OCI) in (True, False)


# --- pages ---


def test_without_n_all_is_one_page_in_order() -> None:
    assert page(["b", "a"], "/p", {}) == Page(("a", "b"))


def test_a_page_links_to_the_next_and_the_last_to_none() -> None:
    first = page("abc", "/v2/_catalog", {"n": "2"})
    assert first == Page(("a", "b"), '</v2/_catalog?n=2&last=b>; rel="next"')
    assert page("abc", "/v2/_catalog", {"n": "2", "last": "b"}) == Page(("c",))
    assert page("abc", "/v2/_catalog", {"n": "3"}) == Page(("a", "b", "c"))


def test_the_link_keeps_what_else_was_asked() -> None:
    link = page("ab", "/p", {"n": "1", "ns": "quay.io"}).link
    assert link == '</p?n=1&ns=quay.io&last=a>; rel="next"'


def test_no_items_asked_are_no_items_and_no_link() -> None:
    assert page("abc", "/p", {"n": "0"}) == Page(())


def test_a_last_that_is_not_there_still_cuts() -> None:
    assert page("ac", "/p", {"last": "b"}) == Page(("c",))


@pytest.mark.parametrize("count", ["-1", "x", "1.5", "9999999999", "٣"])
def test_a_number_that_is_none_is_refused(count: str) -> None:
    with pytest.raises(Refused) as caught:
        page("abc", "/p", {"n": count})
    assert (caught.value.code, caught.value.http_status) == (Code.PAGINATION_NUMBER_INVALID, 400)
