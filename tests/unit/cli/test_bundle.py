"""`bundle …`: a site from one state directory into another, with nothing else between them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from tarfile import TarInfo

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from typer.testing import CliRunner, Result

from kairos_netboot.boot.lifecycle import State
from kairos_netboot.boot.site import Image
from kairos_netboot.cli.main import app
from kairos_netboot.config.resources import load_recipes
from kairos_netboot.config.sitefile import load_site
from kairos_netboot.errors import (
    ImageProblem,
    InvalidValue,
    NetbootError,
    SiteMistake,
    UnknownName,
)
from kairos_netboot.store.store import Store
from kairos_netboot.values import Mac
from tests.bundles import at, files_of, forge, keep, made_image, tar_with, write_files
from tests.certificates import certificate
from tests.unit.boot.sample import DOCUMENT

KEY, OTHER_KEY = (ec.derive_private_key(number, ec.SECP256R1()) for number in (7, 8))
SITE = """\
images:
  debian: quay.io/kairos/debian:v4
  local: oci-archive:images/local.tar:v1
  made: dir:/srv/rootfs
profiles:
  server:
    image: debian
    cloud-config: templates/base.yaml
  other:
    image: local
    cloud-config: templates/base.yaml
nodes:
  alpha:
    macs: 52:54:00:00:00:01
    profile: server
  beta:
    macs: 52:54:00:00:00:02
    profile: other
registries:
  quay.io:
    ca: ca.pem
"""
Run = Callable[..., str]


CERTIFICATE = certificate()


@pytest.fixture
def run() -> Run:
    """What it prints; what it refuses is raised."""

    def run(state: Path, *arguments: str | Path) -> str:
        words = ["--state", state, *arguments]
        result: Result = CliRunner().invoke(app, list(map(str, words)))
        if isinstance(result.exception, NetbootError):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.stdout

    return run


@pytest.fixture
def central(tmp_path: Path) -> Path:
    """The builder's state directory; the site file's folder is beside it."""
    folder = tmp_path / "site"
    (folder / "templates").mkdir(parents=True)
    (folder / "site.yaml").write_text(SITE)
    (folder / "templates" / "base.yaml").write_text(DOCUMENT)
    (folder / "ca.pem").write_text(CERTIFICATE)
    fill(tmp_path / "central", folder / "site.yaml")
    return tmp_path / "central"


def fill(state: Path, site_file: Path, number: int = 1) -> None:
    """As `apply` would, but for the fetching and the squashing."""
    sources = load_site(site_file, load_recipes().recipes).images
    with closing(Store(state)) as store:
        for source in sources.values():
            made = None if source.name == "made" else made_image(number)
            keep(store, source, made, f"{source.name} {number}".encode())


@pytest.fixture
def bundle(run: Run, central: Path, tmp_path: Path) -> Path:
    export(run, central, tmp_path)
    return tmp_path / "b.tar"


def export(run: Run, central: Path, tmp_path: Path, *options: str | Path) -> str:
    site_file = tmp_path / "site" / "site.yaml"
    return run(central, "bundle", "export", tmp_path / "b.tar", "--site", site_file, *options)


def write_keys(folder: Path, key: ec.EllipticCurvePrivateKey) -> tuple[Path, Path]:
    private, public = folder / "key.pem", folder / "key.pub"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    spki = PublicFormat.SubjectPublicKeyInfo
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, spki))
    return private, public


def tree(folder: Path) -> dict[str, bytes | None]:
    """Every file, and every folder as None."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


@contextmanager
def unchanged(edge: Path) -> Iterator[None]:
    """The store and the site's folder are as they were, and nobody works on anything."""

    def look() -> object:
        with closing(Store(edge)) as store:
            return store.fleet(), store.blobs.all(), store.registries(), tree(edge / "site")

    before, beside = look(), sorted(path.name for path in edge.parent.iterdir())
    yield
    assert look() == before
    assert [path.name for path in edge.iterdir() if path.name.startswith(".")] == []
    assert sorted(path.name for path in edge.parent.iterdir()) == beside
    assert list((edge / "blobs" / "work").iterdir()) == []


