"""A run that computes with the libraries of a training and records how many threads they use."""

import json
from pathlib import Path

import cv2
import numpy as np
import scipy.linalg
import sklearn  # noqa: F401  (loads a second OpenMP library)
import threadpoolctl
import torch

from tests.sweep.fakes import RESULT
from usaggr.config.study import StudyConfig
from usaggr.results.run_directory import RunDirectory
from usaggr.results.spec import Placement, RunSpec


def execute(spec: RunSpec, directory: Path, study: StudyConfig, placement: Placement, data: object) -> None:
    values = np.random.default_rng(0).random((400, 400), dtype=np.float32)
    scipy.linalg.svd(values @ values)
    cv2.GaussianBlur(cv2.resize(values, (2000, 2000)), (9, 9), 2)
    network = torch.nn.Conv2d(8, 16, 3)
    network(torch.rand(4, 8, 64, 64)).square().mean().backward()
    thread_counts = {
        "torch": torch.get_num_threads(),
        "torch between operations": torch.get_num_interop_threads(),
        "opencv": cv2.getNumThreads(),
        "pools": [(pool["internal_api"], pool["num_threads"]) for pool in threadpoolctl.threadpool_info()],
        "alive": len(list(Path("/proc/self/task").iterdir())),
    }
    (directory / "threads.json").write_text(json.dumps(thread_counts))
    RunDirectory(directory).write_result(RESULT)
