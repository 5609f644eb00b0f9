from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kairos_netboot.errors import InvalidValue
from kairos_netboot.images.reference import (
    LocalReference,
    RegistryReference,
    Scheme,
    default_name,
    parse,
)
from kairos_netboot.values import Digest

DIGEST = Digest("sha256:" + "ab" * 32)


@pytest.mark.parametrize(
    ("text", "host", "name", "tag"),
    [
        ("alpine", "docker.io", "library/alpine", "latest"),
        ("alpine:3", "docker.io", "library/alpine", "3"),
        ("kairos/debian", "docker.io", "kairos/debian", "latest"),
        ("docker.io/alpine", "docker.io", "library/alpine", "latest"),
        ("index.docker.io/alpine", "docker.io", "library/alpine", "latest"),
        ("localhost/a", "localhost", "a", "latest"),
        ("localhost:5000/a/b:c", "localhost:5000", "a/b", "c"),
        ("quay.io/kairos/debian:v4.2.0", "quay.io", "kairos/debian", "v4.2.0"),
        ("docker://quay.io/kairos/debian:v4", "quay.io", "kairos/debian", "v4"),
        ("127.0.0.1:5000/x", "127.0.0.1:5000", "x", "latest"),
        ("[::1]:5000/x", "[::1]:5000", "x", "latest"),
        ("REGISTRY.example.com/x", "REGISTRY.example.com", "x", "latest"),
    ],
)
def test_registry_names_are_read_as_container_tools_read_them(
    text: str, host: str, name: str, tag: str
) -> None:
    assert parse(text) == RegistryReference(host=host, name=name, tag=tag)


def test_a_digest_needs_no_tag() -> None:
    assert parse(f"quay.io/a/b@{DIGEST}") == RegistryReference(
        host="quay.io", name="a/b", digest=DIGEST
    )


def test_a_tag_beside_a_digest_is_kept() -> None:
    text = f"quay.io/a/b:c@{DIGEST}"
    assert parse(text) == RegistryReference(host="quay.io", name="a/b", tag="c", digest=DIGEST)
    assert str(parse(text)) == text


def test_an_archive_is_a_file() -> None:
    assert parse("oci-archive:/srv/a.tar") == LocalReference(
        scheme=Scheme.ARCHIVE, path=Path("/srv/a.tar")
    )


def test_a_layout_is_a_directory_and_perhaps_a_tag() -> None:
    assert parse("oci:images/kairos:v4") == LocalReference(
        scheme=Scheme.LAYOUT, path=Path("images/kairos"), tag="v4"
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "oci:",
        "oci-archive::tag",
        "oci:dir:bad/tag",
        "oci:a\0b",
        "quay.io/Kairos/Debian",
        "quay.io/",
        "a b",
        "quay.io/a:",
        "quay.io/a:" + "t" * 129,
        "quay.io/a@sha256:12",
        "quay.io/a@md5:" + "0" * 32,
        "https://quay.io/a",
        "host:port/a",
        "quay.io/../a",
        "x.io/" + "a" * 256,
    ],
)
def test_what_is_no_reference_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        parse(text)
    assert "\n" not in str(caught.value)


@given(st.text(max_size=60))
def test_any_text_is_a_reference_or_an_invalid_value(text: str) -> None:
    try:
        reference = parse(text)
    except InvalidValue:
        return
    if isinstance(reference, RegistryReference):
        assert parse(str(reference)) == reference


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("quay.io/kairos/debian:v4", "debian"),
        ("oci-archive:/srv/Kairos Debian.oci.tar", "kairos-debian"),
        ("oci:/srv/kairos/", "kairos"),
        ("oci:/", "image"),
    ],
)
def test_an_image_is_named_after_the_last_word_of_its_source(text: str, name: str) -> None:
    assert default_name(parse(text)) == name