def images_in(state: Path) -> dict[str, Image]:
    with closing(Store(state)) as store:
        images = dict(store.fleet().images)
        assert all(store.is_whole(image) for image in images.values())
        return images


def test_a_box_without_anything_serves_the_site(run: Run, bundle: Path, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "site")
    edge = tmp_path / "edge"
    said = run(edge, "bundle", "import", bundle)
    assert f"3 images; the site is in {edge}/site\n" in said
    assert tree(edge / "site") == {
        "site.yaml": SITE.encode(),
        "templates": None,
        "templates/base.yaml": DOCUMENT.encode(),
        "ca.pem": CERTIFICATE.encode(),
    }
    with closing(Store(edge)) as store:
        fleet = store.fleet()
        assert store.registries()["quay.io"].ca == str(edge / "site" / "ca.pem")
    for name, mac in (("alpha", "52:54:00:00:00:01"), ("beta", "52:54:00:00:00:02")):
        node = fleet.named(name)
        assert (node.state, node.macs) == (State.ARMED, (Mac(mac),))
    assert fleet.profiles["server"].templates[0].text == DOCUMENT
    there, here = images_in(tmp_path / "central"), images_in(edge)
    assert {
        name: replace(one, source=there[name].source, imported=False) for name, one in here.items()
    } == there
    assert here["debian"].content is not None


def test_apply_of_the_imported_site_changes_and_fetches_nothing(
    run: Run, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edge = tmp_path / "edge"
    run(edge, "bundle", "import", bundle)
    monkeypatch.chdir(edge)
    for spelling in (edge / "site" / "site.yaml", Path("site/site.yaml")):
        with unchanged(edge):
            assert run(edge, "apply", spelling) == "nothing to change\n"


@pytest.mark.parametrize("to", [False, True])
def test_the_same_bundle_again_changes_nothing(
    run: Run, bundle: Path, tmp_path: Path, to: bool
) -> None:
    edge = tmp_path / "edge"
    options = ("--to", tmp_path / "there") if to else ()
    run(edge, "bundle", "import", bundle, *options)
    with unchanged(edge):
        assert run(edge, "bundle", "import", bundle, *options).endswith("nothing to change\n")
    with closing(Store(edge)) as store:
        assert store.former_images() == {}


def test_a_newer_bundle_replaces_the_site_and_keeps_the_former_images(
    run: Run, central: Path, bundle: Path, tmp_path: Path
) -> None:
    edge, site_file = tmp_path / "edge", tmp_path / "site" / "site.yaml"
    run(edge, "bundle", "import", bundle)
    before = images_in(edge)
    fill(central, site_file, number=2)
    site_file.write_text(SITE.replace("alpha", "gamma"))
    (tmp_path / "site" / "ca.pem").rename(tmp_path / "site" / "new.pem")
    site_file.write_text(site_file.read_text().replace("ca.pem", "new.pem"))
    export(run, central, tmp_path)
    said = run(edge, "bundle", "import", bundle)
    assert "gamma" in said
    assert "ca.pem" not in tree(edge / "site")
    assert images_in(edge)["debian"].digest == made_image(2).top
    with closing(Store(edge)) as store:
        assert store.former_images() == {name: before[name] for name in before}


def test_the_site_can_go_elsewhere(run: Run, bundle: Path, tmp_path: Path) -> None:
    there = tmp_path / "deep" / "there"
    run(tmp_path / "edge", "bundle", "import", bundle, "--to", there)
    assert (there / "site.yaml").read_text() == SITE
    assert not (tmp_path / "edge" / "site").exists()
    assert run(tmp_path / "edge", "apply", there / "site.yaml") == "nothing to change\n"


def test_a_folder_with_other_files_is_not_replaced(run: Run, bundle: Path, tmp_path: Path) -> None:
    there = tmp_path / "there"
    (there / "templates").mkdir(parents=True)
    for name, data in {"notes": "mine", "site.yaml": SITE + "# mine\n"}.items():
        (there / name).write_text(data)
        with pytest.raises(InvalidValue, match=f"{there}/{name} is not as in the bundle"):
            run(tmp_path / "edge", "bundle", "import", bundle, "--to", there)
        (there / name).unlink()
    (there / "link").symlink_to("/nowhere")
    with pytest.raises(InvalidValue, match="link is not as in the bundle"):
        run(tmp_path / "edge", "bundle", "import", bundle, "--to", there)
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidValue, match="is no folder"):
        run(tmp_path / "edge", "bundle", "import", bundle, "--to", tmp_path / "file")
    assert not (tmp_path / "edge").exists()


