# SPDX-License-Identifier: MIT
"""The machinery around an emulated machine, without one."""

import gzip
import json
import sys
import time
from pathlib import Path

import pytest

from qemu import boot, engine_test, initramfs, kernels, mips_bench, targets


def python(code):
    return [sys.executable, "-u", "-c", code]


def test_result_lines_become_a_result():
    lines = ["noise", "TL: ok a", "xTL: fail b no answer", "TL: value kb 12", "TL: note one two"]
    result = boot.run(python(f"for line in {lines!r}: print(line)\nprint('TL: done')"), 20)
    assert result.passed == ["a"]
    assert result.failed == {"b": "no answer"}
    assert result.values == {"kb": 12}
    assert result.notes == ["one two"]
    assert result.ended
    assert not result.ok
    assert "b: no answer" in result.why_not_ok()


def test_a_machine_that_hangs_is_killed_at_its_limit():
    begun = time.monotonic()
    result = boot.run(python("import time; print('TL: ok a'); time.sleep(60)"), 1)
    assert time.monotonic() - begun < 20
    assert result.timed_out
    assert not result.ok
    assert "the time limit passed" in result.why_not_ok()


def test_a_machine_that_says_nothing_more_is_killed_before_its_limit():
    begun = time.monotonic()
    code = "import time; print('TL: ok a'); time.sleep(1); print('b'); time.sleep(60)"
    result = boot.run(python(code), 50, silence_s=2)
    assert 2.5 < time.monotonic() - begun < 30
    assert result.fell_silent and result.timed_out
    assert result.console[-1] == "b"
    assert "said nothing any more" in result.why_not_ok()
    assert "the time limit" not in result.why_not_ok()


def test_a_guest_that_panics_is_no_success():
    result = boot.run(python("print('TL: ok a'); print('Kernel panic')"), 20)
    assert not result.ok
    assert "before its test script" in result.why_not_ok()


def test_a_guest_that_tests_nothing_is_no_success():
    result = boot.run(python("print('TL: done')"), 20)
    assert not result.ok
    assert "no passed test" in result.why_not_ok()


def test_lines_are_told_as_they_come():
    heard = []
    boot.run(python("print('TL: ok a'); print('x'); print('TL: done')"), 20, heard.append)
    assert heard == ["ok a", "done"]


def test_a_kvm_that_cannot_run_the_guest_ends_the_boot_at_once():
    code = "import time; print('\\x1b[2JKVM internal error. Suberror: 1'); time.sleep(60)"
    begun = time.monotonic()
    result = boot.run(python(code), 50)
    assert result.kvm_failed
    assert time.monotonic() - begun < 20


def test_no_boot_of_the_mips_bench_runs_into_the_fault_of_qemus_timer():
    options = mips_bench.Options(batches=(1, 64))
    boots = mips_bench._boots(options)
    assert [row for rows in boots for row in rows] == mips_bench._rows(options)
    assert {"kernel", "fastd-salsa2012", "tunlite"} <= set(boots[0])  # what ratios are of
    assert all(len(rows) * (options.seconds + 2) <= 36 for rows in boots)


def test_every_target_loads_and_has_a_kernel():
    for name in targets.NAMES:
        target = targets.load(name)
        assert target.name == name
        assert bool(target.own_kernel) != bool(target.kernel_package)
        assert not target.own_kernel or target.own_kernel in kernels.KERNELS


def test_only_the_malta_board_asks_for_a_graphics_cards_rom(monkeypatch):
    asked = {}
    kernel = boot.Kernel(Path("kernel"), None, "kernel")
    for name in targets.NAMES:
        monkeypatch.setattr(
            boot.apt, "need", lambda wanted, name=name: asked.update({name: wanted})
        )
        target = targets.load(name)
        assert boot.command(target, kernel, Path("initrd"), [])[: len(target.qemu)] == [
            *target.qemu
        ]
    assert {name for name in asked if "seabios" in asked[name]} == {"mips", "mipsel"}
    assert len(asked) == len(targets.NAMES)


def test_an_unknown_target_is_named():
    with pytest.raises(KeyError, match="m68k"):
        targets.load("m68k")


