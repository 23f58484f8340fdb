"""Files that are there as a whole or not at all."""

import json
import threading
from pathlib import Path

from usaggr.io.atomic_files import write_atomic


def test_nobody_ever_sees_half_a_file(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    texts = [json.dumps([i] * 5000) for i in range(4)]
    write_atomic(path, texts[0])
    over = threading.Event()

    def write(text: str) -> None:
        while not over.is_set():
            write_atomic(path, text)

    writers = [threading.Thread(target=write, args=(text,)) for text in texts]
    for writer in writers:
        writer.start()
    try:
        for _ in range(200):
            assert path.read_text() in texts
    finally:
        over.set()
        for writer in writers:
            writer.join()
    assert [found.name for found in tmp_path.iterdir()] == ["status.json"]
