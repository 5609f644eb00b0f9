"""Our TFTP server on loopback, asked by programs that are not ours."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import ModuleType

import pytest
import tftpy

from kairos_netboot.server import udp, udp6
from kairos_netboot.server.content import OpenFile
from kairos_netboot.server.tftp import Finished, Lookup, Wanted, serve_tftp
from kairos_netboot.tftp.packet import (
    Ack,
    Data,
    ErrorPacket,
    OptionAck,
    Packet,
    ReadRequest,
    WriteRequest,
    decode,
    encode,
)
from kairos_netboot.tftp.transfer import End

pytestmark = pytest.mark.wire

BLOCK = 1468
SIZES = [0, 1, 511, 512, 513, 7 * BLOCK, 7 * BLOCK + 1, 300_000]
LARGE = 65_600 * 8 + 3  # in blocks of 8 bytes their numbers wrap
FILES = {f"{size}.bin": Random(size).randbytes(size) for size in [*SIZES, LARGE]}
FILES["boot/größe.efi"] = b"a name beyond ASCII"


async def find(wanted: Wanted) -> bytes | None:
    return FILES.get(wanted.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    port: int
    finished: list[Finished] = field(default_factory=list)

    def end_of(self, name: str, end: End | None = None) -> Finished:
        """The last transfer of a file; the server hears of its end after the client does."""
        until = time.monotonic() + 5
        while time.monotonic() < until:
            for finished in reversed(self.finished):
                if finished.name == name and end in (None, finished.outcome.end):
                    return finished
            time.sleep(0.005)
        raise AssertionError(f"{name} has not ended; what has: {self.finished}")


@contextmanager
def tftp_server(
    lookup: Lookup = find,
    on_transfer: Callable[[Finished], None] | None = None,
    at_once: int = 256,
    at_once_per_client: int = 256,
    family: ModuleType = udp,
) -> Iterator[Running]:
    """A server in a thread of its own. Whatever ends it early fails the test."""
    any_address = "0.0.0.0" if family is udp else "::"
    with closing(family.bind(any_address, 0, option="--port")) as sock:
        running = Running(port=sock.getsockname()[1])
        report = on_transfer or running.finished.append
        loop = asyncio.new_event_loop()
        task = loop.create_task(
            serve_tftp(
                sock,
                lookup,
                report,
                at_once=at_once,
                at_once_per_client=at_once_per_client,
                arrivals=family.arrivals,
            )
        )

        def serve() -> None:
            with suppress(asyncio.CancelledError), closing(loop):
                loop.run_until_complete(task)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield running
            assert not task.done(), "the server has ended"
        finally:
            loop.call_soon_threadsafe(task.cancel)
            thread.join(10)


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with tftp_server() as running:
        yield running


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def program(name: str) -> str:
    path = shutil.which(name)
    if path is None and os.environ.get("CI") == "true":
        pytest.fail(f"{name} is not installed")
    return path or pytest.skip(f"{name} is not installed")


def command(*words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words, cwd=cwd, capture_output=True, text=True, timeout=55, check=False, errors="replace"
    )


class Peer:
    """A client made of a bare socket, for what no decent client does."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self.listener = (host, port)
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.settimeout(5)
        self.sock.bind(("127.0.0.1", 0))
        self.server = self.listener

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def ask(self, name: str, options: Mapping[str, str] | None = None) -> Packet:
        return self.send(ReadRequest(name=name, options=options or {}), self.listener)

    def send(self, packet: Packet, to: udp.Endpoint | None = None) -> Packet:
        self.sock.sendto(encode(packet), to or self.server)
        return self.heard()

    def send_only(self, packet: Packet) -> None:
        self.sock.sendto(encode(packet), self.server)

    def heard(self) -> Packet:
        data, self.server = self.sock.recvfrom(70_000)
        return decode(data)

    def hears_nothing(self) -> bool:
        self.sock.settimeout(0.2)
        try:
            self.sock.recv(70_000)
        except TimeoutError:
            return True
        finally:
            self.sock.settimeout(5)
        return False


# Programs that are not ours


@pytest.mark.parametrize("size", SIZES)
def test_tftpy_reads_with_a_block_size(server: Running, tmp_path: Path, size: int) -> None:
    name = f"{size}.bin"
    client = tftpy.TftpClient("127.0.0.1", server.port, {"blksize": BLOCK, "tsize": 0})
    client.download(name, str(tmp_path / name))
    assert (tmp_path / name).read_bytes() == FILES[name]


