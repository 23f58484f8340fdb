"""Whether this process was asked to stop the run that it trains: a flag that signals set and training steps look at."""


class RunInterrupted(Exception):  # noqa: N818 - nothing went wrong
    """A run was asked to stop and did: it has not failed, and goes on when it is started again."""


_asked = False


def ask() -> None:
    """Ask the run of this process to stop at the end of its training step; safe in a signal handler."""
    global _asked
    _asked = True


def asked() -> bool:
    """Whether it was asked since the last `forget`."""
    return _asked


def forget() -> None:
    """Begin anew: the next run is not the one that was asked."""
    global _asked
    _asked = False
