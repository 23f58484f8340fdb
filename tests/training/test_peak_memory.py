import sys

import numpy as np
import pytest

from usaggr.training.peak_memory import read_peak_mib, reset_peak


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can reset the peak")
def test_a_reset_forgets_the_peak_of_an_earlier_run() -> None:
    reset_peak()  # removes the peak of earlier tests
    before = read_peak_mib()
    array = np.ones(2**25)  # 256 MiB
    at_most = read_peak_mib()
    assert at_most > before + 200
    del array
    reset_peak()
    assert read_peak_mib() < at_most - 200