@pytest.mark.parametrize("size", SIZES)
def test_tftp_hpa_reads_without_options(server: Running, tmp_path: Path, size: int) -> None:
    name = f"{size}.bin"
    words = ["-m", "binary", "127.0.0.1", str(server.port), "-c", "get", name]
    result = command(program("tftp"), *words, cwd=tmp_path)
    assert (tmp_path / name).read_bytes() == FILES[name], result
    finished = server.end_of(name)
    assert (finished.size, finished.local) == (size, "127.0.0.1")
    assert (finished.outcome.end, finished.outcome.bytes_sent) == (End.DONE, size)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("window", [1, 4, 16, 64])
def test_atftp_reads_in_windows(server: Running, tmp_path: Path, size: int, window: int) -> None:
    name = f"{size}.bin"
    result = atftp(server, tmp_path, name, f"windowsize {window}", f"blksize {BLOCK}", "tsize 0")
    assert (tmp_path / name).read_bytes() == FILES[name], result


def test_atftp_reads_more_blocks_than_have_numbers(server: Running, tmp_path: Path) -> None:
    name = f"{LARGE}.bin"
    result = atftp(server, tmp_path, name, "blksize 8", "windowsize 16")
    assert (tmp_path / name).read_bytes() == FILES[name], result


def atftp(
    server: Running, folder: Path, name: str, *options: str
) -> subprocess.CompletedProcess[str]:
    asked = [word for option in options for word in ("--option", option)]
    words = [*asked, "-g", "-r", name, "-l", name, "127.0.0.1", str(server.port)]
    return command(program("atftp"), *words, cwd=folder)


@pytest.mark.parametrize("size", SIZES)
def test_curl_reads_without_options(server: Running, tmp_path: Path, size: int) -> None:
    name = f"{size}.bin"
    result = curl(server, tmp_path, name, "--tftp-no-options")
    assert result.returncode == 0, result
    assert (tmp_path / "out").read_bytes() == FILES[name]


# curl 7.88 takes a tsize of 0, an empty file's true size, for an invalid answer.
@pytest.mark.parametrize("size", [size for size in SIZES if size])
def test_curl_reads_with_size_and_block_size(server: Running, tmp_path: Path, size: int) -> None:
    name = f"{size}.bin"
    result = curl(server, tmp_path, name, "--tftp-blksize", "1468")
    assert result.returncode == 0, result
    assert (tmp_path / "out").read_bytes() == FILES[name]


@pytest.mark.timeout(60)  # 65,600 round trips
def test_curl_reads_more_blocks_than_have_numbers_in_lock_step(
    server: Running, tmp_path: Path
) -> None:
    name = f"{LARGE}.bin"
    result = curl(server, tmp_path, name, "--tftp-blksize", "8")
    assert result.returncode == 0, result
    assert (tmp_path / "out").read_bytes() == FILES[name]


def curl(server: Running, folder: Path, name: str, *words: str) -> subprocess.CompletedProcess[str]:
    url = f"tftp://127.0.0.1:{server.port}/{name}"
    # curl makes no file out of an empty answer.
    (folder / "out").touch()
    return command(program("curl"), "-sS", "-m", "50", *words, "-o", "out", url, cwd=folder)


@pytest.mark.skipif(not udp6.is_available(), reason="this kernel has no IPv6")
def test_curl_reads_over_ipv6(tmp_path: Path) -> None:
    with tftp_server(family=udp6) as server:
        url = f"tftp://[::1]:{server.port}/300000.bin"
        words = ("-sS", "-m", "50", "--tftp-blksize", "1468", "-o", "out", url)
        result = command(program("curl"), *words, cwd=tmp_path)
        assert (tmp_path / "out").read_bytes() == FILES["300000.bin"], result
        finished = server.end_of("300000.bin")
        assert (finished.client[0], finished.local) == ("::1", "::1")
        missing = command(program("curl"), "-sS", url.replace("300000", "none"), cwd=tmp_path)
        assert missing.returncode == 68


def test_curl_is_told_that_there_is_no_such_file(server: Running, tmp_path: Path) -> None:
    result = curl(server, tmp_path, "missing.efi")
    assert result.returncode == 68  # "File not found on TFTP server"
    assert server.end_of("missing.efi").outcome.reason == "no file missing.efi here"


def test_tftp_hpa_in_netascii_is_told_to_use_octet(server: Running, tmp_path: Path) -> None:
    words = ["-m", "ascii", "127.0.0.1", str(server.port), "-c", "get", "1.bin"]
    result = command(program("tftp"), *words, cwd=tmp_path)
    assert "mode netascii is not served here: ask in octet (binary) mode" in result.stdout


