# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""`make fuzz-artifact`: hundreds of thousands of bad archives for the reader, in a process with limits of its own.

Every input is named by seed, kind and number, so one that went wrong is made again with `--kind KIND --only NUMBER`; it
also stands in .cache/fuzz. Exit code 1 where the reader crashed, hung, wrote outside of its folder, or took a tree that
is not the one that was sealed.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import platform
import random
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import typing as t
import zlib
from collections import Counter
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from ..unit.plugins.module_utils.documents import MANIFEST
from . import archives
from .archives import Item
from .jail import Good, Hang, Jail, Verdict, make_good, memory

ROOT = Path(__file__).resolve().parent.parent.parent
INPUTS = 120_000
SEED = 20_261_122
BATCH = 500
#: Limits of the process that reads: bytes of memory and of a file, seconds for an input and for a batch.
MEMORY = 2**30
FILE = 64 * 2**20
INPUT_SECONDS = 20
BATCH_SECONDS = 300
TINY = [
    Item(b"app/", b"5", mode=0o755),
    Item(b"app/file", b"0", b"abc", mode=0o755),
    Item("app/ü".encode(), b"0", b"", mode=0o644),
    Item(b"link", b"2", target=b"app", mode=0o777),
]


@dataclass
class Bench:
    """What an input is made of and given to."""

    jail: Jail
    good: Good
    seed: int
    #: The good tar as zstd; empty where this host can't read that.
    frame: bytes

    def random(self, kind: str, number: int) -> random.Random:
        return random.Random(f"{self.seed}/{kind}/{number}")


def _bent_tar(bench: Bench, number: int) -> tuple[bytes, Verdict]:
    data = archives.bent_archive(bench.random("tar", number), bench.good.items)
    return data, bench.jail.extract(data)


def _bent_blob(bench: Bench, number: int) -> tuple[bytes, Verdict]:
    dice = bench.random("blob", number)
    data = bench.good.tar if dice.random() < 0.7 else archives.bent_archive(dice, bench.good.items)
    encoding = dice.choices(["gzip", "identity", "zstd"], [70, 10, 20])[0]
    if encoding == "zstd" and bench.frame:
        blob = archives.bent_zstandard(dice, data)
    elif encoding == "identity":
        blob = archives.bent_bytes(dice, data)
    else:
        encoding, blob = "gzip", archives.bent_gzip(dice, data)
    return blob, bench.jail.install(blob, encoding, bench.good.manifest, bench.good.listing)


def _forged(bench: Bench, number: int) -> tuple[bytes, Verdict]:
    dice = bench.random("forged", number)
    data = archives.bent_archive(dice, bench.good.items)
    manifest = bench.jail.forged(bench.good, data, whole=dice.random() < 0.5)
    # A forger who names his own tree may have it, if it is one.
    listing = bench.good.listing if manifest["tree"]["sha256"] == bench.good.manifest["tree"]["sha256"] else None
    return data, bench.jail.install(data, "identity", manifest, listing)


def _tar_bit(bench: Bench, number: int) -> tuple[bytes, Verdict]:
    data = archives.flipped(archives.archive(TINY), number)
    return data, bench.jail.extract(data)


def _gzip_bit(bench: Bench, number: int) -> tuple[bytes, Verdict]:
    blob = archives.flipped(good_blob(bench.good), number)
    return blob, bench.jail.install(blob, "gzip", bench.good.manifest, bench.good.listing)


def _zstd_bit(bench: Bench, number: int) -> tuple[bytes, Verdict]:
    blob = archives.flipped(bench.frame, number)
    return blob, bench.jail.install(blob, "zstd", bench.good.manifest, bench.good.listing)


KINDS: dict[str, t.Callable[[Bench, int], tuple[bytes, Verdict]]] = {
    "tar": _bent_tar,
    "blob": _bent_blob,
    "forged": _forged,
    "tar-bit": _tar_bit,
    "gzip-bit": _gzip_bit,
    "zstd-bit": _zstd_bit,
}


def good_blob(good: Good) -> bytes:
    return gzip.compress(good.tar, 6, mtime=0)


def bits_of(bench: Bench) -> dict[str, int]:
    """Return how many inputs there are of the kinds that have an end."""
    blobs = {"tar-bit": archives.archive(TINY), "gzip-bit": good_blob(bench.good), "zstd-bit": bench.frame}
    return {kind: len(blob) * 8 for kind, blob in blobs.items()}


def make_bench(folder: Path, jail: Jail, seed: int) -> Bench:
    """Make the good artifact, and see that the reader takes it before anything is bent."""
    version = f"3.{sys.version_info.minor}"
    good = make_good(folder, {**MANIFEST, "python": {**MANIFEST["python"], "version": version}})
    verdict = jail.install(good_blob(good), "gzip", good.manifest, good.listing)
    assert verdict.kind == "accepted", verdict
    verdict = jail.extract(archives.archive(TINY))
    assert verdict.kind == "accepted", verdict
    if not shutil.which("zstd"):
        return Bench(jail, good, seed, b"")
    frame = archives.zstandard(good.tar)
    verdict = jail.install(frame, "zstd", good.manifest, good.listing)
    assert verdict.kind == "accepted", verdict
    return Bench(jail, good, seed, frame)


