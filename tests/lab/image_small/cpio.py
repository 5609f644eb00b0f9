"""The archive that the kernel unpacks as its first root: cpio in its `newc` form."""

from __future__ import annotations

import stat


class Archive:
    def __init__(self) -> None:
        self._members: list[bytes] = []

    def directory(self, name: str) -> None:
        """With those above it; one that is there already does no harm."""
        parent = name.rpartition("/")[0]
        if parent:
            self.directory(parent)
        self._add(name, stat.S_IFDIR | 0o755)

    def file(self, name: str, data: bytes, mode: int = 0o644) -> None:
        self._add(name, stat.S_IFREG | mode, data)

    def device(self, name: str, major: int, minor: int) -> None:
        """A character device."""
        self._add(name, stat.S_IFCHR | 0o600, device=(major, minor))

    def data(self) -> bytes:
        end = _member(0, "TRAILER!!!", 0, b"", (0, 0))
        return b"".join([*self._members, end])

    def _add(
        self, name: str, mode: int, data: bytes = b"", device: tuple[int, int] = (0, 0)
    ) -> None:
        self._members.append(_member(len(self._members) + 1, name, mode, data, device))


def _member(inode: int, name: str, mode: int, data: bytes, device: tuple[int, int]) -> bytes:
    raw = name.encode() + b"\0"
    # inode, mode, uid, gid, links, time, size, device, the special file's own, name, no checksum
    fields = (inode, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(raw), 0)
    head = b"070701" + b"".join(b"%08x" % field for field in fields)
    return _padded(head + raw) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
