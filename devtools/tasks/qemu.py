# SPDX-License-Identifier: MIT
"""The emulated routers as tasks."""

import sys
from pathlib import Path

from invoke import task

from devtools import cross
from devtools.openwrt import architectures, make, rows
from devtools.tasks.build import build


def _fail_with_console(result, log: Path) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("\n".join(result.console) + "\n")
    print("\n".join(result.console))
    sys.exit(f"FAILED: {result.why_not_ok()}\n(the guest's console is in {log})")


def _mesh(result) -> None:
    if not result.ok:
        _fail_with_console(result, Path("build/qemu-mesh.log"))
    print(f"mesh: {len(result.passed)} checks passed; {result.values}")


def _packages(arch, named):
    """Paths: those named, else all of ours, made anew of an executable that is up to date."""
    if named:
        return tuple(map(Path, named.split(",")))
    cross.build(arch)
    name = architectures.names(arch)[0]
    return tuple(make.package(row, "ipk", name) for row in rows.PACKAGES)


@task(
    pre=[build],
    help={
        "arch": "mipsel, arm, aarch64, mips (big-endian) or x86_64",
        "engines": "boot x86_64 kernels of several generations and check the chosen engine",
        "mesh": "boot three machines at once: one batman-adv mesh over layer 2",
        "implementation": "tunlite, or kernel: the scenarios with the kernel's WireGuard",
        "scenarios": "comma-separated; all by default",
        "limit_s": "seconds until the machine is killed",
        "program": "another executable than dist/tunlite-ARCH",
        "packages": "by commas, other .ipk files than those that are made",
    },
)
def qemu_test(
    c,
    arch="",
    engines=False,
    mesh=False,
    implementation="tunlite",
    scenarios="",
    limit_s=1500,
    program="",
    packages="",
):
    """Boot an emulated router with our package in it and test tunnels, mesh, memory, restarts."""
    from machine.debs import DebsError
    from machine.toolchain import ToolchainError
    from qemu import kernels, mesh_test, router_test

    known = (DebsError, kernels.KernelError, router_test.RouterTestError)
    known = (*known, ToolchainError, rows.PackageError)
    if [bool(arch), engines, mesh].count(True) != 1:
        sys.exit("say --arch mipsel|arm|aarch64|mips|x86_64, or --engines, or --mesh")
    try:
        if engines:
            from qemu import engine_test

            engine_test.main()
            return
        if mesh:
            _mesh(mesh_test.mesh_test(lambda line: print(line, flush=True)))
            return
        options = router_test.Options(
            implementation=implementation,
            scenarios=tuple(scenarios.split(",")) if scenarios else router_test.SCENARIOS,
            limit_s=float(limit_s),
            program=Path(program) if program else None,
            packages=_packages(arch, packages)
            if implementation == "tunlite" and not program
            else (),
        )
        result = router_test.router_test(arch, options, lambda line: print(line, flush=True))
    except known as e:
        sys.exit(str(e))
    if not result.ok:
        _fail_with_console(result, router_test.ROOT / "build" / f"qemu-{arch}.log")
    print(f"{arch}: {len(result.passed)} checks passed")
