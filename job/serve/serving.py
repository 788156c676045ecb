"""What a server serves, and how it says that it does not answer a request."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from job.errors import tell
from job.model import stored_card
from job.model.predict import NOTHING_REJECTED, Model, Rejection
from job.model.stored_card import StoredCard
from job.serve.limits import Limits, Load
from job.serve.metrics import Metrics
from job.serve.workers import Workers

AGAIN: Mapping[str, str] = {"Retry-After": "1"}
"""The header that says after how many seconds it may be worth trying again."""
CLOSE: Mapping[str, str] = {"Connection": "close"}
"""The header that says that the connection ends with this answer."""


@dataclass
class Serving:
    """What the application serves, and how. `draining` is set when the server is about to stop.

    `warn` is told what went wrong that is no fault of a request; `answered`, where there is one, the method, path, code
    and seconds of each answer. It must not raise. The model's card is read once, when this is made, so that it stays
    that of the model which was loaded.
    """

    model: Model
    workers: Workers
    limits: Limits
    top_k: int = 3
    rejection: Rejection = NOTHING_REJECTED
    draining: bool = False
    warn: Callable[[str], None] = tell
    answered: Callable[[str, str, int, float], None] | None = None
    load: Load = field(init=False)
    metrics: Metrics = field(init=False)
    card: StoredCard = field(init=False)

    def __post_init__(self) -> None:
        self.load = Load(self.limits)
        self.metrics = Metrics(self.model.digest, lambda: self.load.pictures, lambda: self.workers.restarts)
        self.card = stored_card.read(self.model.uri)
        for complaint in self.card.complaints:
            self.warn(complaint)

    def failed(self, error: Exception) -> JSONResponse:
        """What is answered where this program has a fault, which `warn` is told."""
        self.warn(f"A request failed, which is a fault of this program: {type(error).__name__}: {error}.")
        said = {"status": "failed", "reason": "The server failed: its log says more."}
        return JSONResponse(said, 500, dict(CLOSE))


class Refused(HTTPException):
    """A request that is not answered: code, a word for programs and a sentence for people."""

    def __init__(self, code: int, status: str, reason: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(code, reason, dict(headers or {}))
        self.status = status

    def response(self) -> JSONResponse:
        """What is answered instead."""
        return JSONResponse({"status": self.status, "reason": self.detail}, self.status_code, self.headers)
