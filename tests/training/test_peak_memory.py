import sys

import numpy as np
import pytest

from usaggr.training.peak_memory import forget_peak, peak_mib


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux begins anew")
def test_what_an_earlier_run_held_is_forgotten() -> None:
    forget_peak()  # of the tests before
    before = peak_mib()
    held = np.ones(2**25)  # 256 MiB
    at_most = peak_mib()
    assert at_most > before + 200
    del held
    forget_peak()
    assert peak_mib() < at_most - 200
