"""How many examples a property test tries; the number is that of the profile of hypothesis (tests/conftest.py)."""

from hypothesis import settings


def share_of_examples(share: float) -> settings:
    """Return the settings of a property test whose examples take long: it tries only a share of the usual number.

    Args:
        share: In (0, 1]; the test tries at least 5 examples whatever the share is.
    """
    return settings(max_examples=max(5, round(share * settings().max_examples)))