# --- what is refused ---


def test_an_image_that_is_not_as_the_site_file_has_it_is_not_exported(
    run: Run, central: Path, tmp_path: Path
) -> None:
    site_file = tmp_path / "site" / "site.yaml"
    site_file.write_text(SITE.replace("debian:v4", "debian:v5"))
    with pytest.raises(UnknownName, match=r"'debian' is not here as the site file has it: .*apply"):
        export(run, central, tmp_path)
    site_file.write_text(SITE)
    with closing(Store(central)) as store:
        image = store.fleet().images["local"]
        store.blobs.remove(image.boot_files.rootfs.digest)
    with pytest.raises(UnknownName, match="'local' is not here"):
        export(run, central, tmp_path)
    assert not (tmp_path / "b.tar").exists()


def test_a_template_outside_of_the_folder_is_not_exported(
    run: Run, central: Path, tmp_path: Path
) -> None:
    (tmp_path / "base.yaml").write_text(DOCUMENT)
    site_file = tmp_path / "site" / "site.yaml"
    site_file.write_text(SITE.replace("templates/base.yaml", "../base.yaml"))
    with pytest.raises(SiteMistake, match=r"\.\./base\.yaml is outside .*: move it in"):
        export(run, central, tmp_path)


def test_only_the_right_signature_is_taken(run: Run, central: Path, tmp_path: Path) -> None:
    private, public = write_keys(tmp_path, KEY)
    (tmp_path / "other").mkdir()
    _, other = write_keys(tmp_path / "other", OTHER_KEY)
    edge, bundle = tmp_path / "edge", tmp_path / "b.tar"
    export(run, central, tmp_path)
    run(edge, "bundle", "import", bundle)
    with unchanged(edge), pytest.raises(ImageProblem, match=f"^{bundle}: it is not signed"):
        run(edge, "bundle", "import", bundle, "--verify-key", public)
    export(run, central, tmp_path, "--sign-key", private)
    with unchanged(edge), pytest.raises(ImageProblem, match="is not by this key"):
        run(edge, "bundle", "import", bundle, "--verify-key", other)
    with pytest.raises(ImageProblem):
        run(tmp_path / "new", "bundle", "import", bundle, "--verify-key", other)
    assert not (tmp_path / "new").exists()
    run(edge, "bundle", "import", bundle, "--verify-key", public)


