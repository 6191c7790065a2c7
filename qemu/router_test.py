# SPDX-License-Identifier: MIT
"""The router test: boots an image with our program in it and runs the guest's scenarios."""

import base64
import hashlib
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from qemu import boot, hostpeer, targets
from qemu.userland import add_userland

ROOT = Path(__file__).parent.parent
DIST = ROOT / "dist"
STANDINS = ROOT / "lab/openwrt/root"  # netifd, ubus, uci and OpenWrt's shell libraries
FRAMES = ("ether8", "vxlan", "detour")  # of Ethernet at the device
PACKAGED = ("package", "handler")  # what needs our packages
SCENARIOS = (
    *PACKAGED,
    "pair",
    "kernel",
    "mesh",
    "clock1970",
    "restart",
    "peers8",
    "peers200",
    *FRAMES,
    "host",
)
KEYS = 211
# Without a battery a router's clock starts here; the scenarios live with it.
CLOCK = ("-rtc", "base=1970-01-01T00:10:00")


@dataclass(frozen=True)
class Options:
    """`implementation` is "tunlite", or "kernel" to test the scenarios themselves."""

    implementation: str = "tunlite"
    scenarios: tuple[str, ...] = SCENARIOS
    limit_s: float = 1500
    program: Path | None = None
    packages: tuple[Path, ...] = ()


class RouterTestError(Exception):
    """The test cannot begin; the message says what is missing and how to make it."""


def test_keys(count: int = KEYS) -> list[tuple[str, str]]:
    """(private, public) in base64, the same in every run; number 0 is there to count from 1."""
    pairs = []
    for number in range(count):
        private = X25519PrivateKey.from_private_bytes(
            hashlib.sha256(f"tunlite router test {number}".encode()).digest()
        )
        raw = private.private_bytes(
            serialization.Encoding.Raw,
            serialization.PrivateFormat.Raw,
            serialization.NoEncryption(),
        )
        public = private.public_key().public_bytes_raw()
        pairs.append((base64.b64encode(raw).decode(), base64.b64encode(public).decode()))
    return pairs


def _program(arch: str, options: Options) -> Path:
    program = options.program or DIST / f"tunlite-{arch}"
    if not program.is_file():
        raise RouterTestError(f"no {program}: run `./dev cross-build --arch {arch}` first")
    return program


def _scenarios(options: Options) -> tuple[list[str], list[str]]:
    """The scenarios that can run, and a note for each that cannot."""
    chosen, notes = list(options.scenarios), []
    reasons = {"host": hostpeer.missing()}
    if options.implementation == "kernel":
        reasons |= dict.fromkeys(PACKAGED, "the kernel's WireGuard has no package")
        reasons |= dict.fromkeys(FRAMES, "the kernel's WireGuard has no Ethernet frames")
    elif not options.packages:
        reasons |= dict.fromkeys(PACKAGED, "no packages were given")
    for name, reason in reasons.items():
        if reason and name in chosen:
            chosen.remove(name)
            notes.append(f"scenario {name} is left out: {reason}")
    return chosen, notes


def _host_tunlite() -> list[str] | None:
    """How to start tunlite on the host: this tree by CPython."""
    if (ROOT / "tunlite" / "__main__.py").is_file():
        return [sys.executable, "-m", "tunlite"]
    return None


def router_test(arch: str, options: Options, say=print) -> boot.Result:
    """Boot the machine `arch` and run the scenarios; `say` gets each line as it comes."""
    target = targets.load(arch)
    scenarios, notes = _scenarios(options)
    for line in notes:
        say(f"note {line}")
    kernel = boot.kernel_of(target)
    keys = test_keys()
    params = {
        "TL_IMPL": options.implementation,
        "TL_SCENARIOS": " ".join(scenarios),
        "TL_ARCH": arch,
    }
    with ExitStack() as stack:
        extra, prefix = ["-nic", "none"], []
        if "host" in scenarios:
            space = stack.enter_context(hostpeer.namespace())
            peers = hostpeer.HostPeers(space, keys)
            stack.callback(peers.stop)
            peers.start_wireguard_go(hostpeer.wireguard_go())
            own = _host_tunlite()
            if own and options.implementation == "tunlite":
                peers.start_tunlite(own)
            names = [f"{name}:{number}" for name, number in peers.names.items()]
            params["TL_HOST_PEERS"] = " ".join(names)
            extra = ["-netdev", "tap,id=n0,ifname=tap0,script=no,downscript=no"]
            extra += ["-device", f"{target.nic},netdev=n0"]
            prefix = space.prefix
        packages = options.packages if set(PACKAGED) & set(scenarios) else ()
        params["TL_PACKAGES"] = " ".join(path.name for path in packages)
        image = boot.base_image(target, kernel, params)
        add_userland(image, target)
        for script in ("main.sh", "lib.sh", "scenarios.sh"):
            image.add(f"tl/{script}", (boot.GUEST / script).read_bytes())
        lines = [f"{n} {private} {public}\n" for n, (private, public) in enumerate(keys)]
        image.add("tl/keys", "".join(lines), 0o600)
        if options.implementation == "tunlite" and not packages:
            image.add_program("usr/bin/tunlite", _program(arch, options))
        for path in packages:
            image.add(f"tl/{path.name}", path.read_bytes())
        if "handler" in scenarios:
            image.add_tree("", STANDINS)
        say(f"booting {arch} with {kernel.name}, {target.memory_mb} MB")
        result = boot.boot(target, kernel, image, options.limit_s, [*CLOCK, *extra], prefix, say)
        if not result.ok and "host" in scenarios:
            result.console += ["--- the host's daemons", *peers.logs().splitlines()]
    return result
