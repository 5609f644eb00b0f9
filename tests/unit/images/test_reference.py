from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kairos_netboot.errors import ImageProblem, InvalidValue
from kairos_netboot.images.reference import (
    FileReference,
    FilesReference,
    LocalReference,
    RegistryReference,
    Scheme,
    anchored,
    check_mirror,
    default_name,
    hosts_of,
    parse,
    registry_host,
    shown,
)
from kairos_netboot.images.source import naming
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
        ("REGISTRY.example.com/x", "registry.example.com", "x", "latest"),
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
    ("text", "tag"),
    [
        ("docker-archive:/srv/a.tar", ""),
        ("docker-archive:/srv/a.tar:kairos:v4", "kairos:v4"),
        ("docker-archive:/srv/a.tar:kairos", "kairos:latest"),
        ("docker-archive:/srv/a.tar:localhost:5000/x/y", "localhost:5000/x/y:latest"),
        ("docker-archive:/srv/a.tar:quay.io/x/y:v4", "quay.io/x/y:v4"),
    ],
)
def test_a_docker_archive_holds_images_by_name_and_tag(text: str, tag: str) -> None:
    path = Path("/srv/a.tar")
    assert parse(text) == LocalReference(scheme=Scheme.DOCKER_ARCHIVE, path=path, tag=tag)


def test_a_root_file_system_is_a_directory_colons_and_all() -> None:
    assert parse("dir:/srv/root:fs") == LocalReference(
        scheme=Scheme.DIRECTORY, path=Path("/srv/root:fs")
    )


@pytest.mark.parametrize("place", ["/srv/kairos.iso", "https://x.io:8443/a/kairos.iso?b=c,d"])
def test_an_iso_is_a_file_or_a_url(place: str) -> None:
    assert parse(f"iso:{place}") == FileReference(scheme=Scheme.ISO, place=place)
    assert parse(f"uki:{place}") == FileReference(scheme=Scheme.UKI, place=place)


def test_boot_files_are_named_one_by_one_in_any_order() -> None:
    found = parse("files:rootfs=https://x.io/r,kernel=boot/k,initrd=/i")
    assert found == FilesReference(kernel="boot/k", initrd="/i", rootfs="https://x.io/r")
    assert str(found) == "files:kernel=boot/k,initrd=/i,rootfs=https://x.io/r"


def test_boot_files_may_lack_a_rootfs() -> None:
    found = parse("files:initrd=/i,kernel=boot/k")
    assert found == FilesReference(kernel="boot/k", initrd="/i")
    assert str(found) == "files:kernel=boot/k,initrd=/i"
    assert str(anchored(found, Path("/etc"))) == "files:kernel=/etc/boot/k,initrd=/i"
    assert default_name(found) == "k"


def test_paths_count_from_the_folder_they_are_written_in() -> None:
    folder = Path("/etc/site")
    files = parse("files:kernel=k,initrd=/i,rootfs=https://x.io/r")
    assert str(anchored(files, folder)) == (
        "files:kernel=/etc/site/k,initrd=/i,rootfs=https://x.io/r"
    )
    for written, found in [
        ("oci:images:v4", "oci:/etc/site/images:v4"),
        ("dir:/rootfs", "dir:/rootfs"),
        ("iso:a.iso", "iso:/etc/site/a.iso"),
        ("iso:http://x.io/a.iso", "iso:http://x.io/a.iso"),
        ("quay.io/a/b:c", "quay.io/a/b:c"),
    ]:
        assert str(anchored(parse(written), folder)) == found


@pytest.mark.parametrize(
    "text",
    [
        "docker-archive:/a.tar:UPPER CASE",
        "docker-archive:/a.tar:x:y:",
        "dir:",
        "iso:",
        "iso:ftp://x.io/a.iso",
        "iso:https://x.io",
        "files:kernel=a,initrd=b,rootfs=",
        "files:kernel=a,initrd=b,rootfs=c,more=d",
        "files:kernel=a,kernel=b,initrd=b,rootfs=c",
        "files:kernel=a,initrd=b,root=c",
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
    if isinstance(reference, RegistryReference | LocalReference):
        assert parse(str(reference)) == reference


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("quay.io/kairos/debian:v4", "debian"),
        ("oci-archive:/srv/Kairos Debian.oci.tar", "kairos-debian"),
        ("oci:/srv/kairos/", "kairos"),
        ("oci:/", "image"),
        ("docker-archive:/srv/kairos.docker.tar:x:y", "kairos"),
        ("dir:/srv/rootfs", "rootfs"),
        ("iso:https://x.io/kairos-v4.iso?token=a/b", "kairos-v4"),
        ("files:kernel=k,initrd=i,rootfs=/srv/debian.squashfs", "debian"),
    ],
)
def test_an_image_is_named_after_the_last_word_of_its_source(text: str, name: str) -> None:
    assert default_name(parse(text)) == name


@pytest.mark.parametrize("port", ["0", "65536", "99999"])
def test_a_port_that_cannot_be_is_refused(port: str) -> None:
    with pytest.raises(InvalidValue, match="is no registry"):
        parse(f"localhost:{port}/x")
    with pytest.raises(InvalidValue, match="is no mirror"):
        check_mirror(f"mirror.lan:{port}")


@pytest.mark.parametrize("host", ["index.docker.io", "Docker.IO", "registry-1.docker.io"])
def test_dockers_registry_has_one_name_here(host: str) -> None:
    assert registry_host(host) == "docker.io"
    assert str(parse(f"{host}/library/x:1")) == "docker.io/library/x:1"


def test_logins_and_queries_of_addresses_are_not_shown() -> None:
    text = "files:kernel=http://joe:secret@h/k,initrd=http://h/i?sig=abc,rootfs=r"
    assert shown(text) == "files:kernel=http://***@h/k,initrd=http://h/i?***,rootfs=r"
    with pytest.raises(ImageProblem) as caught, naming("iso:http://joe:secret@h/x.iso"):
        raise ImageProblem("x")
    assert "secret" not in str(caught.value)


def test_the_hosts_of_a_reference_are_those_it_is_fetched_from() -> None:
    assert hosts_of(parse("quay.io/x")) == {"quay.io"}
    assert hosts_of(parse("iso:https://me:pw@h:8443/x.iso")) == {"h:8443"}
    assert hosts_of(parse("oci:x")) == set()
