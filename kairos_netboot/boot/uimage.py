"""U-Boot's legacy image format, as far as a boot script needs it (U-Boot's include/image.h)."""

from __future__ import annotations

import struct
import zlib

# Magic, header's CRC, time, size, load address, entry point, data's CRC, OS, architecture, type,
# compression, name.
_HEADER = struct.Struct(">7I4B32s")
_MAGIC = 0x27051956
_LINUX, _SCRIPT, _UNCOMPRESSED = 5, 6, 0
_ARM64 = 22  # of a script, U-Boot looks at the type alone


def script_image(text: str, name: str) -> bytes:
    """A script for U-Boot's `source`. No time in it: the same text gives the same bytes."""
    script = text.encode()
    # A list of the parts' sizes, ended by 0.
    data = struct.pack(">2I", len(script), 0) + script
    title = name.encode("ascii", "replace")[:32]
    kind = (_LINUX, _ARM64, _SCRIPT, _UNCOMPRESSED)

    def header(own_crc: int) -> bytes:
        body = (_MAGIC, own_crc, 0, len(data), 0, 0, zlib.crc32(data), *kind, title)
        return _HEADER.pack(*body)

    # The header's CRC is counted with 0 in its own place.
    return header(zlib.crc32(header(0))) + data
