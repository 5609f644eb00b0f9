from __future__ import annotations

import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import pytest

from kairos_netboot.boot.uimage import script_image


def test_the_header_proves_itself_and_the_script() -> None:
    image = script_image("echo hi\n", "alpha")
    assert struct.unpack(">I", image[:4]) == (0x27051956,)
    own, data = struct.unpack(">I", image[4:8])[0], struct.unpack(">I", image[24:28])[0]
    assert own == zlib.crc32(image[:4] + bytes(4) + image[8:64])
    assert data == zlib.crc32(image[64:])
    assert image[64:] == struct.pack(">2I", 8, 0) + b"echo hi\n"


@pytest.mark.parametrize("text", ["echo hi\n", "echo größe\n", "x" * 70_000])
def test_mkimage_reads_it(tmp_path: Path, text: str) -> None:
    if shutil.which("mkimage") is None:
        pytest.skip("mkimage is not installed (u-boot-tools)")
    path = tmp_path / "boot.scr.uimg"
    path.write_bytes(script_image(text, "kairos-netboot a name that is longer than 32"))
    done = subprocess.run(["mkimage", "-l", str(path)], capture_output=True, text=True, check=True)
    said = " ".join(done.stdout.split())
    assert "Image Name: kairos-netboot a name that is lo " in said
    assert "Image Type: AArch64 Linux Script (uncompressed)" in said
    assert f"Image 0: {len(text.encode())} Bytes" in said


def test_the_same_script_makes_the_same_image() -> None:
    assert script_image("x", "alpha") == script_image("x", "alpha")
