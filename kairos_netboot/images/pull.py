"""From a reference to boot files in the store."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

from ..boot.site import Image, ImageSource, RegistryHost
from ..errors import ImageProblem
from ..store.store import Store
from .container import from_container
from .directory import kernel_config, read_directory, write_directory
from .docker_archive import open_docker_archive
from .files import take_files
from .iso import extract_iso
from .layout import open_archive, open_layout
from .made import Made, finish
from .merge import content_size, newest_time
from .progress import Progress, Tell
from .reference import (
    FileReference,
    FilesReference,
    LocalReference,
    Reference,
    RegistryReference,
    Scheme,
    hosts_of,
    is_url,
    parse,
)
from .source import Source, naming
from .squashfs import build, choose, command, find_builder
from .uki import take_medium

Fetch: TypeAlias = Callable[[str, Path], None]


def add_image(
    wanted: ImageSource, store: Store, hosts: Mapping[str, RegistryHost], tell: Tell
) -> Image:
    """Make boot files of an image, or take those that are here, and keep it under its name.

    If it raises (a NetbootError), the store is as it was.
    """
    reference = parse(wanted.reference)
    hosts = with_authority(hosts, reference, wanted.ca)
    with naming(str(reference)), store.blobs.guard():
        match reference:
            case RegistryReference():
                with _registry(reference, wanted, hosts, tell) as source:
                    return from_container(source, wanted, store, tell)
            case LocalReference(scheme=scheme) if scheme in _LAYOUTS:
                return from_container(_LAYOUTS[scheme](reference), wanted, store, tell)
            case _:
                image = _from_files(reference, wanted, store, hosts, tell)
                store.add_image(image)
                return image


def with_authority(
    hosts: Mapping[str, RegistryHost], reference: Reference, ca: str
) -> Mapping[str, RegistryHost]:
    """The hosts, with the authority that was named for those of this one image."""
    if not ca:
        return hosts
    added = {
        host: replace(hosts.get(host) or RegistryHost(host=host), ca=ca)
        for host in hosts_of(reference)
    }
    return {**hosts, **added}


_LAYOUTS = {
    Scheme.LAYOUT: open_layout,
    Scheme.ARCHIVE: open_archive,
    Scheme.DOCKER_ARCHIVE: open_docker_archive,
}


def _registry(
    reference: RegistryReference,
    wanted: ImageSource,
    hosts: Mapping[str, RegistryHost],
    tell: Tell,
) -> AbstractContextManager[Source]:
    # oras takes 0.2 s to import, which every other command would pay for.
    from .registry import open_registry

    return open_registry(reference, insecure=wanted.insecure, hosts=hosts, tell=tell)


def _from_files(
    reference: LocalReference | FileReference | FilesReference,
    wanted: ImageSource,
    store: Store,
    hosts: Mapping[str, RegistryHost],
    tell: Tell,
) -> Image:
    """What came without a manifest: nothing of it can be signed, or served to other registries."""
    if wanted.verify_key:
        raise ImageProblem(
            "only images of registries and OCI layouts carry signatures: leave the key out"
        )
    fetch = partial(_download, hosts, tell)
    with store.blobs.scratch() as scratch:
        match reference:
            case LocalReference():
                made = _squash_directory(reference.path, wanted, store, scratch, tell)
            case FileReference(scheme=Scheme.UKI):
                return take_medium(reference, wanted, store.blobs, scratch, fetch)
            case FileReference():
                made = _open_iso(reference, scratch, fetch, tell)
            case FilesReference():
                parts = take_files(reference, scratch, fetch)
                made = Made(
                    kernel=parts.kernel,
                    initrd=parts.initrd,
                    rootfs=parts.rootfs,
                    format=parts.format,
                )
        return finish(made, wanted, store.blobs, scratch)


def _squash_directory(
    path: Path, wanted: ImageSource, store: Store, scratch: Path, tell: Tell
) -> Made:
    directory = read_directory(path, without=store.directory, tell=tell)
    rootfs, total = scratch / "rootfs.squashfs", content_size(directory.root)
    compression = choose(wanted.compression, kernel_config(directory))
    store.blobs.require(total)

    def report(done: int) -> None:
        tell(Progress(step="write squashfs", done=done, total=total))

    jobs = os.cpu_count() or 1
    argv = command(find_builder(), compression, rootfs, directory.root, jobs)
    build(argv, lambda pipe: write_directory(directory, pipe, report), newest_time(directory.root))
    return Made(rootfs=rootfs)


def _open_iso(reference: FileReference, scratch: Path, fetch: Fetch, tell: Tell) -> Made:
    path = Path(reference.place)
    if is_url(reference.place):
        path = scratch / "iso"
        fetch(reference.place, path)

    def report(done: int, total: int) -> None:
        tell(Progress(step="read ISO", done=done, total=total))

    parts = extract_iso(path, scratch, report)
    return Made(kernel=parts.kernel, initrd=parts.initrd, rootfs=parts.rootfs)


def _download(hosts: Mapping[str, RegistryHost], tell: Tell, url: str, path: Path) -> None:
    from .fetch import download  # it brings in requests

    download(url, path, tell, hosts=hosts)
