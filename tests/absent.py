"""What a machine need not have."""

import os
from typing import NoReturn

import pytest


def absent(sentence: str) -> NoReturn:
    """Skips a user's test for want of what the sentence says is not there; in CI, where all must be there, it fails."""
    if os.environ.get("CI"):
        pytest.fail(sentence)
    pytest.skip(sentence)