def test_tftp_hpa_may_not_write(server: Running, tmp_path: Path) -> None:
    (tmp_path / "new.bin").write_bytes(b"x")
    words = ["-m", "binary", "127.0.0.1", str(server.port), "-c", "put", "new.bin"]
    result = command(program("tftp"), *words, cwd=tmp_path)
    assert "this server takes no files" in result.stdout


def test_a_large_file_is_sent_from_the_disk_and_closed(tmp_path: Path) -> None:
    path = tmp_path / "kernel"
    path.write_bytes(FILES[f"{LARGE}.bin"])
    opened: list[OpenFile] = []

    async def lookup(wanted: Wanted) -> OpenFile:
        opened.append(OpenFile.at(path))
        return opened[-1]

    with tftp_server(lookup) as server:
        result = curl(server, tmp_path, "kernel", "--tftp-blksize", "1024")
        assert server.end_of("kernel").outcome.end is End.DONE
    assert (tmp_path / "out").read_bytes() == path.read_bytes(), result
    with pytest.raises(OSError, match="Bad file descriptor"):
        opened[0].close()


def test_a_file_that_shrinks_ends_its_transfer_only(tmp_path: Path) -> None:
    path = tmp_path / "kernel"
    path.write_bytes(bytes(1 << 20))

    async def lookup(wanted: Wanted) -> OpenFile:
        opened = OpenFile.at(path)
        os.truncate(path, 512)
        return opened

    with tftp_server(lookup) as server, Peer(server.port) as peer:
        peer.ask("kernel", {"blksize": "512"})
        peer.sock.sendto(encode(Ack(block=0)), peer.server)
        outcome = server.end_of("kernel").outcome
        assert outcome.end is End.ABORTED
        assert outcome.reason == "kernel has 512 bytes of 1048576"


# Requests by hand


@pytest.mark.parametrize("name", ["/513.bin", "\\513.bin", "//513.bin"])
def test_a_name_is_found_however_its_root_is_written(server: Running, name: str) -> None:
    with Peer(server.port) as peer:
        assert peer.ask(name) == Data(block=1, payload=FILES["513.bin"][:512])


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_a_name_beyond_ascii_is_found(server: Running, encoding: str) -> None:
    with Peer(server.port) as peer:
        request = "\0\1boot\\größe.efi\0octet\0".encode(encoding)
        peer.sock.sendto(request, peer.listener)
        assert peer.heard() == Data(block=1, payload=b"a name beyond ASCII")


@pytest.mark.parametrize("name", ["../1.bin", "/etc/passwd", "", ".", "boot", "boot/../1.bin"])
def test_no_path_leaves_the_tree(server: Running, name: str) -> None:
    with Peer(server.port) as peer:
        answer = peer.ask(name)
        assert isinstance(answer, ErrorPacket)
        assert answer.code == 1


def test_a_write_is_error_2(server: Running) -> None:
    with Peer(server.port) as peer:
        answer = peer.send(WriteRequest(name="new"), peer.listener)
        assert answer == ErrorPacket(code=2, message="this server takes no files")


@pytest.mark.parametrize("mode", ["netascii", "mail", "x" * 100])
def test_other_modes_are_told_which_one_is_served(server: Running, mode: str) -> None:
    with Peer(server.port) as peer:
        answer = peer.send(ReadRequest(name="1.bin", mode=mode), peer.listener)
        text = f"mode {mode[:20]} is not served here: ask in octet (binary) mode"
        assert answer == ErrorPacket(code=0, message=text)


def test_an_answer_comes_from_the_address_that_was_asked(server: Running) -> None:
    with Peer(server.port, "127.0.0.2") as peer:
        peer.ask("1.bin")
        assert peer.server[0] == "127.0.0.2"
        assert peer.server[1] != server.port
        peer.ask("missing")
        assert peer.server[0] == "127.0.0.2"


def test_uefi_learns_the_size_then_breaks_off_then_asks_again() -> None:
    with tftp_server() as server, Peer(server.port) as peer:
        asked = {"tsize": "0", "blksize": "1468", "windowsize": "4"}
        granted = {**asked, "tsize": "513"}
        assert peer.ask("513.bin", asked) == OptionAck(options=granted)
        stop = ErrorPacket(code=8, message="User aborted the transfer")
        peer.sock.sendto(encode(stop), peer.server)
        assert server.end_of("513.bin").outcome.end is End.SIZE_ASKED
        del asked["tsize"], granted["tsize"]
        assert peer.ask("513.bin", asked) == OptionAck(options=granted)
        assert peer.send(Ack(block=0)) == Data(block=1, payload=FILES["513.bin"])


