"""Figures for Prometheus: requests, pictures, how long and how many wait, which version paints."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4 as CONTENT_TYPE
from prometheus_client.registry import Collector

from pipeline.serve.shelf import Shelf

__all__ = ["CONTENT_TYPE", "Figures"]

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Figures:
    """All figures of one server."""

    def __init__(self) -> None:
        """Begin at zero."""
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "atelier_requests", "Requests answered.", ("path", "method", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "atelier_request_seconds",
            "From a request's first byte to its answer's last.",
            ("path",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.paintings = Counter("atelier_paintings", "Pictures painted.", ("model", "alias"), registry=self.registry)
        self.painting_seconds = Histogram(
            "atelier_painting_seconds",
            "Painting one picture, without opening it or waiting.",
            ("model",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.refused = Counter("atelier_refused", "Requests refused.", ("code",), registry=self.registry)
        self.swaps = Counter(
            "atelier_swaps", "Times that another version took over.", ("model",), registry=self.registry
        )
        self.inside = Gauge("atelier_inside", "Requests with a picture, waiting or at work.", registry=self.registry)
        self.at_work = Gauge("atelier_at_work", "Pictures being opened or painted.", registry=self.registry)
        ProcessCollector(registry=self.registry)

    def watch(self, shelf: Shelf) -> None:
        """Report on the models at hand, as they are when asked."""
        self.registry.register(_Models(shelf))

    def swapped(self, model: str) -> None:
        """Count that another version took over."""
        self.swaps.labels(model).inc()

    def painted(self) -> int:
        """Return how many pictures were painted."""
        samples = (sample for family in self.paintings.collect() for sample in family.samples)
        return int(sum(sample.value for sample in samples if sample.name.endswith("_total")))

    def text(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self.registry)


class _Models(Collector):
    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def collect(self) -> list[GaugeMetricFamily]:
        labels = ("model", "alias", "version", "package")
        models = GaugeMetricFamily(
            "atelier_model_since_seconds", "When a version took over (Unix time).", labels=labels
        )
        for one in self._shelf.models.values():
            models.add_metric((one.name, one.alias, str(one.version or ""), one.digest[:12]), one.since)
        problems = GaugeMetricFamily("atelier_model_problems", "Models that should be at hand and cannot be loaded.")
        problems.add_metric((), len(self._shelf.problems))
        return [models, problems]
