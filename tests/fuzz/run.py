"""Coverage-guided fuzzing of every parser, with atheris.

    python -m tests.fuzz.run --runs 300000 [--seed 1] [TARGET …]

Each target runs in a process of its own. An input that fails is kept in tests/fuzz/found/TARGET/,
which tests/unit/test_fuzz.py replays ever after; the exit code is 1 then.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

FOUND = Path(__file__).parent / "found"
_LONGEST = 1500
_NAMES = ("dhcp", "options", "recognised", "tftp", "dhcp6")


def main(argv: list[str]) -> int:
    arguments = _parser().parse_args(argv)
    if arguments.one:
        _fuzz(arguments.one, arguments.runs, arguments.seed, Path(arguments.seeds))
    failed = [name for name in arguments.targets or _NAMES if not _run(name, arguments)]
    for name in failed:
        sys.stdout.write(f"fuzz: {name} failed: see {FOUND / name}\n")
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(_NAMES))
    parser.add_argument("--runs", type=int, default=300_000, help="of each target")
    parser.add_argument("--seed", type=int, default=0, help="0: another each time")
    parser.add_argument("--one", choices=_NAMES, help=argparse.SUPPRESS)
    parser.add_argument("--seeds", default="", help=argparse.SUPPRESS)
    return parser


def _run(name: str, arguments: argparse.Namespace) -> bool:
    """One target to its end; its figures go to the terminal."""
    with tempfile.TemporaryDirectory() as folder:
        _seed(name, Path(folder))
        command = [sys.executable, "-m", "tests.fuzz.run", "--one", name, "--seeds", folder]
        command += ["--runs", str(arguments.runs), "--seed", str(arguments.seed)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = done.stderr.splitlines()
    last = next((line for line in reversed(said) if line.startswith("Done")), "stopped")
    covered = next((line for line in reversed(said) if "DONE" in line), "")
    sys.stdout.write(f"fuzz: {name}: {last} {' '.join(covered.split()[2:6])}\n")
    if done.returncode:
        sys.stdout.write(done.stdout + "\n".join(said[-20:]) + "\n")
    return done.returncode == 0


def _seed(name: str, folder: Path) -> None:
    """What the fuzzer starts from: the corpus, as this target takes it."""
    # Not above: what the fuzzing process has imported before is not instrumented.
    from tests.corpus.entry import entries

    for entry in entries():
        whole = {"dhcp": entry.request, "options": b"\xff\xff" + entry.request[240:]}
        data = whole.get(name, entry.request[240:])
        if name in ("dhcp", "options", "recognised"):
            (folder / entry.path.stem).write_bytes(data)
    if name == "tftp":
        (folder / "rrq").write_bytes(
            b"\0\1a/b\0octet\0blksize\x001468\0windowsize\x004\0tsize\x000\0"
        )
        (folder / "ack").write_bytes(b"\0\4\0\1")
        (folder / "error").write_bytes(b"\0\5\0\x08no\0")
    if name == "dhcp6":
        (folder / "solicit").write_bytes(
            bytes.fromhex("01c70870 0001000a 00030001525400000001 003d0002 0007 00060004 003b003c")
        )


def _fuzz(name: str, runs: int, seed: int, seeds: Path) -> None:
    import atheris  # type: ignore[import-untyped,import-not-found,unused-ignore]

    with atheris.instrument_imports(include=["kairos_netboot"]):
        from tests.fuzz.targets import TARGETS
    (FOUND / name).mkdir(parents=True, exist_ok=True)
    options = [f"-runs={runs}", f"-max_len={_LONGEST}", f"-artifact_prefix={FOUND / name}/"]
    options += [f"-seed={seed}"] if seed else []
    atheris.Setup([sys.argv[0], *options, str(seeds)], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