def test_a_repeated_request_starts_no_second_transfer(server: Running) -> None:
    with Peer(server.port) as peer:
        peer.ask("513.bin", {"timeout": "100"})
        peer.sock.sendto(
            encode(ReadRequest(name="513.bin", options={"timeout": "100"})), peer.listener
        )
        assert peer.hears_nothing()


def test_a_machine_that_starts_again_on_the_same_port_is_served_again() -> None:
    with tftp_server() as server, Peer(server.port) as peer:
        peer.ask("513.bin", {"blksize": "512"})
        assert isinstance(peer.send(Ack(block=0)), Data)
        first = peer.server
        peer.ask("513.bin", {"blksize": "512"})
        assert peer.server != first
        assert server.end_of("513.bin").outcome.reason == (
            "the client asked anew from the same port"
        )
        assert peer.send(Ack(block=0)) == Data(block=1, payload=FILES["513.bin"][:512])


def test_a_lost_block_is_sent_again(server: Running) -> None:
    with Peer(server.port) as peer:
        first = peer.ask("513.bin")
        assert peer.heard() == first


def test_a_transfer_hears_nobody_but_its_client(server: Running) -> None:
    with Peer(server.port) as peer, Peer(server.port) as stranger:
        first = peer.ask("513.bin")
        stranger.sock.sendto(encode(Ack(block=1)), peer.server)
        stranger.sock.sendto(encode(ErrorPacket(code=0, message="stop")), peer.server)
        assert stranger.hears_nothing()
        assert peer.heard() == first


def test_a_client_that_closes_its_port_ends_its_transfer() -> None:
    with tftp_server() as server:
        with Peer(server.port) as peer:
            peer.ask("513.bin", {"timeout": "1"})
        outcome = server.end_of("513.bin").outcome
        assert (outcome.end, outcome.reason) == (End.ABORTED, "the client has closed its port")


@dataclass(slots=True)
class Slow:
    """A lookup that answers when it is told to."""

    asked: list[Wanted] = field(default_factory=list)
    go: threading.Event = field(default_factory=threading.Event)

    async def __call__(self, wanted: Wanted) -> bytes | None:
        self.asked.append(wanted)
        while not self.go.is_set():  # noqa: ASYNC110 the test lives in another thread
            await asyncio.sleep(0.005)
        return await find(wanted)


def test_a_request_repeated_while_its_file_is_looked_for_starts_one_transfer() -> None:
    slow = Slow()
    with tftp_server(slow) as server, Peer(server.port) as peer:
        request = encode(ReadRequest(name="513.bin", options={"timeout": "100"}))
        for _ in range(3):
            peer.sock.sendto(request, peer.listener)
        until(lambda: bool(slow.asked))
        time.sleep(0.05)
        slow.go.set()
        assert isinstance(peer.heard(), OptionAck)
        assert peer.hears_nothing()
        assert len(slow.asked) == 1


def test_a_client_that_asks_for_something_else_meanwhile_gets_that_alone() -> None:
    slow = Slow()
    with tftp_server(slow) as server, Peer(server.port) as peer:
        for name in ("513.bin", "1.bin"):
            peer.sock.sendto(encode(ReadRequest(name=name)), peer.listener)
        until(lambda: len(slow.asked) == 2)
        slow.go.set()
        assert peer.heard() == Data(block=1, payload=FILES["1.bin"])
        peer.send_only(Ack(block=1))
        assert peer.hears_nothing()


def test_a_lookup_is_told_who_asks_and_where() -> None:
    seen: list[Wanted] = []

    async def lookup(wanted: Wanted) -> None:
        seen.append(wanted)

    with tftp_server(lookup) as server, Peer(server.port, "127.0.0.2") as peer:
        peer.ask("/grub/grub.cfg")
    wanted = Wanted(name="grub/grub.cfg", client="127.0.0.1", local="127.0.0.2", interface="lo")
    assert seen == [wanted]


# Limits


def test_a_client_has_only_so_many_transfers_at_once() -> None:
    with tftp_server(at_once_per_client=1) as server, Peer(server.port) as first:
        first.ask("1.bin")
        with Peer(server.port) as second:
            text = "too many transfers at once: ask again later"
            assert second.ask("1.bin") == ErrorPacket(code=0, message=text)
            first.sock.sendto(encode(Ack(block=1)), first.server)
            assert server.end_of("1.bin", End.DONE)
            assert isinstance(second.ask("1.bin"), Data)


