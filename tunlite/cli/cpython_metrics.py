# SPDX-License-Identifier: MIT
"""`tunlite metrics`: to stdout, or over HTTP."""

from tunlite import endpoints
from tunlite.errors import UsageError, UserError, said
from tunlite.system import port
from tunlite.uapi import cpython_metrics as metrics


class ListenError(UserError):
    """Nobody can be served."""


def write(names, per_peer):
    for piece in metrics.pieces(metrics.gathered(names, per_peer)):
        port.write_out(piece)


def listen(text, names, per_peer):
    """Until SIGTERM or SIGINT."""
    try:
        host, number = endpoints.split(text)
    except ValueError:
        raise UsageError("--listen takes ADDRESS:PORT, 127.0.0.1:9586 for instance")
    try:
        from tunlite.uapi import cpython_exporter
    except ImportError:
        raise ListenError("--listen needs prometheus-client: pip install 'tunlite[metrics]'")
    try:
        cpython_exporter.serve(host, number, cpython_exporter.Collector(names, per_peer))
    except OSError as e:
        raise ListenError(f"{text} cannot be listened on: {said(e)}")
