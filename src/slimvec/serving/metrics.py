"""What a server counts, for Prometheus. Labels are routes, models and statuses; never anything of a request's text."""

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from slimvec.serving.served import Models
from slimvec.text.embeddings import Embeddings

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """Counters of one server.

    Args:
        models: Whose queues are shown.
    """

    def __init__(self, models: Models) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter("slimvec_requests", "Requests answered", ["route", "status"], registry=self._registry)
        self.seconds = Histogram(
            "slimvec_request_seconds",
            "Time from a request's first byte to its answer's last",
            ["route"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._texts = Counter("slimvec_texts", "Texts embedded", ["model", "input_type"], registry=self._registry)
        self._tokens = Counter("slimvec_tokens", "Tokens of those texts", ["model"], registry=self._registry)
        self._truncated = Counter(
            "slimvec_truncated_texts", "Texts cut at the model's limit", ["model"], registry=self._registry
        )
        self._failed = Counter(
            "slimvec_failed_texts", "Texts whose vector is NaN, infinite or 0", ["model"], registry=self._registry
        )
        self._registry.register(_Queues(models))

    def embedded(self, model: str, role: str, answer: Embeddings) -> None:
        """Count an answer."""
        self._texts.labels(model, role).inc(len(answer.vectors))
        self._tokens.labels(model).inc(answer.num_tokens)
        self._truncated.labels(model).inc(answer.num_truncated)
        self._failed.labels(model).inc(len(answer.bad))

    def text(self) -> bytes:
        """Give all of it in Prometheus' own form."""
        return generate_latest(self._registry)


class _Queues(Collector):
    """The queues of models, read when they are asked for."""

    def __init__(self, models: Models) -> None:
        self._models = models

    def collect(self) -> Iterable[Metric]:
        """Read them."""
        shown: dict[str, tuple[str, Callable[..., float]]] = {
            "slimvec_waiting_tokens": ("Tokens that wait", lambda queue: queue.waiting_tokens),
            "slimvec_waiting_requests": ("Requests that wait", lambda queue: queue.waiting_requests),
            "slimvec_tokens_per_second": ("Tokens computed a second, of late", lambda queue: queue.tokens_per_second),
        }
        for name, (meaning, read) in shown.items():
            family = GaugeMetricFamily(name, meaning, labels=["model"])
            for model in self._models:
                family.add_metric([model.name], read(model.scheduler))
            yield family
