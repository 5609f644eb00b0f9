"""The site file's `images` and `registries`."""

from __future__ import annotations

from ..boot.site import Compression, ImageSource, RegistryHost
from ..images import reference as references
from ..images.keys import check_authority, load_public_key
from .fields import checked, choice, flag, platform, required, texts
from .files import Files
from .keys import names
from .located import Located


def image(name: str, at: Located, files: Files) -> ImageSource:
    checked(at, references.check_name, name)
    if not at.empty and isinstance(at.value(), str):
        return ImageSource(name=name, reference=_reference(at, files))
    fields = at.fields(*names("image"))
    return ImageSource(
        name=name,
        reference=_reference(required(at, fields, "source"), files),
        arch=platform(fields.get("platform")),
        insecure=flag(fields, "insecure", default=False),
        compression=choice(fields, "compression", Compression.AUTO),
        verify_key=_key(fields["verify"], files) if "verify" in fields else "",
    )


def _reference(at: Located, files: Files) -> str:
    """A file's path counts from the site file, wherever the command is called."""
    reference = checked(at, references.parse, at.text())
    if isinstance(reference, references.RegistryReference):
        return at.text()
    return str(references.anchored(reference, files.folder))


def _key(at: Located, files: Files) -> str:
    """The text of a public key beside the site file."""
    text = files.text(at)
    checked(at, load_public_key, text, at.text())
    return text


def registry(host: str, at: Located, files: Files) -> RegistryHost:
    fields = at.fields(*names("registry"))
    mirrors = texts(fields.get("mirrors"))
    return RegistryHost(
        host=checked(at, references.registry_host, host),
        mirrors=tuple(checked(m, references.check_mirror, m.text()) for m in mirrors),
        ca=authority(fields["ca"], files) if "ca" in fields else "",
        insecure=flag(fields, "insecure", default=False),
    )


def authority(at: Located, files: Files) -> str:
    """The path of a PEM file with the authority of a certificate."""
    checked(at, check_authority, files.text(at), at.text())
    return files.path(at)
