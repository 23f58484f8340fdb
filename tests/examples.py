"""Number of examples of a property test, relative to that of hypothesis' profile (tests/conftest.py)."""

from hypothesis import settings


def share_of_examples(share: float) -> settings:
    """Return the settings of a property test with slow examples, which tries only a share of the usual number.

    Args:
        share: In (0, 1]; the test tries at least 5 examples for any share.
    """
    return settings(max_examples=max(5, round(share * settings().max_examples)))