@dataclass
class Tally:
    """What became of the inputs so far."""

    kinds: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    #: Number of an input that went wrong, and how.
    faults: list[tuple[int, str, str]] = field(default_factory=list)

    def add(self, number: int, verdict: Verdict) -> None:
        self.kinds[verdict.kind] += 1
        if verdict.kind == "refused":
            self.reasons[verdict.reason] += 1
        elif verdict.kind != "accepted":
            self.faults.append((number, verdict.kind, verdict.why))

    def merge(self, other: dict[str, t.Any]) -> None:
        self.kinds.update(other["kinds"])
        self.reasons.update(other["reasons"])
        self.faults += [tuple(fault) for fault in other["faults"]]


def run_batch(bench: Bench, kind: str, numbers: t.Iterable[int], keep: Path | None) -> tuple[Tally, str]:
    """Give inputs to the reader; return what became of them and the SHA-256 of all of them."""
    tally, digest = Tally(), hashlib.sha256()
    for number in numbers:
        signal.setitimer(signal.ITIMER_REAL, INPUT_SECONDS)
        data, verdict = KINDS[kind](bench, number)
        signal.setitimer(signal.ITIMER_REAL, 0)
        digest.update(hashlib.sha256(data).digest())
        tally.add(number, verdict)
        if keep and verdict.kind in ("crash", "escape"):
            keep.mkdir(parents=True, exist_ok=True)
            (keep / f"{bench.seed}-{kind}-{number}.bin").write_bytes(data)
    return tally, digest.hexdigest()


def _too_long(*_: object) -> None:
    raise Hang(f"more than {INPUT_SECONDS} seconds")


