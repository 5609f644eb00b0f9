"""Every address the server hands out. The web's routes and the tests are held against these."""

from __future__ import annotations

from dataclasses import dataclass

from ..values import Blob, Mac

# What the boot files are called in addresses, and so on the machine.
BOOT_FILES = ("kernel", "initrd", "rootfs.squashfs", "rootfs.img")

# The small GRUB that hands a UEFI machine over to its disk.
DISK_STARTER = "disk-x64.efi"


def tftp_path(mac: Mac, blob: Blob, name: str) -> str:
    """A boot file by TFTP: the path it has by HTTP."""
    return f"boot/{mac.hyphens}/{blob.digest.hex}/{name}"


@dataclass(frozen=True, slots=True)
class Urls:
    """`base` is what the machine reaches us under: `http://192.0.2.1:8080`, no slash at its end."""

    base: str

    def script(self, mac: Mac) -> str:
        return f"{self.base}/boot/{mac.hyphens}/script.ipxe"

    def inventory(self, mac: Mac) -> str:
        """Where a machine of nobody's tells what it is; what it knows follows as a query."""
        return f"{self.base}/inventory/{mac.hyphens}"

    def blob(self, mac: Mac, blob: Blob, name: str) -> str:
        """The MAC tells whose timeline a download belongs to; the digest alone names the bytes.

        dracut calls the file it stores by the last part, and Kairos' documentation by these names.
        """
        return f"{self.base}/{tftp_path(mac, blob, name)}"

    def loader(self, name: str) -> str:
        return f"{self.base}/loaders/{name}"

    def first(self, mac: Mac, name: str) -> str:
        """A boot loader's file for UEFI HTTP Boot; what it asks for next is beside it."""
        return f"{self.base}/boot/{mac.hyphens}/{name}"

    def document(self, token: str, name: str = "cloud-config.yaml") -> str:
        return f"{self.base}/documents/{token}/{name}"

    def report(self, token: str) -> str:
        """The stem: the event's name follows after a slash."""
        return f"{self.base}/reports/{token}"
