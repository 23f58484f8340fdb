"""A small specification of a run."""

import hashlib
from dataclasses import replace

from usaggr.results.spec import RunSpec


def spec(**changes: object) -> RunSpec:
    fingerprint = hashlib.sha256(b"x").hexdigest()
    return replace(
        RunSpec("lung", ("lung",), 0.25, 3, "base", {"training": {"rate": 0.1}}, {"lung": ("b", "a")}, fingerprint),
        **changes,  # type: ignore[arg-type]
    )