def test_the_server_has_only_so_many_transfers_at_once() -> None:
    with tftp_server(at_once=1) as server, Peer(server.port) as first, Peer(server.port) as second:
        first.ask("1.bin")
        assert isinstance(second.ask("1.bin"), ErrorPacket)


def test_sixty_four_clients_are_served_at_once(tmp_path: Path) -> None:
    with tftp_server() as server:
        words = [program("curl"), "-sS", "-m", "15", "--tftp-blksize", "1468"]
        url = f"tftp://127.0.0.1:{server.port}/300000.bin"
        clients = [
            subprocess.Popen([*words, "-o", str(tmp_path / str(number)), url])
            for number in range(64)
        ]
        assert {client.wait(15) for client in clients} == {0}
        for number in range(64):
            assert (tmp_path / str(number)).read_bytes() == FILES["300000.bin"]


# Hostile datagrams

HOSTILE = {
    "a file name that is not ASCII": b"\0\1\xff\xfe\x80\0octet\0",
    "a block size that is no number": b"\0\1f\0octet\0blksize\0abc\0",
    "options without a final NUL": b"\0\1f\0octet\0blksize\x00512",
    "an ack of three bytes": b"\0\4\0",
    "an OACK of garbage": b"\0\6\xff\xff\xff",
    "a request for a folder": b"\0\1boot\0octet\0",
    "nothing": b"",
    "one byte": b"\0",
    "an unknown operation": b"\xff\xff\0\0",
    "a request without a name": b"\0\1\0octet\0",
    "a block size of 400 digits": b"\0\1f\0octet\0blksize\0" + b"9" * 400 + b"\0",
    "an error": b"\0\5\0\0\0",
    "60 kilobytes": bytes(60_000),
}


@pytest.mark.parametrize("datagram", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_datagram_leaves_the_server_serving(server: Running, datagram: bytes) -> None:
    with Peer(server.port) as hostile, Peer(server.port) as peer:
        hostile.sock.sendto(datagram, hostile.listener)
        peer.ask("1.bin")
        hostile.sock.sendto(datagram, peer.server)
        peer.sock.sendto(datagram, peer.server)
        peer.sock.sendto(datagram, peer.listener)
    with Peer(server.port) as peer:
        assert peer.ask("1.bin") == Data(block=1, payload=FILES["1.bin"])


def test_a_thousand_random_datagrams_leave_the_server_serving() -> None:
    random = Random(1350)
    with tftp_server() as server:
        with Peer(server.port) as hostile:
            for number in range(1000):
                if number % 50 == 0:
                    time.sleep(0.01)  # a socket's buffer holds some 270
                start = bytes([0, random.randrange(8)]) if random.random() < 0.8 else b""
                hostile.sock.sendto(
                    start + random.randbytes(random.randrange(80)), hostile.listener
                )
        with Peer(server.port) as peer:
            assert peer.ask("1.bin") == Data(block=1, payload=FILES["1.bin"])


def test_six_hundred_sessions_leave_the_server_serving() -> None:
    with tftp_server() as server:
        peers = [Peer(server.port) for _ in range(600)]
        for peer in peers:
            peer.sock.sendto(encode(ReadRequest(name="1.bin")), peer.listener)
        for peer in peers:
            peer.sock.close()
        time.sleep(1.5)  # the first repeat meets closed ports
        with Peer(server.port) as peer:
            assert peer.ask("1.bin") == Data(block=1, payload=FILES["1.bin"])


def test_a_lookup_that_breaks_costs_its_client_only(caplog: pytest.LogCaptureFixture) -> None:
    async def lookup(wanted: Wanted) -> bytes | None:
        if wanted.name == "broken":
            raise RuntimeError("the index is broken")
        return await find(wanted)

    with tftp_server(lookup) as server, Peer(server.port) as peer:
        peer.sock.sendto(encode(ReadRequest(name="broken")), peer.listener)
        assert peer.hears_nothing()
        assert peer.ask("1.bin") == Data(block=1, payload=FILES["1.bin"])
    assert "the index is broken" in caplog.text


def test_a_listener_that_breaks_costs_no_transfer(caplog: pytest.LogCaptureFixture) -> None:
    def on_transfer(finished: Finished) -> None:
        raise RuntimeError(f"no room for {finished.name}")

    with tftp_server(on_transfer=on_transfer) as server, Peer(server.port) as peer:
        for _ in range(2):
            assert isinstance(peer.ask("missing"), ErrorPacket)
            time.sleep(0.05)
    assert "no room for missing" in caplog.text
