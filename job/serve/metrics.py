"""What a server counts, in the form that Prometheus reads."""

from collections.abc import Callable
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST as CONTENT_TYPE

from job import __version__

__all__ = ["CONTENT_TYPE", "Metrics"]

# Seconds; a picture takes some milliseconds, and a deadline is some seconds.
_BOUNDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class Metrics:
    """Counters of one server.

    Parameters
    ----------
    digest
        Digest of the model.
    waiting, restarts
        Tell the number of pictures that have no answer yet, and of processes that were started again.

    """

    def __init__(self, digest: str, waiting: Callable[[], int], restarts: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        requests = Counter("fruits_requests", "Requests by path and code.", ["path", "code"], registry=self._registry)
        pictures = Counter("fruits_pictures", "Pictures by status.", ["status"], registry=self._registry)
        # The counters of one path and code, and of one status: looked up once.
        self.request: Callable[[str, int], Counter] = cache(requests.labels)
        self.picture: Callable[[str], Counter] = cache(pictures.labels)
        self.seconds = Histogram(
            "fruits_predict_seconds",
            "Seconds from a request for predictions to its answer.",
            buckets=_BOUNDS,
            registry=self._registry,
        )
        Gauge("fruits_waiting_pictures", "Pictures without an answer.", registry=self._registry).set_function(waiting)
        Gauge(
            "fruits_worker_restarts", "Processes that were started in place of one that ended.", registry=self._registry
        ).set_function(restarts)
        Gauge("fruits_model_info", "The model.", ["digest", "version"], registry=self._registry).labels(
            digest, __version__
        ).set(1)

    def text(self) -> bytes:
        """All of it as text."""
        return generate_latest(self._registry)
