# SPDX-License-Identifier: MIT
"""A link's addresses. They go with it.

State: "addresses" [text].
"""

from tunlite import addresses
from tunlite.host import failures
from tunlite.system import port

_EEXIST = 17


def apply(name, wanted, state):
    """Adds what is missing and removes what an earlier configuration had."""
    texts = [addresses.format_prefix(prefix) for prefix in wanted]
    for i, text in enumerate(texts):
        if text not in state["addresses"]:
            try:
                port.links.addr_add(name, wanted[i])
            except OSError as e:
                if e.errno != _EEXIST:
                    raise failures.step_error("Address " + text, e)
            state["addresses"].append(text)
    for text in list(state["addresses"]):
        if text not in texts:
            failures.undo(lambda text=text: port.links.addr_del(name, addresses.parse_prefix(text)))
            state["addresses"].remove(text)
