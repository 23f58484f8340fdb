"""Program that builds networks in a process of its own, for `usaggr plan`, which imports no torch.

It imports few modules of usaggr, because their imports would take a tenth of the check's processor time.
"""

import dataclasses
import json
import sys
from typing import Any

from pydantic import TypeAdapter

from usaggr.config.model import ModelConfig
from usaggr.errors import UsaggrError
from usaggr.io.bounded_content import parse_json
from usaggr.models.weight_sizes import WeightSizes
from usaggr.tasks import Task


def main() -> None:
    """Read networks from standard input, build each, and print the list of their faults and sizes as JSON."""
    # This must come before the first import of torch, which checking.py needs.
    from usaggr.models.deferred_imports import defer_imports

    defer_imports()
    answers = [_check(content) for content in parse_json(sys.stdin.read())]
    print(json.dumps([answer if isinstance(answer, str) else dataclasses.asdict(answer) for answer in answers]))


def _check(content: dict[str, Any]) -> str | WeightSizes:
    """Return the fault or the sizes of the network that `describe_network` has described."""
    from usaggr.models.checking import check_network

    model: ModelConfig = TypeAdapter(ModelConfig).validate_python(content["model"])
    tasks = [Task(**{**task, "class_names": tuple(task["class_names"])}) for task in content["tasks"]]
    height, width = content["size"]
    try:
        return check_network(model, tasks, (height, width)).sizes
    except UsaggrError as error:
        return str(error)
