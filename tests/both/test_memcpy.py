# SPDX-License-Identifier: MIT
"""The executable's memcpy on MIPS, both endians, at every alignment and many lengths."""

import subprocess
from pathlib import Path

import pytest

from machine import toolchain

_ROOT = Path(__file__).resolve().parents[2]
_PROGRAM = """
#include <string.h>
static unsigned char to[400], from[400];
static void *(*volatile copy)(void *, const void *, size_t) = memcpy;
static int differs(int x, int y, int n) {
    for (int i = 0; i < 400; i++)
        to[i] = 1;
    if (copy(to + x, from + y, (size_t)n) != to + x)
        return 1;
    for (int i = 0; i < 400; i++)
        if (to[i] != (i >= x && i < x + n ? from[y + i - x] : 1))
            return 1;
    return 0;
}
int main(void) {
    for (int i = 0; i < 400; i++)
        from[i] = (unsigned char)(i * 7 + i / 251 + 2);
    for (int x = 0; x < 5; x++)
        for (int y = 0; y < 5; y++)
            for (int n = 0; n < 300; n++)
                if (differs(x, y, n))
                    return 1;
    return 0;
}
"""


@pytest.mark.parametrize("arch", ["mips", "mipsel"])
def test_every_byte_is_copied_and_no_other(arch, tmp_path):
    target = toolchain.TARGETS[arch]
    (tmp_path / "main.c").write_text(_PROGRAM)
    compiler = [str(toolchain.zig()), "cc", "-target", target.triple, f"-mcpu={target.cpu}"]
    copy = str(_ROOT / "micropython/memcpy_mips.c")
    for source, flags in ((copy, ["-ffreestanding", "-fno-builtin"]), ("main.c", [])):
        command = [*compiler, "-O2", *flags, "-c", source, "-o", f"{Path(source).stem}.o"]
        subprocess.run(command, cwd=tmp_path, env=toolchain.environment(), check=True)
    link = [*compiler, "-O2", "-static", "main.o", "memcpy_mips.o", "-o", "program"]
    subprocess.run(link, cwd=tmp_path, env=toolchain.environment(), check=True)
    name, cpu = target.qemu
    subprocess.run([f"qemu-{name}-static", "-cpu", cpu, tmp_path / "program"], check=True)
