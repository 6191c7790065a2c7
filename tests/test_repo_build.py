# SPDX-License-Identifier: MIT
"""The native build compiles what changed, and only that."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from machine import native_build

_ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A small C core of its own."""
    monkeypatch.setattr(native_build, "ROOT", tmp_path)
    monkeypatch.setattr(native_build, "BUILD", tmp_path / "build")
    monkeypatch.setattr(native_build, "build_ffi", lambda: _Ffi)
    (tmp_path / "one.c").write_text('#include "shared.h"\nint one(void) { return ONE; }\n')
    (tmp_path / "shared.h").write_text("#define ONE 1\nint one(void);\n")
    (tmp_path / "main.c").write_text("int one(void);\nint main(void) { return one(); }\n")
    return tmp_path


class _Ffi:
    CFLAGS = ["-O1"]


def _age(path):
    """Makes a file older than anything built from now on."""
    os.utime(path, ns=(0, 0))


def _stamps(paths):
    return [os.stat(path).st_mtime_ns for path in paths]


def _build(tree):
    for name in ("one.c", "shared.h", "main.c"):
        _age(tree / name)
    return native_build.objects(["one.c", "main.c"])


def test_an_unchanged_source_is_not_compiled_again(tree):
    before = _stamps(_build(tree))
    assert _stamps(_build(tree)) == before


def test_a_changed_header_compiles_those_that_include_it_and_no_other(tree):
    made = _build(tree)
    before = _stamps(made)
    (tree / "shared.h").write_text("#define ONE 7\nint one(void);\n")
    after = _stamps(native_build.objects(["one.c", "main.c"]))
    assert after[0] > before[0]
    assert after[1] == before[1]


def test_a_program_is_linked_anew_when_an_object_changed(tree):
    assert subprocess.run([native_build.program("p", ["one.c", "main.c"])]).returncode == 1
    (tree / "shared.h").write_text("#define ONE 7\nint one(void);\n")
    assert subprocess.run([native_build.program("p", ["one.c", "main.c"])]).returncode == 7


def test_other_flags_are_other_objects(tree):
    plain = native_build.objects(["one.c"])
    assert native_build.objects(["one.c"], ["-DTWO"]) != plain


def test_a_warning_is_an_error_and_names_the_line(tree):
    (tree / "one.c").write_text("int one(void);\nint one(void) { int unused; return 1; }\n")
    with pytest.raises(native_build.BuildError, match="one.c:2.*unused"):
        native_build.objects(["one.c"])


def test_the_address_sanitizer_stops_a_program_that_reads_past_its_buffer(tree):
    (tree / "main.c").write_text(
        "int main(int argc, char **argv) {\n"
        "    char b[4] = {0};\n    (void)argv;\n    return b[argc + 3];\n}\n"
    )
    binary = native_build.program("bad", ["main.c"], native_build.SANITIZE["asan"])
    result = subprocess.run([binary], capture_output=True, text=True)
    assert result.returncode != 0
    assert "stack-buffer-overflow" in result.stderr or "out of bounds" in result.stderr


def test_the_extension_protects_its_stack_and_checks_what_libc_copies():
    names = subprocess.run(
        ["nm", "--dynamic", str(native_build.EXTENSION)], capture_output=True, text=True, check=True
    ).stdout
    assert "__stack_chk_fail" in names
    assert "_chk@" in names.replace("__stack_chk_fail", "")  # what _FORTIFY_SOURCE calls


def _says_once_per_packet(path):
    """Whether the first comment behind the licence ends so; nowhere else may these words stand."""
    text = (_ROOT / path).read_text(encoding="utf-8").split("\n", 1)[1]
    first = re.match(r"/\*(.*?)\*/", text, re.DOTALL)
    says = bool(first) and first[1].replace("*", " ").split()[-3:] == ["Once", "per", "packet."]
    rest = text[first.end() :] if first else text
    assert "Once per packet." not in " ".join(rest.replace("*", " ").split()), path
    return says


def test_the_executable_is_built_for_speed_where_a_file_says_once_per_packet():
    makefile = f"ROOT = {_ROOT}\ninclude {_ROOT}/micropython/often.mk\nall: ; @echo $(OFTEN)\n"
    command = ["make", "-f", "-", "--no-print-directory"]
    made = subprocess.run(command, input=makefile, capture_output=True, text=True, check=True)
    wanted = [path for path in native_build.core_sources() if _says_once_per_packet(path)]
    assert made.stdout.split() == wanted
    assert "native/base/buf.c" in wanted and "native/border/spawn.c" not in wanted
