# SPDX-License-Identifier: MIT
"""What a packet costs, sealed or in the clear, for every AEAD here and for libsodium and OpenSSL.

    python -m bench.crypto [--batch N] [--rounds N] [--json FILE] [--only NAME,...]
    python -m bench.crypto --mips-crypto [--json FILE]

The second counts instructions per byte on mips32r2, big endian, under qemu-user: two runs with
different numbers of packets, every instruction logged, so the figure is the same on every machine.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
from pathlib import Path

from machine import apt, native_build, toolchain

ROOT = Path(__file__).resolve().parent.parent
LENGTHS = [64, 128, 256, 512, 1024, 1420, 2048, 4096, 8192, 16384]
MIPS_LENGTHS = [64, 256, 576, 1024, 1280, 1420, 1424]
WHAT = ["seal", "open", "authenticate", "verify"]  # as crypto_bench.c numbers them
_ROUND_MS = 4.0

_CDEF = """
struct aead { const char *name; bool (*available)(void); ...; };
extern const struct aead *const aead_list[];
const struct aead *aead_choose(void);
const struct aead *bench_sodium(void *seal, void *open);
double bench_run(const struct aead *a, int what, uint32_t len, uint32_t batch, double ms);
"""
_PREAMBLE = """
#include <crypto/aead.h>
const struct aead *bench_sodium(void *seal, void *open);
double bench_run(const struct aead *a, int what, uint32_t len, uint32_t batch, double ms);
"""


def _sources():
    return sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("native/crypto/*.c"))


def _load():
    sources = ["bench/crypto_bench.c", *_sources()]
    module = native_build.test_module("_bench_crypto", _CDEF, _PREAMBLE, sources)
    return module.ffi, module.lib


def _sodium(ffi, lib):
    """libsodium as an implementation, by the addresses that PyNaCl's own handle has."""
    from nacl._sodium import ffi as nacl_ffi, lib as nacl_lib

    nacl_lib.sodium_init()  # until then it runs its portable C

    def address(name):
        pointer = nacl_ffi.addressof(nacl_lib, name)
        return ffi.cast("void *", int(nacl_ffi.cast("uintptr_t", pointer)))

    return lib.bench_sodium(
        address("crypto_aead_chacha20poly1305_ietf_encrypt"),
        address("crypto_aead_chacha20poly1305_ietf_decrypt"),
    )


def _implementations(ffi, lib):
    found = {}
    while lib.aead_list[len(found)] != ffi.NULL:
        aead = lib.aead_list[len(found)]
        found[ffi.string(aead.name).decode()] = aead
    usable = {name: aead for name, aead in found.items() if aead.available()}
    usable["libsodium"] = _sodium(ffi, lib)
    return usable


def measure(batch, rounds, only=None):
    """{one of WHAT: {name: {length: ns per packet}}}: the median of each round's best.

    The implementations take turns, so that a slow moment of the machine meets them all.
    """
    ffi, lib = _load()
    usable = _implementations(ffi, lib)
    names = [name for name in usable if only is None or name in only]
    result = {}
    for number, what in enumerate(WHAT):
        result[what] = {name: {} for name in names}
        for length in LENGTHS:
            runs = {name: [] for name in names}
            for _ in range(rounds):
                for name in names:
                    ns = lib.bench_run(usable[name], number, length, batch, _ROUND_MS)
                    if ns < 0:
                        raise RuntimeError(f"{name} does not {what} {length} bytes")
                    runs[name].append(ns)
            for name in names:
                result[what][name][length] = round(statistics.median(runs[name]), 1)
    return {"chosen": ffi.string(lib.aead_choose().name).decode(), **result}


def _cpu_model():
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as f:
        for line in f:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()


def _print_table(title, lengths, rows, form):
    print(f"\n{title}\n{'':14}" + "".join(f"{length:>9}" for length in lengths))
    for name, values in rows.items():
        print(f"{name:14}" + "".join(form(values[length]).rjust(9) for length in lengths))


