"""Hostile contents of the files of a results folder, and a program that gives each of them to each reader.

The program runs in a process of its own, with a limit of memory: `python -m tests.faults.hostile_files FOLDER FILE`.
"""

import csv
import io
import json
import os
import resource
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from tests.faults.contract_readers import FILES, PASSED, READERS, path_of, write_folder
from usaggr.errors import UsaggrError
from usaggr.results.predictions import SCHEMA

MEMORY = 4 * 2**30
"""Limit of the address space; numpy, pandas, pyarrow and OpenCV take a third of it."""
DIGITS = "9" * 5000
VALUES = {"digits": DIGITS[:4000], "more digits": DIGITS, "a wide number": "9" * 30, "a surrogate": r'"\ud800"'}
"""JSON of a value that stands in the place of another."""
LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12))
TERABYTE = 2**40

READERS_BY_FILE = {name: (*FILES.get(name, ()), *PASSED.get(name, ())) for name in (*FILES, *PASSED)}


def make_contents(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield hostile contents for a file, each with its name."""
    yield "NUL bytes", b"\0" * 1000
    yield "70 MiB", b"a" * (70 * 2**20)
    if path.suffix == ".json":
        content = json.loads(path.read_text())
        yield "deep lists", b"[" * 100_000
        yield "deep mappings", b'{"state":' * 100_000 + b"1" + b"}" * 100_000
        yield "many values", b"[" + b"0," * 3_000_000 + b"0]"
        for what, value in VALUES.items():
            for key in content:
                hostile = json.dumps({**content, key: "HERE"}).replace('"HERE"', value)
                yield f"{what} in {key}", hostile.encode()
    elif path.suffix == ".yaml":
        text = path.read_text()
        yield "aliases", LAUGHS.encode()
        yield "aliases after the content", text.encode() + LAUGHS.encode()
        yield "a list that contains itself", text.encode() + b"\nmine: &a [*a]\n"
        yield "flow nesting", text.encode() + b"\nmine: " + b"[" * 100_000
        yield "block nesting", b"- " * 100_000
        for line in [line for line in text.splitlines() if line[:1].isalpha() and ":" in line]:
            for value in (DIGITS, "9" * 30, r'"\ud800"', "2024-13-01", "!!int x", "!!set {a}", "1" + ":1" * 100_000):
                hostile = text.replace(f"{line}\n", f"{line.partition(':')[0]}: {value}\n", 1)
                yield f"{line[:20]} becomes {value[:12]}", hostile.encode()
    elif path.suffix == ".csv":
        header, first, *last_rows = list(csv.reader(io.StringIO(path.read_text())))
        for column, name in enumerate(header):
            for value in (DIGITS, DIGITS[:4000], "9" * 30, "1e308", "nan", "\x1b[31m", "x" * 10_000_000):
                changed = [*first[:column], value, *first[column + 1 :]]
                text = "\n".join(",".join(cells) for cells in (header, changed, *last_rows)) + "\n"
                yield f"{name} is {value[:8]}", text.encode()
        yield "a million columns", b"," * 1_000_000 + b"\n" + b"," * 1_000_000 + b"\n"
        rows_of_numbers = [",".join([first[0], *[str(number)] * (len(header) - 1)]) for number in range(20_000)]
        yield "many rows", "\n".join([",".join(header), *rows_of_numbers]).encode()
    elif path.suffix == ".parquet":
        yield "50 million rows", write_parquet(path.with_suffix(".tmp"), pa.nulls(10_000_000), 5)
        long = pa.DictionaryArray.from_arrays(pa.array([0] * 1_000_000, pa.int32()), pa.array(["x" * 1_000_000]))
        yield "a long text", write_parquet(path.with_suffix(".tmp"), long, 4, "task_id")
        zeros = pa.array([0.0]).take(pa.array(np.zeros(30_000_000, np.int32)))
        values = pa.ListArray.from_arrays(pa.array([0, 30_000_000], pa.int32()), zeros)
        yield "a long list", write_parquet(path.with_suffix(".tmp"), values, 5, "probs")


def write_parquet(path: Path, column: pa.Array, groups: int, name: str | None = None) -> bytes:
    """Return a table of predictions whose columns are empty, except for a hostile one."""
    types = {field.name: field.type for field in SCHEMA}
    nulls = {field: pa.nulls(len(column), kind) for field, kind in types.items()}
    hostile = nulls if name is None else {**nulls, name: column}
    table = pa.table(hostile)
    with parquet.ParquetWriter(path, table.schema, compression="zstd", store_schema=False) as writer:
        for _ in range(groups):
            writer.write_table(table)
    content = path.read_bytes()
    path.unlink()
    return content


@contextmanager
def replaced(path: Path, make: Callable[[Path], object]) -> Iterator[None]:
    """Put something else in the place of a file until the context ends."""
    original = path.with_name(f"{path.name}.original")
    path.rename(original)
    try:
        make(path)
        yield
    finally:
        path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)
        original.rename(path)


def make_sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(TERABYTE)


KINDS: dict[str, Callable[[Path], object]] = {
    "a pipe": os.mkfifo,
    "a link to /dev/zero": lambda path: path.symlink_to("/dev/zero"),
    "a link to a link that is missing": lambda path: path.symlink_to(path.with_name("nowhere")),
    "a terabyte": make_sparse,
    "a folder": lambda path: path.mkdir(),
}
"""Content or special file that takes the place of a file."""


def try_reader(reader: str, folder: Path) -> str:
    """Return the message with which a reader refuses a folder, `read`, or the traceback of another exception."""
    try:
        READERS[reader](folder)
    except UsaggrError as error:
        return f"refused: {error}"
    except BaseException:
        return f"TRACEBACK {traceback.format_exc()}"
    return "read"


def try_file(folder: Path, name: str) -> None:
    """Give each hostile content of a file, and each other kind of file in its place, to all of its readers.

    Prints a line of JSON for each.
    """
    path = path_of(folder, name)
    for attack, make in KINDS.items():
        _try_readers(folder, name, attack, make)
    for attack, content in make_contents(path):

        def write(place: Path, content: bytes = content) -> None:
            place.write_bytes(content)

        _try_readers(folder, name, attack, write)


def _try_readers(folder: Path, name: str, attack: str, make: Callable[[Path], object]) -> None:
    for reader in READERS_BY_FILE[name]:
        with replaced(path_of(folder, name), make):
            start = time.monotonic()
            outcome = try_reader(reader, folder)
            seconds = time.monotonic() - start
        print(json.dumps({"reader": reader, "attack": attack, "outcome": outcome, "seconds": seconds}), flush=True)


def main() -> None:
    folder, name = Path(sys.argv[1]), sys.argv[2]
    write_folder(folder)
    # As in results of older versions: a stranger could write checksums that fit.
    result = path_of(folder, "RUN/result.json")
    content = json.loads(result.read_text())
    result.write_text(json.dumps({key: content[key] for key in content if key not in ("sha256", "predictions")}))
    if name.endswith(".parquet"):
        contents = dict(make_contents(path_of(folder, name)))  # before the limit: making them takes memory
        globals()["make_contents"] = lambda path: iter(contents.items())
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    try_file(folder, name)


if __name__ == "__main__":
    main()
