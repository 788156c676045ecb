"""What Prometheus reads of a watch."""

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server

from job.errors import UserError
from job.model.predict import OK, UNKNOWN

_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200)


class Meters:
    """Counters and a histogram, answered over HTTP as long as this process lives."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._pictures = Counter("fruits_pictures", "Pictures that are in a batch.", registry=self._registry)
        self._rejected = Counter(
            "fruits_pictures_rejected", "Pictures that could not be used.", ["reason"], registry=self._registry
        )
        self._batches = Counter("fruits_batches", "Batches that were written.", registry=self._registry)
        self._faults = Counter(
            "fruits_faults", "Times that the watch had to wait for a store that did not work.", registry=self._registry
        )
        self._seconds = Histogram(
            "fruits_arrival_to_prediction_seconds",
            "Seconds from when the store says that a picture was written to when its prediction was.",
            buckets=_SECONDS,
            registry=self._registry,
        )

    def serve(self, host: str, port: int) -> int:
        """Answers on that port, or on a free one for 0; returns the port. Raises UserError when it can't be had."""
        try:
            server, _ = start_http_server(port, host, self._registry)
        except OSError as error:
            raise UserError(
                f"The metrics can't be told on {host}:{port} ({error.strerror or error}): choose another "
                "--metrics-port or --metrics-host.",
                2,
            ) from error
        return int(server.server_port)

    def batch(self, statuses: Mapping[str, int], seconds: Iterable[float]) -> None:
        """A batch was written, of pictures that have these statuses and took so long."""
        self._batches.inc()
        for status, count in statuses.items():
            self._pictures.inc(count)
            if status not in (OK, UNKNOWN):
                self._rejected.labels(status).inc(count)
        for value in seconds:
            self._seconds.observe(value)

    def fault(self) -> None:
        """The store did not work."""
        self._faults.inc()
