"""``make fuzz-engine``: the readers of tars and of queries on bytes that a seed makes; each ends well or in its own error.

A failure prints the seed's number and the bytes that made it.
"""

from __future__ import annotations

import argparse
import gzip
import io
import random
import sys
import tarfile
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(HERE))

from engine.errors import EngineError  # noqa: E402
from engine.session.reader import QueryProblem, read  # noqa: E402
from engine.store import Store  # noqa: E402
from engine.tree import EMPTY  # noqa: E402
from engine.trees import Trees  # noqa: E402
from engine.unpack import apply_layer  # noqa: E402

_TYPES = [bytes([n]) for n in b"01234567SLKxgVDNM"] + [b"\0"]
_NAMES = [
    "a",
    "a/b",
    "../x",
    "/x",
    ".",
    "..",
    "a/../..",
    ".wh.a",
    ".wh..wh..opq",
    "a/.wh...",
    "x" * 120,
    "é",
    "a//b/",
    "\udcff",
]
_PAX = [
    ("path", "../x"), ("path", "a\0b"), ("linkpath", "/x"), ("size", "99999999999"), ("size", "-1"), ("mtime", "nan"),
    ("mtime", "1e400"), ("uid", "-5"), ("GNU.sparse.map", "0,1"), ("GNU.sparse.size", "1000000000000"), ("hdrcharset", "BINARY"),
]  # fmt: skip
_TEXTS = [
    'query Q($a: [Int!] = [1]) { x: f(a: $a, o: {k: "v\\u00e9"}) @include(if: true) { ...F } } fragment F on T { g }',
    '{ f(t: """block "quoted" \\""" end""") { a b c } }',
    "{" * 50 + "a" + "}" * 50,
]
_MARKS = [
    '"',
    '"""',
    "\\",
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    "...",
    "$",
    "@",
    "!",
    "#",
    "\n",
    "\0",
    "\ud800",
    "1e9",
    "-",
    "null",
]


def some_tar(chance: random.Random) -> bytes:
    """A tar of odd entries, then spoiled: bytes changed, cut, repeated, or packed."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=chance.choice([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])) as tar:
        for _ in range(chance.randrange(1, 6)):
            info = tarfile.TarInfo(chance.choice(_NAMES))
            info.type, info.linkname = chance.choice(_TYPES), chance.choice(_NAMES)
            info.mode, info.uid = chance.randrange(1 << 16), chance.randrange(1 << 20)
            info.pax_headers = dict(chance.sample(_PAX, chance.randrange(3)))
            info.size = chance.choice([0, 3, 700])
            tar.addfile(info, io.BytesIO(chance.randbytes(info.size)))
    data = bytearray(out.getvalue())
    for _ in range(chance.randrange(4)):
        at = chance.randrange(len(data))
        data[at : at + chance.randrange(1, 4)] = chance.randbytes(chance.randrange(4))
    if chance.random() < 0.2:
        del data[chance.randrange(len(data)) :]
    packed = gzip.compress(bytes(data), 1) if chance.random() < 0.3 else bytes(data)
    return packed[: chance.randrange(len(packed) + 1)] if chance.random() < 0.1 else packed


def tars(store: Store, chance: random.Random, count: int) -> None:
    """
    Raises:
        AssertionError: some bytes were neither a tree nor an engine's error.
    """
    for _ in range(count):
        data = some_tar(chance)
        try:
            root = apply_layer(store, EMPTY, data)
        except EngineError as error:
            assert "\n" not in str(error)[:-1]
            continue
        except Exception as error:
            raise AssertionError(f"{error!r} for {data!r}") from error
        for path, _ in Trees(store).walk(root):
            assert not path.startswith("/") and ".." not in path.split("/") and "\0" not in path, data


def queries(chance: random.Random, count: int) -> None:
    """
    Raises:
        AssertionError: a text was neither a document nor a query's problem.
    """
    for _ in range(count):
        text = chance.choice(_TEXTS)
        for _ in range(chance.randrange(1, 8)):
            at = chance.randrange(len(text) + 1)
            text = text[:at] + chance.choice(_MARKS) * chance.choice([1, 1, 1, 300]) + text[at + chance.randrange(4) :]
        try:
            read(text)
        except QueryProblem as problem:
            assert problem.line >= 1 and "\n" not in str(problem), text
        except Exception as error:
            raise AssertionError(f"{error!r} for {text!r}") from error


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    deadline, number, each = time.monotonic() + options.seconds, options.seed, 200
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "store")
        try:
            while time.monotonic() < deadline:
                tars(store, random.Random(number), each)
                queries(random.Random(number), each)
                number += 1
        except AssertionError as error:
            print(f"seed {number}: {error}")
            return 1
        finally:
            store.close()
    print(
        f"seeds {options.seed} to {number - 1}: {(number - options.seed) * each} tars and as many queries, no problem"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
