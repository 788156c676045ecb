"""Where files are kept that later runs of this user find again."""

import os
from pathlib import Path


def cache_folder() -> Path | None:
    """`fruits-job` in XDG_CACHE_HOME, else in `.cache` of the user's home; it need not be there yet.

    None for a user without a home, as a container may have: a folder that everybody may write is no place for what is
    run later.
    """
    base = os.environ.get("XDG_CACHE_HOME")
    if base:
        return Path(base) / "fruits-job"
    home = home_folder()
    return home / ".cache" / "fruits-job" if home else None


def home_folder() -> Path | None:
    """The user's home; None for a user who has none: no HOME, and a number that no name belongs to."""
    try:
        return Path.home()
    except RuntimeError:
        return None
