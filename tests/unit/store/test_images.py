"""Images in the store: their versions, who needs them, and what nobody needs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kairos_netboot.boot.fleet import Event, Node
from kairos_netboot.boot.lifecycle import Kind
from kairos_netboot.boot.site import Compression, Image, NodeSpec, Site
from kairos_netboot.boot.tokens import BootTokens
from kairos_netboot.errors import StoreProblem, UnknownName
from kairos_netboot.store.store import Store
from kairos_netboot.values import Arch, Blob, Digest
from tests.unit.boot.sample import MAC, PROFILE, SPEC, STRANGER
from tests.unit.store.sample import keep, make_image

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SITE = Site(images={}, profiles={"server": PROFILE}, nodes={"alpha": SPEC})


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "state")
    yield opened
    opened.close()


def added(store: Store, version: str, name: str = "debian", layers: int = 0) -> Image:
    image = make_image(store.blobs, version, name, layers)
    store.add_image(image)
    return image


def tell(store: Store, node: Node, kind: Kind) -> None:
    store.record([(Event(node=node.id, at=NOW, kind=kind, text=str(kind)), None)])


def begin(store: Store, image: Image, name: str = "alpha") -> Node | None:
    node = store.fleet().named(name)
    event = Event(node=node.id, at=NOW, kind=Kind.BOOT_STARTED, text="begun")
    return store.begin_boot(node, BootTokens("a" * 32), event, image)


def digests(*images: Image) -> set[Digest]:
    return {blob.digest for image in images for blob in image.blobs()}


def kept(store: Store) -> set[Digest]:
    """What is left after a collection."""
    store.collect()
    return {blob.digest for blob in store.blobs.all()}


# Versions


@pytest.mark.parametrize("layers", [0, 1, 3])
def test_an_image_comes_back_as_it_was_written(store: Store, layers: int) -> None:
    image = make_image(store.blobs, "v1", layers=layers)
    source = replace(
        image.source,
        arch=Arch.ARM64,
        insecure=True,
        compression=Compression.XZ,
        verify_key="-----BEGIN PUBLIC KEY-----",
    )
    facts = replace(image.facts, arch=Arch.ARM64, efi_stub=False, kernel_version="6.1")
    image = replace(image, source=source, facts=facts)
    store.add_image(image)
    assert store.fleet().images == {"debian": image}


def test_an_image_whose_files_are_gone_is_not_put_in_service(store: Store) -> None:
    image = make_image(store.blobs, "v1", layers=1)
    store.blobs.remove(next(iter(image.content.blobs)).digest if image.content else Digest.of(b""))
    with pytest.raises(StoreProblem, match="files of image 'debian' are not here any more"):
        store.add_image(image)
    assert store.fleet().images == {}


def test_an_update_keeps_the_former_version_and_only_that(store: Store) -> None:
    first, second, third = (added(store, version) for version in ("v1", "v2", "v3"))
    assert store.fleet().images == {"debian": third}
    assert store.former_images() == store.fleet().former == {"debian": second}
    assert kept(store) == digests(second, third)
    assert not kept(store) & digests(first)


def test_the_same_image_again_is_no_update(store: Store) -> None:
    first, second = added(store, "v1"), added(store, "v2")
    store.add_image(second)
    other = replace(second, source=replace(second.source, verify_key="key"))
    store.add_image(other)
    assert store.fleet().images == {"debian": other}
    assert store.former_images() == {"debian": first}


def test_the_same_manifest_with_other_files_is_an_update(store: Store) -> None:
    first = added(store, "v1")
    packed = replace(make_image(store.blobs, "v1 in xz"), digest=first.digest)
    store.add_image(packed)
    assert store.former_images() == {"debian": first}


def test_a_rollback_swaps_and_another_swaps_again(store: Store) -> None:
    first, second = added(store, "v1"), added(store, "v2")
    assert store.rollback_image("debian") == first
    assert (store.fleet().images, store.former_images()) == ({"debian": first}, {"debian": second})
    assert store.rollback_image("debian") == second
    assert (store.fleet().images, store.former_images()) == ({"debian": second}, {"debian": first})


def test_without_a_former_version_there_is_no_rollback(store: Store) -> None:
    added(store, "v1")
    for name in ("debian", "nothing"):
        with pytest.raises(UnknownName, match=f"image '{name}' has no former .* images add"):
            store.rollback_image(name)


def test_a_former_version_whose_files_are_gone_stays_out_of_service(store: Store) -> None:
    first, second = added(store, "v1"), added(store, "v2")
    store.blobs.remove(first.boot_files.rootfs.digest)
    with pytest.raises(StoreProblem, match="not here any more"):
        store.rollback_image("debian")
    assert store.fleet().images == {"debian": second}


# Work that is done already


def test_an_image_made_once_is_not_made_again_under_another_name(store: Store) -> None:
    image = added(store, "v1", layers=1)
    wanted = replace(image.source, name="other", reference="registry.example/debian", insecure=True)
    found = store.image_of(wanted, image.digest)
    assert found == replace(image, name="other", source=wanted)


def test_a_former_image_counts_too(store: Store) -> None:
    first, _ = added(store, "v1"), added(store, "v2")
    assert store.image_of(first.source, first.digest) == first


def test_what_was_made_another_way_does_not_count(store: Store) -> None:
    image = added(store, "v1")
    source = image.source
    assert store.image_of(source, Digest.of(b"another")) is None
    assert store.image_of(replace(source, arch=Arch.ARM64), image.digest) is None
    assert store.image_of(replace(source, compression=Compression.XZ), image.digest) is None


def test_what_has_lost_a_layer_does_not_count(store: Store) -> None:
    image = added(store, "v1", layers=2)
    assert image.content is not None
    store.blobs.remove(image.content.blobs[1].digest)
    assert store.image_of(image.source, image.digest) is None


# Removal


def test_a_removed_image_is_gone_with_its_former(store: Store) -> None:
    added(store, "v1"), added(store, "v2")
    store.remove_image("debian")
    assert (store.fleet().images, store.former_images()) == ({}, {})
    assert kept(store) == set()
    with pytest.raises(UnknownName, match="images list"):
        store.remove_image("debian")


def test_an_image_that_a_profile_names_is_not_removed(store: Store) -> None:
    image = added(store, "v1")
    store.apply(SITE, NOW)
    with pytest.raises(StoreProblem, match=r"'server' installs image 'debian': .*site file"):
        store.remove_image("debian")
    store.apply(replace(SITE, profiles={}, nodes={}), NOW)
    assert store.fleet().images == {"debian": image}
    store.remove_image("debian")


@pytest.mark.parametrize("updated", [False, True], ids=["present", "former"])
def test_an_image_that_is_being_installed_is_not_removed(store: Store, updated: bool) -> None:
    image = added(store, "v1")
    store.apply(SITE, NOW)
    node = begin(store, image)
    assert node
    if updated:
        added(store, "v2")
    store.apply(replace(SITE, profiles={}), NOW)
    with pytest.raises(StoreProblem, match="alpha is being installed with image 'debian'"):
        store.remove_image("debian")
    tell(store, node, Kind.INSTALL_FINISHED)
    store.remove_image("debian")


# Garbage


def test_what_no_image_needs_is_told_before_it_is_deleted(store: Store) -> None:
    image = added(store, "v1", layers=2)
    left = keep(store.blobs, b"left", b"over")
    garbage = store.garbage()
    assert set(garbage) == set(left)
    assert store.collect() == garbage
    assert {blob.digest for blob in store.blobs.all()} == digests(image)
    assert list((store.blobs.root / "work").iterdir()) == []
    assert store.garbage() == ()


def test_blobs_that_two_images_share_stay_until_both_are_gone(store: Store) -> None:
    first = added(store, "v1", layers=1)
    second = replace(make_image(store.blobs, "v2", "other"), content=first.content)
    store.add_image(second)
    store.remove_image("debian")
    assert kept(store) == digests(second)


def test_what_is_being_added_is_not_collected(store: Store) -> None:
    with store.blobs.guard():
        image = make_image(store.blobs, "v1")
        with pytest.raises(StoreProblem, match="an image is being added"):
            store.collect()
        store.add_image(image)
    assert kept(store) == digests(image)


def test_what_is_being_made_outlives_a_collection(store: Store) -> None:
    with store.blobs.scratch() as scratch:
        (scratch / "half").write_bytes(b"half")
        store.collect()
        assert (scratch / "half").exists()


def test_what_a_node_boots_outlives_two_updates(store: Store) -> None:
    first = added(store, "v1", layers=1)
    store.apply(SITE, NOW)
    node = begin(store, first)
    assert node
    second, third = added(store, "v2"), added(store, "v3")
    assert kept(store) == digests(first, second, third)
    tell(store, node, Kind.INSTALL_STARTED)
    assert kept(store) == digests(first, second, third)
    tell(store, node, Kind.INSTALL_FINISHED)
    assert kept(store) == digests(second, third)


def test_all_that_the_starts_of_one_arming_fetch_is_kept(store: Store) -> None:
    first = added(store, "v1")
    store.apply(SITE, NOW)
    assert begin(store, first)
    second = added(store, "v2")
    assert begin(store, second)
    added(store, "v3")
    fourth = added(store, "v4")
    assert digests(first, second) <= kept(store)
    store.rearm("alpha", NOW)
    assert begin(store, fourth)
    assert not kept(store) & digests(first, second)


def test_a_node_that_failed_keeps_nothing(store: Store) -> None:
    first = added(store, "v1")
    store.apply(SITE, NOW)
    node = begin(store, first)
    assert node
    second, third = added(store, "v2"), added(store, "v3")
    tell(store, node, Kind.BRAKED)
    assert kept(store) == digests(second, third)


def test_a_node_taken_out_of_the_site_in_mid_install_still_counts(store: Store) -> None:
    first = added(store, "v1")
    store.apply(SITE, NOW)
    begin(store, first)
    store.apply(replace(SITE, nodes={}), NOW)
    added(store, "v2"), added(store, "v3")
    assert digests(first) <= kept(store)


def test_the_boots_of_two_cards_that_are_one_machine_count_together(store: Store) -> None:
    first = added(store, "v1")
    beta = NodeSpec(name="beta", macs=(STRANGER,), profile="server")
    store.apply(replace(SITE, nodes={"alpha": SPEC, "beta": beta}), NOW)
    begin(store, first, "beta")
    begin(store, second := added(store, "v2"))
    both = replace(SPEC, macs=(MAC, STRANGER))
    store.apply(replace(SITE, nodes={"alpha": both}), NOW)
    added(store, "v3"), added(store, "v4")
    assert digests(first, second) <= kept(store)


def test_no_boot_begins_with_an_image_that_is_not_kept_any_more(store: Store) -> None:
    first = added(store, "v1")
    store.apply(SITE, NOW)
    second, third = added(store, "v2"), added(store, "v3")
    assert begin(store, first) is None
    assert store.fleet().named("alpha").boots == 0
    assert begin(store, second)  # it was in service a moment ago
    assert begin(store, third)


VERSIONS = st.sampled_from(["v1", "v2", "v3"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), VERSIONS),
        st.tuples(st.sampled_from(["rollback", "begin", "finish", "rearm", "collect"]), st.none()),
    ),
    max_size=12,
)


@given(STEPS)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_happens_all_that_is_in_use_is_here(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str | None]]
) -> None:
    store = Store(tmp_path_factory.mktemp("state") / "state")
    store.apply(SITE, NOW)
    started: list[Image] = []
    for step, version in steps:
        started = _take(store, step, version, started)
        fleet = store.fleet()
        in_use = (*fleet.images.values(), *fleet.former.values(), *started)
        assert digests(*in_use) <= {blob.digest for blob in store.blobs.all()}
    assert kept(store) == digests(*in_use) if steps else True
    store.close()


def _take(store: Store, step: str, version: str | None, started: list[Image]) -> list[Image]:
    """One step; the images that the node's present starts may still fetch."""
    present = store.fleet().images.get("debian")
    if step == "add" and version:
        added(store, version)
    elif step == "rollback" and store.former_images():
        store.rollback_image("debian")
    elif step == "begin" and present and begin(store, present):
        return [*started, present]
    elif step == "finish" and started:
        tell(store, store.fleet().named("alpha"), Kind.INSTALL_FINISHED)
        return []
    elif step == "rearm":
        store.rearm("alpha", NOW)
        return []
    elif step == "collect":
        store.collect()
    return started


def test_a_blob_is_told_with_its_size(store: Store) -> None:
    (blob,) = keep(store.blobs, b"12345")
    assert store.garbage() == (Blob(digest=Digest.of(b"12345"), size=5),)
    assert blob.size == 5


# Whom to trust


def test_what_came_in_a_bundle_is_never_taken_for_an_image_that_was_made(store: Store) -> None:
    image = make_image(store.blobs, "v1", layers=1)
    store.add_image(replace(image, imported=True))
    assert store.fleet().images["debian"].imported
    assert store.image_of(image.source, image.digest) is None
    store.add_image(replace(image, name="made", source=replace(image.source, name="made")))
    assert store.image_of(image.source, image.digest) is not None


def test_a_former_version_that_was_not_checked_does_not_come_back_unseen(store: Store) -> None:
    added(store, "v1")
    signed = make_image(store.blobs, "v2")
    store.add_image(replace(signed, source=replace(signed.source, verify_key="KEY")))
    with pytest.raises(StoreProblem, match="was not checked with the key"):
        store.rollback_image("debian")
    assert store.fleet().images["debian"].digest == signed.digest
