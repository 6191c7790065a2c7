# SPDX-License-Identifier: MIT
"""One batman-adv mesh of routers over `Layer = 2`, each machine another: two gateways, and two
routers that know the gateways only. The gateway that carries them is killed amid it.

    mips, big-endian:  near --+                  +-- far -- lan -- node
                              |  (namespaces)    |
                              +---- outside -----+
                                       |
    host's namespace:                wires (a bridge of taps)
                                    |     |
    mipsel: gateway 1 --------------+     +-------------- aarch64: gateway 2

The host needs no batman-adv; the guests' kernels have it.
"""

import signal
import tempfile

from lab.netns import Lab
from qemu import boot, targets
from qemu.router_test import DIST, RouterTestError, test_keys
from qemu.userland import add_userland

ROUTER = "mips"
GATEWAYS = {1: "mipsel", 2: "aarch64"}
_KEYS = 5  # 1 and 2 the gateways, 3 and 4 the routers
_ROUTER_LIMIT_S = 900


def _image(arch: str, script: str, params: dict[str, str]):
    """The guest's root file system: our program, its keys, `script` as what it does."""
    program = DIST / f"tunlite-{arch}"
    if not program.is_file():
        raise RouterTestError(f"no {program}: run `./dev cross-build --arch {arch}` first")
    target = targets.load(arch)
    image = boot.base_image(target, boot.kernel_of(target), params)
    add_userland(image, target)
    image.add_program("usr/bin/tunlite", program)
    image.add("tl/main.sh", (boot.GUEST / script).read_bytes())
    image.add("tl/lib.sh", (boot.GUEST / "lib.sh").read_bytes())
    keys = [f"{n} {private} {public}\n" for n, (private, public) in enumerate(test_keys(_KEYS))]
    image.add("tl/keys", "".join(keys), 0o600)
    return image


def _wires(lab: Lab):
    """A namespace with a bridge of taps: tap0 for the routers, tapN for gateway N."""
    space = lab.namespace("wires")
    space.ip("link", "add", "wires", "type", "bridge")
    space.ip("link", "set", "wires", "up")
    for number in (0, *GATEWAYS):
        space.ip("tuntap", "add", "dev", f"tap{number}", "mode", "tap")
        space.ip("link", "set", f"tap{number}", "master", "wires", "up")
    return space


def _nic(arch: str, number: int) -> list[str]:
    nic = ["-netdev", f"tap,id=n0,ifname=tap{number},script=no,downscript=no"]
    card = f"{targets.load(arch).nic},netdev=n0,mac=52:54:00:00:78:{number:02x}"
    return [*nic, "-device", card]


def _gateway(lab: Lab, space, number: int):
    """Its machine, booting."""
    arch = GATEWAYS[number]
    others = " ".join(str(n) for n in range(1, _KEYS) if n != number)
    params = {"TL_NUMBER": str(number), "TL_PEERS": others}
    initrd = lab.folder / f"gateway{number}.gz"
    initrd.write_bytes(_image(arch, "mesh_gateway.sh", params).pack())
    target = targets.load(arch)
    argv = boot.command(target, boot.kernel_of(target), initrd, _nic(arch, number))
    return space.start(argv, f"gateway{number}")


def _take_gateways(result: boot.Result, gateways: dict) -> None:
    """What they said is the result's too."""
    for number, machine in gateways.items():
        said = boot.Result()
        for line in machine.log().splitlines():
            said.take(line.rstrip("\r"))
        result.passed += said.passed
        result.failed |= said.failed
        result.values |= said.values
        result.console += [f"--- gateway {number}", *said.console]


def mesh_test(say=print) -> boot.Result:
    """Boots all three, and the mesh is used, loses a gateway and is used again."""
    with tempfile.TemporaryDirectory(prefix="tunlite-mesh-") as folder:
        lab = Lab(folder)
        try:
            space = _wires(lab)
            gateways = {number: _gateway(lab, space, number) for number in GATEWAYS}

            def heard(line: str) -> None:
                say(line)
                if line.startswith("note kill "):
                    gateways[int(line.split()[2])].stop(signal.SIGKILL)

            target = targets.load(ROUTER)
            result = boot.boot(
                target,
                boot.kernel_of(target),
                _image(ROUTER, "mesh_router.sh", {}),
                _ROUTER_LIMIT_S,
                _nic(ROUTER, 0),
                space.command([]),
                heard,
            )
            _take_gateways(result, gateways)
            return result
        finally:
            lab.close()