def entries(packed):
    """{path: (mode, content)} of a newc archive, read by the format's definition."""
    data, at, found = gzip.decompress(packed), 0, {}
    while True:
        assert data[at : at + 6] == b"070701"
        fields = [int(data[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
        name = data[at + 110 : at + 110 + fields[11] - 1].decode()
        at += (110 + fields[11] + 3) & ~3
        if name == "TRAILER!!!":
            return found
        found[name] = (fields[1], data[at : at + fields[6]])
        at += (fields[6] + 3) & ~3


def test_an_initramfs_holds_what_was_put_in():
    image = initramfs.Initramfs()
    image.add("a/b/c", b"12345", 0o755)
    image.link("bin/sh", "busybox")
    found = entries(image.pack())
    assert found["a/b/c"] == (0o100755, b"12345")
    assert found["a/b"][0] == 0o040755
    assert found["bin/sh"] == (0o120777, b"busybox")
    assert found["dev/console"][0] == 0o020600
    names = list(found)
    assert names.index("a") < names.index("a/b") < names.index("a/b/c")


def test_an_initramfs_is_reproducible():
    def pack(names):
        image = initramfs.Initramfs()
        for name in names:
            image.add(name, name)
        return image.pack()

    assert pack(["x", "y"]) == pack(["y", "x"])


def module(folder, name, depends):
    (folder / f"{name}.ko").write_bytes(b"ELF\0license=GPL\0depends=" + depends + b"\0name=x\0")


def test_modules_load_after_what_they_depend_on(tmp_path):
    module(tmp_path, "wireguard", b"udp_tunnel,libchacha")
    module(tmp_path, "udp_tunnel", b"")
    module(tmp_path, "libchacha", b"udp-tunnel,built_in")
    module(tmp_path, "batman-adv", b"udp_tunnel")
    order = initramfs.module_order(tmp_path, ["wireguard", "batman_adv", "not_there"])
    assert [path.stem for path in order] == ["udp_tunnel", "libchacha", "wireguard", "batman-adv"]


MALTA_TIME = """\
static void __init estimate_frequencies(void)
{
\tunsigned long flags;
\tu64 giccount = 0, gicstart = 0;

\tlocal_irq_save(flags);
}
"""


def malta_tree(tmp_path, text):
    path = tmp_path / "arch/mips/mti-malta/malta-time.c"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return path


def test_the_timer_edit_returns_before_the_measurement(tmp_path):
    path = malta_tree(tmp_path, MALTA_TIME)
    kernels.fix_timer_frequency(tmp_path)
    text = path.read_text()
    assert text.index("u64 giccount") < text.index("160000000") < text.index("local_irq_save")


def test_the_timer_edit_refuses_a_source_that_it_does_not_know(tmp_path):
    malta_tree(tmp_path, MALTA_TIME.replace("u64 giccount = 0, gicstart = 0;", "u64 count;"))
    with pytest.raises(kernels.KernelError, match="estimate_frequencies"):
        kernels.fix_timer_frequency(tmp_path)


def test_a_setting_that_kconfig_drops_is_an_error(tmp_path):
    (tmp_path / ".config").write_text("CONFIG_TUN=y\n# CONFIG_WIREGUARD is not set\n")
    with pytest.raises(kernels.KernelError, match="CONFIG_WIREGUARD=y"):
        kernels._check_config(kernels.KERNELS["malta-be"], tmp_path)


def test_bench_rows_are_figures_of_what_the_guest_counted():
    values = {"kernel:bytes": 13_680_000, "kernel:seconds": 5.0, "kernel:idle_ticks": 100}
    values |= {"kernel:first_ping_ms": 90.0, "veth:bytes": 1}
    row = mips_bench._row("kernel", values)
    assert row["mbit_s"] == 21.89
    assert row["instructions_per_packet"] == 100_000
    assert row["peak_kb"] is None


def probe_text(kernel, engine, reasons):
    """`tunlite probe --json` with these reasons of its engines."""
    rows = [
        {"kind": "engine", "name": name, "on": name == engine, "why": why}
        for name, why in reasons.items()
    ]
    return json.dumps({"kernel": kernel, "engine": engine, "features": rows})


AVAILABLE = "available, another was chosen"


def console(ring=AVAILABLE, engine="mmsg", kernel="6.12.1+deb13-amd64"):
    """What a guest prints; `ring` is what a plain probe says of io_uring."""
    mmsg = "chosen" if engine == "mmsg" else AVAILABLE
    texts = {
        "plain-probe": probe_text(kernel, engine, {"mmsg": mmsg, "io_uring": ring}),
        "plain-show": json.dumps({"engine": engine}),
        "disabled-probe": probe_text(
            kernel, "mmsg", {"mmsg": "chosen", "io_uring": "io_uring_disabled"}
        ),
        "disabled-show": json.dumps({"engine": "mmsg"}),
        "forced-show": json.dumps({"engine": "io_uring" if ring == AVAILABLE else "mmsg"}),
    }
    lines = [line for name, text in texts.items() for line in (f"--- json {name}", text, "---")]
    for name in ("forced", "disabled"):
        lines += [f"--- log {name}", "tunlite: without io_uring", "---"]
    return lines


MODERN = engine_test.GENERATIONS[2]


def test_a_right_choice_of_engine_is_accepted():
    assert engine_test.judge(MODERN, console()) == []


def test_a_daemon_that_uses_another_engine_than_the_probe_says_is_found():
    lines = console()
    lines[lines.index('{"engine": "mmsg"}')] = '{"engine": "basic"}'
    assert engine_test.judge(MODERN, lines) == ["plain-probe says mmsg, the daemon uses basic"]


def test_an_engine_that_auto_is_not_to_choose_is_found():
    wrong = engine_test.judge(MODERN, console(ring=AVAILABLE, engine="basic"))
    assert "plain-probe: auto is to choose mmsg (docs/performance.md), not basic" in wrong


def test_a_daemon_that_gets_no_io_uring_and_does_not_say_so_is_found():
    lines = [line.replace("without io_uring", "ready") for line in console()]
    assert engine_test.judge(MODERN, lines) == [
        "disabled: the daemon does not say that it went without io_uring"
    ]


def test_io_uring_that_is_not_seen_on_a_modern_kernel_is_found():
    wrong = engine_test.judge(MODERN, console(ring="this kernel lacks it"))
    assert wrong[:1] == [
        "plain-probe: io_uring should work on this kernel, but: this kernel lacks it"
    ]


def test_io_uring_before_6_1_must_be_refused():
    old = engine_test.GENERATIONS[0]

    def plain(ring):
        lines = console(ring, kernel="5.10.0-32-amd64")
        cut = lines.index("--- json disabled-probe")
        return lines[:cut] + lines[cut + 6 :]

    assert engine_test.judge(old, plain("this kernel lacks it")) == []
    assert engine_test.judge(old, plain(AVAILABLE)) == [
        f"plain-probe: io_uring wants Linux 6.1, but: {AVAILABLE}"
    ]


def test_another_kernel_than_the_one_meant_is_found():
    lines = console(kernel="6.1.0-5-amd64")
    assert "not 6.12" in engine_test.judge(MODERN, lines)[0]


def test_a_guest_without_a_probe_is_found():
    assert engine_test.judge(MODERN, []) == ["the guest printed no probe"]


def test_handshakes_under_load_are_told_beside_an_x25519():
    end = {
        "counters": {"away_longest_ms": 32, "away_spent_longest_us": 17300},
        "peers": [{"handshakes": {"completed": 4}}],
    }
    console = []
    for name, document in (("near", end), ("probe", {"x25519_us": 14900})):
        console += [f"--- json tunlite-rekey:{name}", json.dumps(document), "---"]
    found = mips_bench._stays(console)
    near = {"completed": 4, "longest_ms": 32, "longest_spent_us": 17300}
    assert found == {"tunlite-rekey": {"x25519_us": 14900, "near": near}}
    text = mips_bench.table({"rows": [], "stays": found})
    assert "an X25519 takes 14.90 ms" in text and "near: 4 handshakes, at most 17.30 ms" in text
    assert mips_bench._stays([]) == {}
