"""Our TFTP server beside atftpd and dnsmasq, on this machine: run it by hand, as root.

python tests/bench/tftp.py [MEGABYTES]

Prints MB/s, median of five with the runs taken in turn, and the ratio to ours. Servers that are
not installed are left out. dnsmasq's port is fixed at 69, so it all runs in a network namespace.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from kairos_netboot.server import udp
from kairos_netboot.server.content import OpenFile
from kairos_netboot.server.tftp import Wanted, serve_tftp
from kairos_netboot.tftp.transfer import Limits

ADDRESSES = {"ours": "127.0.0.1", "atftpd": "127.0.0.2", "dnsmasq": "127.0.0.3"}
NAME = "file.bin"
CLIENTS = {
    "curl, lock-step, 1024 (as GRUB asks)": "curl -sS --tftp-blksize 1024 -o OUT "
    "tftp://ADDRESS/file.bin",
    "curl, lock-step, 1468": "curl -sS --tftp-blksize 1468 -o OUT tftp://ADDRESS/file.bin",
    **{
        f"atftp, window {window}, 1468": "atftp --option 'blksize 1468' "
        f"--option 'windowsize {window}' -g -r file.bin -l OUT ADDRESS 69"
        for window in (4, 16)
    },
}


def serve_ours(folder: Path) -> None:
    async def lookup(wanted: Wanted) -> OpenFile | None:
        return OpenFile.at(folder / NAME) if wanted.name == NAME else None

    limits = Limits(block_size=1468, window=64)
    sock = udp.bind(ADDRESSES["ours"], 69, option="--port")
    asyncio.run(serve_tftp(sock, lookup, lambda _: None, limits=limits))


def command_for(server: str, folder: Path) -> list[str] | None:
    address, path = ADDRESSES[server], shutil.which(server)
    if server == "ours":
        return [sys.executable, __file__, "--serve", str(folder)]
    if path is None:
        return None
    if server == "atftpd":
        words = f"--daemon --no-fork --port 69 --bind-address {address} --user root.root"
    else:
        words = (
            "--keep-in-foreground --conf-file=/dev/null --pid-file= --port=0 --user=root"
            f" --group=root --bind-interfaces --listen-address={address}"
            f" --log-facility=- --enable-tftp --tftp-root={folder}"
        )
    return [path, *words.split(), *([str(folder)] if server == "atftpd" else [])]


def is_bound(address: str) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind((address, 69))
        except OSError:
            return True
        return False


def rate(client: str, address: str, folder: Path) -> float:
    out, size = folder / "out", (folder / NAME).stat().st_size
    out.unlink(missing_ok=True)
    line = client.replace("OUT", str(out)).replace("ADDRESS", address)
    began = time.perf_counter()
    subprocess.run(line, shell=True, check=True, capture_output=True)
    seconds = time.perf_counter() - began
    assert out.stat().st_size == size, f"{line}: {out.stat().st_size} of {size} bytes"
    return size / seconds / 1e6


def compare(folder: Path) -> None:
    with ExitStack() as stack:
        servers = []
        for server, address in ADDRESSES.items():
            words = command_for(server, folder)
            if words is not None:
                process = stack.enter_context(subprocess.Popen(words))
                stack.callback(process.terminate)
                while not is_bound(address):
                    assert process.poll() is None, f"{server} has ended"
                    time.sleep(0.05)
                servers.append(server)
        for title, client in CLIENTS.items():
            rates: dict[str, list[float]] = {server: [] for server in servers}
            for _ in range(5):
                for server in servers:
                    rates[server].append(rate(client, ADDRESSES[server], folder))
            medians = {server: statistics.median(found) for server, found in rates.items()}
            shown = (f"{s} {m:.1f} MB/s ({m / medians['ours']:.2f})" for s, m in medians.items())
            sys.stdout.write(f"{title}: {', '.join(shown)}\n")


def main() -> None:
    if sys.argv[1:2] == ["--serve"]:
        serve_ours(Path(sys.argv[2]))
    elif os.environ.get("TFTP_BENCH_INSIDE"):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            folder.chmod(0o755)
            (folder / NAME).write_bytes(os.urandom(int(sys.argv[1]) * 1_000_000))
            compare(folder)
    else:
        again = f'ip link set lo up && exec "{sys.executable}" "{__file__}" "$0"'
        words = [
            "unshare",
            "--net",
            "sh",
            "-c",
            again,
            *(sys.argv[1:] or ["20"]),
        ]
        sys.exit(subprocess.run(words, env={**os.environ, "TFTP_BENCH_INSIDE": "1"}).returncode)


if __name__ == "__main__":
    main()
