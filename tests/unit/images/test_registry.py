from __future__ import annotations

from pathlib import Path

import pytest

from kairos_netboot.boot.site import RegistryHost
from kairos_netboot.errors import ImageProblem
from kairos_netboot.images.reference import RegistryReference
from kairos_netboot.images.registry import open_registry, source_of
from kairos_netboot.images.repository import Repository
from kairos_netboot.values import Digest
from tests.images_factory import image, layer
from tests.registries import Waiting, answer
from tests.unit.images.test_repository import place

MADE = image([layer([])])
REFERENCE = RegistryReference(host="r.example", name="a/b", tag="c")


def opening(environ: dict[str, str], **hosts: RegistryHost) -> None:
    """Open it, and ask for nothing."""
    known = {registry.host: registry for registry in hosts.values()}
    with open_registry(
        REFERENCE, insecure=False, hosts=known, tell=lambda told: None, environ=environ
    ):
        pass


def test_opening_asks_nobody(tmp_path: Path) -> None:
    opening({"HOME": str(tmp_path)})


def test_a_broken_login_file_is_told_before_anything_is_asked(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ImageProblem, match="mend or remove it"):
        opening({"DOCKER_CONFIG": str(tmp_path)})


@pytest.mark.parametrize("host", ["r.example", "m.example"])
def test_an_authority_that_cannot_be_read_is_told_before_anything_is_asked(
    tmp_path: Path, host: str
) -> None:
    mirrored = RegistryHost(host="r.example", mirrors=("m.example",))
    broken = RegistryHost(host=host, mirrors=mirrored.mirrors, ca=str(tmp_path / "none.pem"))
    with pytest.raises(ImageProblem, match=f"the CA for {host}, .*none.pem"):
        opening({"HOME": str(tmp_path)}, r=mirrored, x=broken)


@pytest.mark.parametrize(
    ("digest", "path"), [(None, "manifests/c"), (MADE.top, f"manifests/{MADE.top}")]
)
def test_the_digest_wins_over_the_tag(digest: Digest | None, path: str) -> None:
    asked: list[str] = []

    def answers(url: str) -> object:
        asked.append(url)
        return answer(body=MADE.blobs[MADE.top])

    repository = Repository(
        [place("r", answers)],  # type: ignore[arg-type]
        lambda told: None,
        Waiting().clock(),
    )
    reference = RegistryReference(host="r", name="a/b", tag="c", digest=digest)
    assert source_of(repository, reference).top().digest == MADE.top
    assert asked == [f"https://r/v2/x/{path}"]
