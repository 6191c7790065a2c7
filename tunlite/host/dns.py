# SPDX-License-Identifier: MIT
"""Name servers and search domains, by resolvconf. They outlive the link.

State: "dns" the name that resolvconf knows, or "".
"""

from tunlite import programs
from tunlite.host import failures
from tunlite.system import port


def _resolvconf_name(name):
    """Debian's resolvconf ranks by the name's beginning: the first pattern of its list is best."""
    try:
        order = port.read_file("/etc/resolvconf/interface-order").decode()
    except OSError:
        return name
    for line in order.split("\n"):
        stem = line[:-1]
        if line.endswith("*") and stem and "." not in stem and "*" not in stem:
            return stem + "." + name
    return name


def apply(name, rows, state):
    """Hands name servers and search domains to resolvconf."""
    if not rows:
        undo(state)
        return
    program = programs.find("resolvconf")
    if program is None:
        raise failures.LinkError(
            "DNS: there is no resolvconf program to hand the servers to; install openresolv or"
            " resolvconf, or remove the DNS line"
        )
    text = "".join([f"nameserver {server}\n" for server, _ in rows if server])
    domains = [domain for _, domain in rows if domain]
    if domains:
        text += "search " + " ".join(domains) + "\n"
    label = _resolvconf_name(name)
    status = programs.run([program, "-a", label, "-m", "0", "-x"], text.encode())
    if status:
        raise failures.LinkError(f"DNS: resolvconf -a {label} {programs.describe(status)}")
    state["dns"] = label


def undo(state):
    if state["dns"]:
        program = programs.find("resolvconf")
        if program:
            programs.run([program, "-d", state["dns"], "-f"])
        state["dns"] = ""
