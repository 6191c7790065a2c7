# SPDX-License-Identifier: MIT
"""Which engine tunlite chooses on kernels of several generations, and what it says about it."""

import json
import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from qemu import boot, targets
from qemu.router_test import DIST, RouterTestError, test_keys
from qemu.userland import add_userland

# The rings that native/outside/uring.c makes want 6.1; kernel.io_uring_disabled is of 6.6.
RING_SINCE = (6, 1)
SYSCTL_SINCE = (6, 6)


@dataclass(frozen=True)
class Generation:
    """A kernel that Debian has: the version it must turn out to be, and where it is."""

    name: str
    least: tuple[int, int]
    below: tuple[int, int]
    suite: str


GENERATIONS = (
    Generation("5.10", (5, 10), (5, 11), "bullseye"),
    Generation("6.1", (6, 1), (6, 2), "bookworm"),
    Generation("6.12", (6, 12), (6, 13), "trixie"),
    Generation("newer", (6, 13), (99, 0), "trixie-backports"),
)


def _row(probe: dict, name: str) -> dict:
    rows = [f for f in probe["features"] if f["kind"] == "engine" and f["name"] == name]
    return rows[0] if rows else {"on": False, "why": "not listed"}


def _version(release: str) -> tuple[int, int]:
    major, minor = re.split("[-+]", release)[0].split(".")[:2]
    return int(major), int(minor)


def judge(generation: Generation, console: list[str]) -> list[str]:
    """What is wrong with the choices that a guest reported; empty when all is right."""
    documents = {}
    for name, text in boot.documents(console, "json").items():
        try:
            documents[name] = json.loads(text)
        except ValueError:
            return [f"{name} is no JSON: {text[:200]}"]
    wrong = []
    plain = documents.get("plain-probe")
    if plain is None:
        return ["the guest printed no probe"]
    version = _version(plain["kernel"])
    if not generation.least <= version < generation.below:
        wrong.append(f"the kernel is {plain['kernel']}, not {generation.name}")
    for name, document in documents.items():
        if name.endswith("-probe"):
            wrong += [f"{name}: {text}" for text in _judge_probe(document, name, version)]
            shown = documents.get(name.replace("-probe", "-show"), {}).get("engine")
            if shown != document["engine"]:
                wrong.append(f"{name} says {document['engine']}, the daemon uses {shown}")
    wrong += _judge_forced(documents, boot.documents(console, "log"))
    if version >= SYSCTL_SINCE and "disabled-probe" not in documents:
        wrong.append("the kernel should have kernel.io_uring_disabled")
    return wrong


def _judge_probe(probe: dict, name: str, version: tuple[int, int]) -> list[str]:
    wrong = []
    engines = [f for f in probe["features"] if f["kind"] == "engine"]
    chosen = [f["name"] for f in engines if f["on"]]
    if chosen != [probe["engine"]]:
        wrong.append(f"chosen is {chosen}, and `engine` is {probe['engine']}")
    wrong += [f"no reason for {f['name']}" for f in engines if not f["why"]]
    if _row(probe, "mmsg")["why"] not in ("chosen", "available, another was chosen"):
        wrong.append(f"mmsg works on every kernel here, but: {_row(probe, 'mmsg')['why']}")
    if probe["engine"] != "mmsg":
        wrong.append(f"auto is to choose mmsg (docs/performance.md), not {probe['engine']}")
    ring = _row(probe, "io_uring")["why"]
    if name == "disabled-probe":
        if "io_uring_disabled" not in ring:
            wrong.append(f"io_uring_disabled is 2, but io_uring is: {ring}")
    elif version < RING_SINCE:
        if "this kernel lacks it" not in ring:
            wrong.append(f"io_uring wants Linux 6.1, but: {ring}")
    elif not ring.startswith("available"):
        wrong.append(f"io_uring should work on this kernel, but: {ring}")
    return wrong


def _judge_forced(documents: dict[str, dict], logs: dict[str, str]) -> list[str]:
    """Tunnels that ask for io_uring: they get it, or mmsg and one line that says so."""
    wrong = []
    for tunnel, probe in (("forced", "plain-probe"), ("disabled", "disabled-probe")):
        if probe not in documents:
            continue
        has_ring = _row(documents[probe], "io_uring")["why"].startswith("available")
        used = documents.get(f"{tunnel}-show", {}).get("engine")
        if used != ("io_uring" if has_ring else "mmsg"):
            wrong.append(f"{tunnel}: io_uring was asked for, {used} is used")
        said = logs.get(tunnel, "").count("io_uring")
        if not has_ring and not said:
            wrong.append(f"{tunnel}: the daemon does not say that it went without io_uring")
    return wrong


def boot_generation(generation: Generation, program: Path | None = None, say=print) -> boot.Result:
    """Boot one kernel and run the guest's script; failures of judge() are among `failed`."""
    program = program or DIST / "tunlite-x86_64"
    if not program.is_file():
        raise RouterTestError(f"no {program}: run `./dev cross-build --arch x86_64` first")
    target = replace(targets.load("x86_64"), suite=generation.suite)
    kernel = boot.debian_kernel(target.kernel_package, target.deb_arch, target.suite)
    image = boot.base_image(target, kernel, {"TL_IMPL": "tunlite"})
    add_userland(image, replace(target, suite="bookworm"))
    image.add_program("usr/bin/tunlite", program)
    image.add("tl/main.sh", (boot.GUEST / "engines.sh").read_bytes())
    image.add("tl/lib.sh", (boot.GUEST / "lib.sh").read_bytes())
    keys = [f"{n} {private} {public}\n" for n, (private, public) in enumerate(test_keys(3))]
    image.add("tl/keys", "".join(keys), 0o600)
    say(f"booting {kernel.name}")
    result = boot.boot(target, kernel, image, 300, on_line=say)
    for number, text in enumerate(judge(generation, result.console)):
        result.failed[f"choice-{number}"] = text
    for name, text in boot.documents(result.console, "json").items():
        if name.endswith("-probe") and text.lstrip().startswith("{"):
            probe = json.loads(text)
            ring = _row(probe, "io_uring")["why"]
            say(f"{probe['kernel']}, {name}: engine {probe['engine']}; io_uring: {ring}")
    return result


def main(program: Path | None = None) -> None:
    """All generations; ends the program with the console of the first that fails."""
    for generation in GENERATIONS:
        result = boot_generation(generation, program, lambda line: print(line, flush=True))
        if not result.ok:
            print("\n".join(result.console))
            sys.exit(f"FAILED on {generation.name}: {result.why_not_ok()}")
        print(f"{generation.name}: {len(result.passed)} checks passed")


if __name__ == "__main__":
    main()