def _bench(options):
    only = options.only.split(",") if options.only else None
    result = measure(options.batch, options.rounds, only)
    about = {"cpu": _cpu_model(), "system": platform.platform(), "batch": options.batch}
    print(f"{about['cpu']}, batches of {options.batch}, chosen: {result['chosen']}")
    for what in WHAT:
        rows = result[what]
        _print_table(f"{what}, ns per packet", LENGTHS, rows, lambda ns: f"{ns:.0f}")
        if "libcrypto" in rows:
            ratios = {
                name: {n: rows["libcrypto"][n] / ns for n, ns in values.items()}
                for name, values in rows.items()
            }
            _print_table(f"{what}, times libcrypto's speed", LENGTHS, ratios, lambda r: f"{r:.2f}")
    return {**about, **result}


def _mips_program():
    target = toolchain.TARGETS["mips"]
    program = ROOT / "build" / "crypto_run-mips"
    program.parent.mkdir(exist_ok=True)
    command = [str(toolchain.zig()), "cc", "-target", target.triple, f"-mcpu={target.cpu}"]
    command += ["-std=gnu11", "-O2", "-static", "-Inative", "-o", str(program)]
    command += ["bench/crypto_run.c", *_sources()]
    subprocess.run(command, cwd=ROOT, check=True, env=toolchain.environment())
    return program


def _instructions(program, what, name, length, count, batch):
    """How many instructions a run executes: qemu logs one line for each."""
    command = ["qemu-mips-static", "-singlestep", "-d", "nochain,exec", "-D", "/dev/stdout"]
    command += [str(program), what, name, str(length), str(count), str(batch)]
    lines = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        while block := process.stdout.read(1 << 20):
            lines += block.count(b"\n")
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit status {process.returncode}")
    return lines


def count_mips(name="portable", batch=16, lengths=None):
    """{one of WHAT: {length: instructions per packet}} on mips32r2, big endian."""
    apt.need(["qemu-user-static"])
    program = _mips_program()
    result = {what: {} for what in WHAT}
    for length in lengths or MIPS_LENGTHS:
        for what in WHAT:
            once = _instructions(program, what, name, length, batch, batch)
            thrice = _instructions(program, what, name, length, 3 * batch, batch)
            result[what][length] = (thrice - once) / (2 * batch)
        result["open"][length] -= result["seal"][length]  # each round seals again
    return result


def _mips(options):
    counts = count_mips(batch=options.batch)
    print(f"portable, mips32r2 big endian, zig cc -O2, batches of {options.batch}")
    per_byte = {
        what: {length: n / length for length, n in values.items()}
        for what, values in counts.items()
    }
    _print_table("instructions per byte", MIPS_LENGTHS, per_byte, lambda n: f"{n:.2f}")
    _print_table("instructions per packet", MIPS_LENGTHS, counts, lambda n: f"{n:.0f}")
    return {"target": "mips32r2 big endian", "batch": options.batch, "instructions": counts}


def main(argv):
    """The command line; 0, or 1 with what went wrong on stderr."""
    parser = argparse.ArgumentParser(prog="bench_crypto", description=__doc__.split("\n")[0])
    parser.add_argument("--mips-crypto", action="store_true", help="count instructions on MIPS")
    parser.add_argument("--batch", type=int, default=16, help="packets at once (default 16)")
    parser.add_argument("--rounds", type=int, default=5, help="of which the median is taken")
    parser.add_argument("--only", help="names of implementations, separated by commas")
    parser.add_argument("--json", help="write the figures to this file too")
    options = parser.parse_args(argv)
    try:
        result = _mips(options) if options.mips_crypto else _bench(options)
    except (native_build.BuildError, toolchain.ToolchainError, RuntimeError) as e:
        print(e, file=sys.stderr)
        return 1
    if options.json:
        Path(options.json).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