def _child(seed: int, folder: str) -> None:
    """Read "kind start stop" from each line of stdin, answer with a line of JSON."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE, FILE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGALRM, _too_long)
    with tempfile.TemporaryDirectory(dir=folder) as good, closing(Jail(folder)) as jail:
        bench = make_bench(Path(good), jail, seed)
        print(json.dumps({"bits": bits_of(bench)}), flush=True)
        for line in sys.stdin:
            kind, start, stop = line.split()
            tally, digest = run_batch(bench, kind, range(int(start), int(stop)), ROOT / ".cache/fuzz")
            answer = {"kinds": tally.kinds, "reasons": tally.reasons, "faults": tally.faults, "sha256": digest}
            print(json.dumps(answer), flush=True)


class Reader:
    """The process that reads, started again when it dies."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        # Ours, so that nothing stays of a process that was killed.
        self._folder = tempfile.TemporaryDirectory(prefix="containerless-fuzz-", dir=memory())
        self._start()

    def _start(self) -> None:
        argv = [sys.executable, "-B", "-m", __spec__.name, "--child", self._folder.name, "--seed", str(self._seed)]
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        hello = self._answer()
        if hello is None:
            sys.exit("fuzz-artifact: the process that reads does not start")
        self.bits: dict[str, int] = hello["bits"]

    def _answer(self) -> dict[str, t.Any] | None:
        assert self._process.stdout
        ready, _, _ = select.select([self._process.stdout], [], [], BATCH_SECONDS)
        line = self._process.stdout.readline() if ready else ""
        return t.cast("dict[str, t.Any]", json.loads(line)) if line else None

    def read(self, kind: str, start: int, stop: int) -> dict[str, t.Any]:
        assert self._process.stdin
        try:
            self._process.stdin.write(f"{kind} {start} {stop}\n")
            self._process.stdin.flush()
            answer = self._answer()
        except BrokenPipeError:
            answer = None
        if answer is None:
            self._process.kill()
            code = self._process.wait()
            self._close_pipes()
            why = f"the process that reads ended with {code}, or hung, at one of the inputs up to {stop}"
            self._start()
            return {"kinds": {"crash": 1}, "reasons": {}, "faults": [(start, "crash", why)], "sha256": ""}
        return answer

    def close(self) -> None:
        self._close_pipes()
        self._process.wait()
        self._folder.cleanup()

    def _close_pipes(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe
            with suppress(BrokenPipeError):
                pipe.close()


TITLES = {
    "tar": "bent tar, extracted",
    "blob": "bent blob, installed",
    "forged": "bent tar that its manifest names",
    "tar-bit": "each bit of a tar",
    "gzip-bit": "each bit of a gzip blob",
    "zstd-bit": "each bit of a zstd blob",
}


def table(tallies: dict[str, Tally], head: t.Sequence[str]) -> str:
    """Return all figures at 80 columns."""
    line = "{:<36}{:>8}{:>9}{:>9}{:>9}{:>9}".format
    rows = [*head, "", line("", "inputs", "accepted", "refused", "crashes", "outside"), "-" * 80]
    whole = Tally()
    for kind, tally in tallies.items():
        rows.append(line(TITLES[kind], *_figures(tally)))
        whole.merge({"kinds": tally.kinds, "reasons": tally.reasons, "faults": tally.faults})
    rows += ["-" * 80, line("all", *_figures(whole)), "", f"{'refused because of':<66}{'inputs':>14}", "-" * 80]
    rows += [f"{reason:<66}{count:>14}" for reason, count in whole.reasons.most_common()]
    return "\n".join(rows) + "\n"


def _figures(tally: Tally) -> list[int]:
    return [sum(tally.kinds.values()), *(tally.kinds[kind] for kind in ("accepted", "refused", "crash", "escape"))]


REPORT = """<!--
SPDX-FileCopyrightText: containerless.django contributors
SPDX-License-Identifier: GPL-3.0-or-later
-->

# Bad archives for the reader

`make fuzz-artifact` bends valid artifacts at members, headers, bytes and compression and gives them to what unpacks
them on a host. The reader is a process of its own with {memory} MiB of memory and {seconds} s for an input; a seed and
a number name each input.

- *accepted*: nothing that matters was changed. What `extract` took is byte for byte what the writer makes of the tree
  that came out; what `install` took is the sealed tree, with each mode, link and byte.
- *refused*: one printable sentence; `install` left nothing behind.
- *crashes*: any other exception, a process that died or hung, an accepted tree that is not the sealed one.
- *outside*: anything changed around the target folder, or a link, device or mode in it that leads out.

```
{table}```
"""


def _arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make fuzz-artifact", description=__doc__)
    parser.add_argument("--inputs", type=int, default=INPUTS, help="bent archives; the bits come on top (%(default)s)")
    parser.add_argument("--bits", action=argparse.BooleanOptionalAction, default=True, help="also flip each bit")
    parser.add_argument("--seed", type=int, default=SEED, help="names the inputs (%(default)s)")
    parser.add_argument("--report", type=Path, help="file for the table, in Markdown")
    parser.add_argument("--kind", choices=sorted(KINDS), help="of the one input to make again")
    parser.add_argument("--only", type=int, help="number of the one input to make again")
    parser.add_argument("--child", metavar="FOLDER", help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def _one(kind: str, number: int, seed: int) -> int:
    with tempfile.TemporaryDirectory() as folder, closing(Jail()) as jail:
        data, verdict = KINDS[kind](make_bench(Path(folder), jail, seed), number)
    print(f"{kind} {number}: {len(data)} bytes, {verdict.kind} {verdict.why}")
    return 0 if verdict.kind in ("accepted", "refused") else 1


def main() -> int:
    """Run what the command line says; return the exit code."""
    wanted = _arguments()
    if wanted.child:
        _child(wanted.seed, wanted.child)
        return 0
    if wanted.only is not None:
        return _one(wanted.kind or "tar", wanted.only, wanted.seed)
    reader = Reader(wanted.seed)
    bits = reader.bits if wanted.bits else {}
    parts = {kind: count for kind, count in plan_of(wanted.inputs, bits).items() if count}
    print(f"fuzz-artifact: seed {wanted.seed}, {sum(parts.values())} inputs", flush=True)
    tallies = {kind: Tally() for kind in parts}
    digest = hashlib.sha256()
    done = 0
    for kind, count in parts.items():
        for start in range(0, count, BATCH):
            stop = min(start + BATCH, count)
            answer = reader.read(kind, start, stop)
            tallies[kind].merge(answer)
            digest.update(answer["sha256"].encode())
            done += stop - start
            _progress(done, sum(parts.values()), sum(len(tally.faults) for tally in tallies.values()))
    reader.close()
    return _closed(wanted, tallies, digest.hexdigest())


def plan_of(inputs: int, bits: dict[str, int]) -> dict[str, int]:
    """Return how many inputs of each kind there are: so many bent ones, and the given ones with a bit flipped."""
    parts = {"tar": inputs * 60 // 100, "blob": inputs * 25 // 100}
    return {**parts, "forged": inputs - sum(parts.values()), **bits}


def _progress(done: int, whole: int, faults: int) -> None:
    end = "\r" if sys.stdout.isatty() and done < whole else "\n"
    if sys.stdout.isatty() or done % (BATCH * 20) < BATCH or done == whole:
        print(f"  {done:>7} of {whole} inputs, {faults} faults", end=end, flush=True)


def _zstd() -> str:
    if not shutil.which("zstd"):
        return "no zstd"
    said = subprocess.run(["zstd", "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout
    return f"zstd {said.partition(' v')[2].partition(',')[0]}"


def _closed(wanted: argparse.Namespace, tallies: dict[str, Tally], digest: str) -> int:
    tools = f"Python {platform.python_version()}, zlib {zlib.ZLIB_RUNTIME_VERSION}, {_zstd()}"
    head = [
        f"seed {wanted.seed}, {tools}",
        f"inputs {digest}",
    ]
    text = table(tallies, head)
    print(text)
    faults = [(kind, *fault) for kind, tally in tallies.items() for fault in tally.faults]
    for kind, number, what, why in faults[:20]:
        print(f"{what} at --kind {kind} --only {number}: {why}")
    if wanted.report:
        wanted.report.parent.mkdir(parents=True, exist_ok=True)
        wanted.report.write_text(
            REPORT.format(table=text, memory=MEMORY // 2**20, seconds=INPUT_SECONDS), encoding="utf-8"
        )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
