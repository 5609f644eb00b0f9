from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from kairos_netboot.boot.site import RegistryHost
from kairos_netboot.errors import ImageProblem
from kairos_netboot.images.endpoints import Endpoint, endpoints_for, trust_for


def bases(host: str, *, insecure: bool = False, **hosts: RegistryHost) -> list[str]:
    known = {registry.host: registry for registry in hosts.values()}
    return [e.base for e in endpoints_for(host, insecure=insecure, hosts=known)]


def test_a_registry_is_asked_over_tls() -> None:
    assert bases("r.example:5000") == ["https://r.example:5000/v2/"]


def test_dockers_registry_has_its_api_under_another_name() -> None:
    (endpoint,) = endpoints_for("docker.io", insecure=False, hosts={})
    assert endpoint == Endpoint(host="docker.io", base="https://registry-1.docker.io/v2/")
    assert str(endpoint) == "the registry docker.io"


def test_plain_http_is_asked_for_by_the_image_or_for_the_host() -> None:
    assert bases("r.example", insecure=True) == ["http://r.example/v2/"]
    assert bases("r.example", r=RegistryHost(host="r.example", insecure=True)) == [
        "http://r.example/v2/"
    ]


def test_mirrors_come_first_in_their_order() -> None:
    registry = RegistryHost(
        host="docker.io",
        mirrors=("m.example:5000", "https://n.example/cache/hub/", "http://o.example"),
    )
    assert bases("docker.io", r=registry) == [
        "https://m.example:5000/v2/",
        "https://n.example/v2/cache/hub/",
        "http://o.example/v2/",
        "https://registry-1.docker.io/v2/",
    ]


def test_an_insecure_image_does_not_make_its_mirrors_insecure() -> None:
    registry = RegistryHost(host="r.example", mirrors=("m.example",))
    assert bases("r.example", insecure=True, r=registry) == [
        "https://m.example/v2/",
        "http://r.example/v2/",
    ]


def test_a_mirror_is_a_host_of_its_own() -> None:
    registry = RegistryHost(host="r.example", mirrors=("m.example", "https://m.example"))
    mirror = RegistryHost(host="m.example", insecure=True, mirrors=("never.example",))
    assert bases("r.example", r=registry, m=mirror) == [
        "http://m.example/v2/",
        "https://m.example/v2/",
        "https://r.example/v2/",
    ]


def test_a_mirror_says_that_it_is_one() -> None:
    registry = RegistryHost(host="r.example", mirrors=("m.example:5000/x",))
    mirror, own = endpoints_for("r.example", insecure=False, hosts={"r.example": registry})
    assert (str(mirror), mirror.mirror, mirror.plain) == ("the mirror m.example:5000", True, False)
    assert (str(own), own.mirror) == ("the registry r.example", False)


# --- whose certificates are trusted ---


def test_without_anything_the_systems_authorities_are_trusted(tmp_path: Path) -> None:
    found = trust_for("r.example", {}, [tmp_path / "no", tmp_path]).cert_store_stats()
    system = ssl.create_default_context().cert_store_stats()
    assert found["x509_ca"] >= system["x509_ca"] > 0


@pytest.mark.parametrize(
    ("content", "why"), [(None, "No such file"), (b"words", "no certificate in PEM"), (b"", "")]
)
def test_an_authority_that_cannot_be_read_is_named(
    tmp_path: Path, content: bytes | None, why: str
) -> None:
    path = tmp_path / "company.pem"
    if content is not None:
        path.write_bytes(content)
    hosts = {"r.example": RegistryHost(host="r.example", ca=str(path))}
    with pytest.raises(ImageProblem, match=rf"^the CA for r.example, {path}, .*{why}"):
        trust_for("r.example", hosts, [])
    trust_for("other.example", hosts, [])


def test_authorities_are_found_where_podman_and_docker_look(tmp_path: Path) -> None:
    folder = tmp_path / "r.example:5000"
    folder.mkdir()
    (folder / "client.cert").write_text("not looked at")
    trust_for("r.example:5000", {}, [tmp_path])
    (folder / "ca.crt").write_text("looked at")
    with pytest.raises(ImageProblem, match=f"{folder}/ca.crt"):
        trust_for("r.example:5000", {}, [tmp_path])
    trust_for("r.example", {}, [tmp_path])
