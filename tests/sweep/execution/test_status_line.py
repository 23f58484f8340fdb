"""The status line of a running sweep estimates the remaining time, and prints few lines without a terminal."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text

from usaggr.sweep.execution.status_line import RemainingTime, SweepLine, format_duration, format_status


def test_the_time_left_is_unknown_before_a_run_has_ended() -> None:
    assert RemainingTime(2).estimate_seconds([100], [(100, 5.0)]) is None


def test_the_time_left_is_proportional_to_examples_and_shared_by_workers() -> None:
    remaining = RemainingTime(slots=2)
    remaining.add_finished(examples=100, seconds=10)  # a tenth of a second each
    assert remaining.estimate_seconds([100, 100, 100, 100], []) == pytest.approx(20)
    assert remaining.estimate_seconds([], [(100, 4.0), (100, 4.0)]) == pytest.approx(6)
    remaining.add_finished(examples=100, seconds=30)
    assert remaining.estimate_seconds([100, 100], []) == pytest.approx(20)


def test_one_long_run_is_not_shared_between_workers() -> None:
    remaining = RemainingTime(slots=4)
    remaining.add_finished(examples=100, seconds=10)
    assert remaining.estimate_seconds([1000, 10, 10], []) == pytest.approx(100)
    assert remaining.estimate_seconds([], [(1000, 30.0)]) == pytest.approx(70)


def test_a_run_that_takes_longer_than_expected_is_not_counted_below_zero() -> None:
    remaining = RemainingTime(slots=1)
    remaining.add_finished(examples=100, seconds=10)
    assert remaining.estimate_seconds([100], [(100, 500.0)]) == pytest.approx(10)


@given(
    st.integers(1, 8),
    st.lists(st.integers(1, 1000), max_size=20),
    st.lists(st.tuples(st.integers(1, 1000), st.floats(0, 1000)), max_size=8),
)
def test_the_time_left_is_never_less_than_the_work_shared_perfectly(
    slots: int, waiting: list[int], running: list[tuple[int, float]]
) -> None:
    remaining = RemainingTime(slots)
    remaining.add_finished(examples=1, seconds=1)
    left = remaining.estimate_seconds(waiting, running[:slots])
    work = sum(waiting) + sum(max(examples - since, 0) for examples, since in running[:slots])
    assert left is not None
    assert work / slots - 1e-6 <= left <= work + 1e-6


def plain(markup: str) -> str:
    return Text.from_markup(markup).plain


def test_the_line_counts_runs_and_names_failures_only_if_there_are_any() -> None:
    text = plain(format_status(12, 78, 0, 2, 61, 3700, stopping=False))
    assert "12/78 done · 2 running · 1 min 1 s · about 1 h 1 min left" in text
    assert "failed" not in text
    assert "1 failed" in plain(format_status(12, 78, 1, 2, 61, None, stopping=False))
    assert "Ctrl-C again" in plain(format_status(12, 78, 1, 2, 61, 100, stopping=True))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.6, "1 min 0 s"), (3599.7, "1 h 0 min"), (86399.9, "1 d 0 h"), (200_000, "2 d 7 h")],
)
def test_a_duration_is_rounded_once(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_without_a_terminal_a_line_is_printed_every_five_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr("usaggr.sweep.execution.status_line.time.monotonic", lambda: clock[-1])
    out = io.StringIO()
    shown = SweepLine(Console(file=out, width=40), total=3)
    shown.start()
    shown.show(0, 0, 2, None)
    shown.print_message("a [b]: its worker died; it is tried again")
    for now in (1299.0, 1301.0, 1302.0, 1602.0):
        clock.append(now)
        shown.show(1, 0, 2, 30.0)
    shown.stop()
    message, first, second = out.getvalue().splitlines()
    assert message == "a [b]: its worker died; it is tried again"
    assert first == "sweep 1/3 done · 2 running · 5 min 1 s · about 30 s left"
    assert second == "sweep 1/3 done · 2 running · 10 min 2 s · about 30 s left"


def test_on_a_terminal_the_line_is_removed_and_messages_stay() -> None:
    out = io.StringIO()
    shown = SweepLine(Console(file=out, force_terminal=True, width=100), total=3)
    shown.start()
    shown.show(1, 0, 2, 30.0)
    shown.print_message("failed: a [b]: reason")
    shown.stop()
    shown.stop()
    assert "1/3" in out.getvalue()
    assert "failed: a [b]: reason" in out.getvalue()
    assert out.getvalue().endswith("\x1b[2K")  # the line is wiped
