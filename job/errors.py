"""Errors that a user of the command can do something about."""

from __future__ import annotations

import sys

from job.secrets import without_logins


class UserError(Exception):
    """One sentence that names the file, key or value at fault and the way out; printed without a traceback.

    `exit_code` is 1 when the work failed and 2 when the settings are wrong.
    """

    exit_code = 1

    def __init__(self, message: str, exit_code: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        if exit_code is not None:
            self.exit_code = exit_code


class UsageError(UserError):
    """A setting that can't be meant: nothing was done."""

    exit_code = 2


def tell(sentence: str) -> None:
    """Writes a sentence of the command to the error stream, beside what a console or the answer itself says.

    Logins are left out of the addresses in it.
    """
    print(f"fruits: {without_logins(sentence)}", file=sys.stderr, flush=True)  # noqa: T201  (it is what the user is to read)