def spoil(bundle: Path, part: str) -> Path:
    files = files_of(bundle)
    index = json.loads(files["index.json"])
    manifest = json.loads(files[at(index["manifests"][0]["digest"])])
    last = at(manifest["layers"][-1]["digest"])
    match part:
        case "cut":
            bundle.write_bytes(bundle.read_bytes()[: bundle.stat().st_size // 2])
            return bundle
        case "damaged":
            files[last] = files[last][:-1] + b"?"
        case "incomplete":
            del files[last]
    return write_files(bundle, files)


def site_of(text: str) -> bytes:
    return tar_with(
        [
            (TarInfo("site.yaml"), text.encode()),
            (TarInfo("templates/base.yaml"), DOCUMENT.encode()),
            (TarInfo("ca.pem"), CERTIFICATE.encode()),
        ]
    )


ODD: dict[str, Callable[[Path], Path]] = {
    "cut": lambda bundle: spoil(bundle, "cut"),
    "damaged": lambda bundle: spoil(bundle, "damaged"),
    "incomplete": lambda bundle: spoil(bundle, "incomplete"),
    "an image too few": lambda b: forge(b, config=lambda d: d["images"].pop("local")),
    "an image too many": lambda b: forge(
        b, config=lambda d: d["images"].update(more=d["images"]["made"])
    ),
    "another architecture": lambda b: forge(
        b, config=lambda d: d["images"]["made"]["facts"].update(arch="arm64")
    ),
    "a template from elsewhere": lambda b: forge(
        b, site=site_of(SITE.replace("templates/base.yaml", "/etc/hostname"))
    ),
    "a key from elsewhere": lambda b: forge(b, site=site_of(SITE.replace("ca.pem", "/etc/passwd"))),
    "a site file that is none": lambda b: forge(b, site=site_of("nonsense: [")),
    "a site file with mistakes": lambda b: forge(b, site=site_of(SITE + "oh: 1\n")),
    "no template": lambda b: forge(
        b,
        site=tar_with(
            [(TarInfo("site.yaml"), SITE.encode()), (TarInfo("ca.pem"), CERTIFICATE.encode())]
        ),
    ),
    "a file that is a folder": lambda b: forge(
        b, site=tar_with([(TarInfo("site.yaml"), b""), (TarInfo("site.yaml/x"), b"")])
    ),
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("before", [False, True])
def test_what_cannot_be_taken_over_changes_nothing(
    run: Run, bundle: Path, tmp_path: Path, odd: str, before: bool
) -> None:
    edge = tmp_path / "edge"
    with closing(Store(edge)):
        pass
    if before:
        run(edge, "bundle", "import", bundle)
        with closing(Store(edge)) as store:  # it has to be read again
            store.blobs.remove(store.fleet().images["made"].boot_files.rootfs.digest)
    ODD[odd](bundle)
    with unchanged(edge), pytest.raises(NetbootError) as raised:
        run(edge, "bundle", "import", bundle)
    assert "\n" not in str(raised.value)
    assert str(raised.value).startswith((f"{bundle}: ", "cannot write "))
    assert "/.site-" not in str(raised.value)


def test_an_image_that_must_be_signed_comes_in_by_a_signed_bundle_only(
    run: Run, central: Path, tmp_path: Path
) -> None:
    private, public = write_keys(tmp_path / "site", KEY)
    edge, site_file = tmp_path / "edge", tmp_path / "site" / "site.yaml"
    signed = "{source: quay.io/kairos/debian:v4, verify: key.pub}"
    site_file.write_text(SITE.replace("quay.io/kairos/debian:v4", signed))
    fill(central, site_file)
    export(run, central, tmp_path, "--sign-key", private)
    with pytest.raises(InvalidValue, match=r"'debian' must be signed .*--verify-key"):
        run(edge, "bundle", "import", tmp_path / "b.tar")
    run(edge, "bundle", "import", tmp_path / "b.tar", "--verify-key", public)
    site_file.write_text(SITE)
    fill(central, site_file)
    export(run, central, tmp_path)
    with unchanged(edge), pytest.raises(InvalidValue, match="'debian' must be signed"):
        run(edge, "bundle", "import", tmp_path / "b.tar")


def test_an_edge_box_exports_the_same_bytes_again(run: Run, bundle: Path, tmp_path: Path) -> None:
    edge = tmp_path / "edge"
    run(edge, "bundle", "import", bundle)
    again = tmp_path / "again.tar"
    run(edge, "bundle", "export", again, "--site", edge / "site" / "site.yaml")
    assert again.read_bytes() == bundle.read_bytes()
