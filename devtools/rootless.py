# SPDX-License-Identifier: MIT
"""Namespaces need CAP_NET_ADMIN. Whoever is not root gets it in a user namespace of their own.

python -m devtools.rootless COMMAND ...     inside: prepares /run, becomes COMMAND
"""

import os
import subprocess
import sys

_CAP_NET_ADMIN, _CAP_SYS_ADMIN = 12, 21


def has_capabilities():
    """Whether this process may make namespaces and devices."""
    with open("/proc/self/status", encoding="ascii") as status:
        line = next(line for line in status if line.startswith("CapEff:"))
    caps = int(line.split()[1], 16)
    return bool(caps >> _CAP_NET_ADMIN & 1 and caps >> _CAP_SYS_ADMIN & 1)


def wrap(argv):
    """argv such that it runs with CAP_NET_ADMIN; SystemExit says what to change where it cannot."""
    if has_capabilities():
        return argv
    unshare = ["unshare", "--user", "--map-root-user", "--net", "--mount"]
    attempt = subprocess.run([*unshare, "true"], capture_output=True, text=True)
    if attempt.returncode:
        raise SystemExit(
            f"This needs root or a user who may create user namespaces: {attempt.stderr.strip()}\n"
            "Run it as root, or allow them with one of:\n"
            "  sudo sysctl kernel.unprivileged_userns_clone=1\n"
            "  sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0"
        )
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        raise SystemExit(
            "This user may not open /dev/net/tun. Be root, or open it as udev usually does:\n"
            "  sudo chmod 0666 /dev/net/tun"
        )
    return [*unshare, "--", sys.executable, "-m", "devtools.rootless", *argv]


def main():
    """Inside the new namespaces: a private /run, where `ip netns` and UAPI sockets live."""
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
    os.makedirs("/run/netns")
    os.makedirs("/run/wireguard")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    os.execvp(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
