"""Tests of the page section about balancing methods, with known times."""

from benchmarks.training.balancing import Compared, report


def test_rows_are_networks_and_batches_and_columns_are_methods() -> None:
    pairs = ((0.3, 0.1), (0.2, 0.1), (0.1, 0.1))
    cases = [("tiny", 8, "pcgrad"), ("tiny", 8, "upgrad"), ("tiny", 20, "pcgrad"), ("tiny", 20, "upgrad")]
    compared = [Compared(network, size, 96, way, pairs) for network, size, way in cases]
    *_, columns, _, first, second = report(compared, "A machine").splitlines()
    assert columns == "| network | batch | px | equal, ms | pcgrad | upgrad |"
    assert first == "| tiny | 8 | 96 | 100 | 2.00 (1.50 to 2.50) | 2.00 (1.50 to 2.50) |"
    assert second.startswith("| tiny | 20 | 96 |")
