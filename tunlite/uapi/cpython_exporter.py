# SPDX-License-Identifier: MIT
"""`tunlite metrics --listen`: cpython_metrics.py over HTTP, by prometheus-client, for gateways."""

import prometheus_client
from prometheus_client import core

from tunlite.system import port
from tunlite.uapi import cpython_metrics as metrics

_SIGHUP = 1
_KINDS = {"gauge": core.GaugeMetricFamily, "counter": core.CounterMetricFamily}


class Collector:
    """Asks the daemons anew at each scrape."""

    def __init__(self, names, per_peer):
        self._names = names
        self._per_peer = per_peer

    def collect(self):
        found = metrics.gathered(self._names, self._per_peer)
        for name, kind, text, samples in found.families():
            family = _KINDS[kind](name, text)
            for labels, value in samples:
                family.add_sample(name, dict(labels), float(value))
            yield family


def serve(host, number, collector):
    """Until SIGTERM or SIGINT. OSError: it cannot listen there."""
    registry = prometheus_client.CollectorRegistry()
    registry.register(collector)
    signals = port.signal_fd()
    prometheus_client.start_http_server(number, host, registry)
    while True:
        port.poll([(signals, port.POLLIN)], -1)
        if set(port.os_read(signals, 64)) - {_SIGHUP}:
            return
