"""Figures in the form of the Prometheus client."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily


def plain(name: str, text: str, value: float | None) -> GaugeMetricFamily:
    """One figure; without a sample where it is not known."""
    metric = GaugeMetricFamily(name, text)
    if value is not None:
        metric.add_metric([], float(value))
    return metric


def labelled(
    name: str,
    text: str,
    labels: tuple[str, ...],
    samples: Iterable[tuple[tuple[str, ...], float]],
) -> GaugeMetricFamily:
    """One figure for each combination of values of ``labels``."""
    metric = GaugeMetricFamily(name, text, labels=labels)
    for values, figure in samples:
        metric.add_metric([str(value) for value in values], float(figure))
    return metric


def counted(
    name: str, text: str, label: str, samples: Iterable[tuple[str, int]]
) -> CounterMetricFamily:
    """What only grows, for each value of ``label``; its samples are called ``name_total``."""
    metric = CounterMetricFamily(name, text, labels=(label,))
    for value, figure in samples:
        metric.add_metric([value], float(figure))
    return metric
