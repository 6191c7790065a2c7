# SPDX-License-Identifier: MIT
"""The OpenWrt packages, made around a stand-in for the executable."""

import gzip
import hashlib
import io
import os
import re
import subprocess
import sys
import tarfile
import textwrap
from pathlib import Path

import pytest

import tunlite
from devtools import openwrt
from machine import toolchain
from tunlite.config import parser, secret_text
from tunlite.config.settings import Settings
from tunlite.host import privileges

_ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def executable(tmp_path):
    path = tmp_path / "tunlite-mips"
    path.write_bytes(b"\x7fELF stand-in" * 100)
    return path


def _members(data):
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as tar:
        return {m.name: (m, tar.extractfile(m).read() if m.isfile() else b"") for m in tar}


def test_an_ipk_is_three_members_in_a_gzipped_gnu_tar(executable):
    data = openwrt.ipk(executable, "mips_24kc")
    members = _members(data)
    assert list(members) == ["./debian-binary", "./data.tar.gz", "./control.tar.gz"]
    assert members["./debian-binary"][1] == b"2.0\n"
    assert data[3] == 0 and data[4:8] == bytes(4)  # no file name, no time
    assert gzip.decompress(data)[257:265] == b"ustar  \0"  # GNU


def test_two_ipks_of_one_executable_are_the_same_bytes(executable):
    assert openwrt.ipk(executable, "mips_24kc") == openwrt.ipk(executable, "mips_24kc")


def test_the_files_land_where_openwrt_looks_and_belong_to_root(executable):
    data = _members(_members(openwrt.ipk(executable, "mips_24kc"))["./data.tar.gz"][1])
    modes = {name: member.mode for name, (member, _) in data.items()}
    assert modes["./usr/sbin/tunlite"] == 0o755
    assert modes["./etc/init.d/tunlite"] == 0o755
    assert modes["./lib/upgrade/keep.d/tunlite"] == 0o644
    assert modes["./etc/tunlite"] == 0o700  # keys live here
    assert {(m.uid, m.gid, m.uname, m.gname) for m, _ in data.values()} == {(0, 0, "", "")}
    assert data["./usr/sbin/tunlite"][1] == executable.read_bytes()


def test_tar_of_this_machine_unpacks_an_ipk(executable, tmp_path):
    package = tmp_path / openwrt.ipk_name("mips_24kc")
    package.write_bytes(openwrt.ipk(executable, "mips_24kc"))
    root = tmp_path / "root"
    root.mkdir()
    script = 'tar -xzOf "$1" ./data.tar.gz | tar -xzf - -C "$2"'
    subprocess.run(["sh", "-c", script, "sh", str(package), str(root)], check=True)
    assert (root / "usr/sbin/tunlite").read_bytes() == executable.read_bytes()


def test_the_control_file_names_version_architecture_and_dependency(executable):
    members = _members(openwrt.ipk(executable, "mipsel_74kc"))
    meta = _members(members["./control.tar.gz"][1])
    fields = dict(
        line.split(": ", 1) for line in meta["./control"][1].decode().splitlines() if line
    )
    assert fields["Package"] == "tunlite"
    assert fields["Version"] == f"{tunlite.__version__}-r1"
    assert fields["Architecture"] == "mipsel_74kc"
    assert fields["Depends"] == "kmod-tun"
    assert fields["SourceDateEpoch"] == str(members["./data.tar.gz"][0].mtime)
    # as ipkg-build counts: what data.tar.gz is unpacked
    assert int(fields["Installed-Size"]) == len(gzip.decompress(members["./data.tar.gz"][1]))


def test_conffiles_are_files_of_the_package_for_opkg_copies_each(executable):
    members = _members(openwrt.ipk(executable, "mips_24kc"))
    meta, data = _members(members["./control.tar.gz"][1]), _members(members["./data.tar.gz"][1])
    paths = meta["./conffiles"][1].decode().splitlines()
    assert paths == ["/etc/tunlite/mesh0.conf.sample"]
    assert all(data["." + path][0].isfile() for path in paths)


def test_the_sample_is_the_pages_and_right_once_its_keys_are_there():
    text = (_ROOT / "openwrt/tunlite/files/mesh0.conf.sample").read_text()
    text = text[text.index("[Interface]") :]
    assert textwrap.indent(text, "    ") in (_ROOT / "docs/openwrt.md").read_text()
    text = re.sub("<[^>]*>", "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=", text)
    assert parser.parse(secret_text.Text([bytearray(text.encode())]), "sample").errors == []


def test_keys_and_state_lie_in_flash_and_survive_a_sysupgrade(executable, tmp_path, monkeypatch):
    data = _members(_members(openwrt.ipk(executable, "mips_24kc"))["./data.tar.gz"][1])
    kept = data["./lib/upgrade/keep.d/tunlite"][1].decode()
    monkeypatch.setattr(privileges, "_OPENWRT", str(tmp_path))
    root = tmp_path / "root"
    for settings in ({}, {"User": "nobody"}):
        folder = privileges.state_folder(Settings(settings))
        assert not folder.startswith(("/var/", "/tmp/", "/run/"))
        (root / folder[1:]).mkdir(parents=True)
        (root / folder[1:] / "stamp").write_text("")
    (root / "etc/tunlite").mkdir()
    (root / "etc/tunlite/mesh.conf").write_text("")
    # As sysupgrade does: each line of keep.d is a word for find(1), patterns are expanded.
    (tmp_path / "keep").write_text(kept.replace("/etc/", f"{root}/etc/"))
    script = f"find $(cat '{tmp_path}/keep') -type f"
    found = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert sorted(found.stdout.split()) == sorted(
        str(path) for path in root.rglob("*") if path.is_file()
    )


def test_the_maintainer_scripts_do_nothing_without_openwrts_shell_library(executable, tmp_path):
    meta = _members(_members(openwrt.ipk(executable, "mips_24kc"))["./control.tar.gz"][1])
    for name in ("./postinst", "./prerm"):
        member, text = meta[name]
        assert member.mode == 0o755
        script = tmp_path / "script"
        script.write_bytes(text)
        done = subprocess.run(
            ["sh", str(script), "configure"],
            env={"IPKG_INSTROOT": str(tmp_path)},
            capture_output=True,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_the_maintainer_scripts_call_openwrts_defaults(executable, tmp_path):
    meta = _members(_members(openwrt.ipk(executable, "mips_24kc"))["./control.tar.gz"][1])
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/functions.sh").write_text(
        'default_postinst() { echo "post $2"; }\ndefault_prerm() { echo "pre $2"; }\n'
    )
    for name, said in (("./postinst", b"post configure\n"), ("./prerm", b"pre configure\n")):
        script = tmp_path / "script"
        script.write_bytes(meta[name][1])
        done = subprocess.run(
            ["sh", str(script), "configure"],
            env={"IPKG_INSTROOT": str(tmp_path)},
            capture_output=True,
        )
        assert done.stdout == said


def test_an_apk_carries_the_lists_that_the_default_scripts_read(executable):
    tree = openwrt.apk_tree(executable)
    listing = tree.files["lib/apk/packages/tunlite.list"][0].decode().splitlines()
    assert "/etc/init.d/tunlite" in listing and "/usr/sbin/tunlite" in listing
    assert tree.files["lib/apk/packages/tunlite.conffiles"][0] == b"/etc/tunlite/\n"
    path, digest = tree.files["lib/apk/packages/tunlite.conffiles_static"][0].decode().split()
    assert digest == hashlib.sha256(tree.files[path[1:]][0]).hexdigest()
    assert set(openwrt.apk_scripts()) == {"post-install", "post-upgrade", "pre-deinstall"}
    assert "PKG_UPGRADE=1" in openwrt.apk_scripts()["post-upgrade"]


_APK = """#!/bin/sh
if [ "$1" = adbdump ]; then
	printf 'paths:\\n  - name: etc\\n    acl:\\n'
	printf '      user: %s\\n      group: root\\n' "${OWNER:-root}"
	exit
fi
echo "$SOURCE_DATE_EPOCH $RAN_BY" >"${0%/*}/called"
while [ $# -gt 0 ]; do
	[ "$1" = --files ] && files="$2"
	[ "$1" = --output ] && out="$2"
	[ "$1" != --script ] || [ -s "${2#*:}" ] || exit 1
	shift
done
cd "$files" && find . -exec stat -c '%n %a %u %g %Y' {} + | sort >"$out"
"""
_RUNS_IT = '#!/bin/sh\nshift\nRAN_BY="$RAN_BY${0##*/}" exec "$@"\n'


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """tools(name=script): programs that come before the machine's; apk is a stand-in."""
    folder = tmp_path / "bin"
    folder.mkdir()

    def write(**scripts):
        for name, text in scripts.items():
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)
        return folder

    write(apk=_APK)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return write


def test_apk_mkpkg_gets_the_tree_with_roots_files_and_one_time(executable, tmp_path, tools):
    out = tmp_path / "tunlite.apk"
    openwrt.write_apk(executable, "mips_24kc", out)
    rows = {line.split()[0]: line.split()[1:] for line in out.read_text().splitlines()}
    tree = openwrt.apk_tree(executable)
    assert set(rows) == {".", *(f"./{path}" for path in [*tree.files, *tree.folders])}
    assert rows["."][0] == "755" and rows["./etc/tunlite"][0] == "700"
    assert rows["./usr/sbin/tunlite"][0] == "755"
    assert {time for *_, time in rows.values()} == {str(openwrt._TIME)}
    assert {(user, group) for _, user, group, _ in rows.values()} == {
        (str(os.getuid()), str(os.getgid()))
    }
    assert (tools() / "called").read_text().split()[0] == str(openwrt._TIME)


@pytest.mark.parametrize("by", ["unshare", "fakeroot"])
def test_who_is_not_root_builds_an_apk_where_the_files_are_roots(
    executable, tmp_path, tools, monkeypatch, by
):
    monkeypatch.setattr(openwrt.os, "geteuid", lambda: 1000)
    tools(unshare="#!/bin/sh\nexit 1\n", fakeroot="#!/bin/sh\nexit 1\n")
    folder = tools(**{by: _RUNS_IT})
    openwrt.write_apk(executable, "mips_24kc", tmp_path / "out.apk")
    assert (folder / "called").read_text().split()[1] == by


def test_an_apk_whose_files_would_be_the_builders_is_refused(
    executable, tmp_path, tools, monkeypatch
):
    out = tmp_path / "out.apk"
    monkeypatch.setenv("OWNER", "builder")
    with pytest.raises(openwrt.PackageError, match="would belong to builder"):
        openwrt.write_apk(executable, "mips_24kc", out)
    assert not out.exists()
    monkeypatch.setattr(openwrt.os, "geteuid", lambda: 1000)
    tools(unshare="#!/bin/sh\nexit 1\n", fakeroot="#!/bin/sh\nexit 1\n")
    with pytest.raises(openwrt.PackageError, match="install fakeroot"):
        openwrt.write_apk(executable, "mips_24kc", out)
    assert not out.exists()


def test_without_apk_mkpkg_it_says_how_to_get_it(executable, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(openwrt.PackageError, match="apk-tools 3"):
        openwrt.write_apk(executable, "mips_24kc", tmp_path / "out.apk")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--arch", "mips", "--format", "deb"], "--format deb is none of ipk, apk"),
        (["--arch", "vax"], "--arch vax is none of mips"),
        (["--as", "mipsel_74kc"], "say which with --arch"),
    ],
)
def test_words_that_make_no_package_are_told_before_anything_is_built(words, told):
    command = [sys.executable, "-m", "invoke", "package", *words]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout == ""
    assert told in done.stderr and done.stderr.count("\n") == 1


def test_a_feed_lists_every_package_with_its_size_and_hash(executable, tmp_path):
    folder = tmp_path / "feed"
    folder.mkdir()
    for arch in ("mips_24kc", "mipsel_24kc"):
        (folder / openwrt.ipk_name(arch)).write_bytes(openwrt.ipk(executable, arch))
    openwrt.write_feed(folder)
    text = (folder / "Packages").read_text()
    assert gzip.decompress((folder / "Packages.gz").read_bytes()).decode() == text
    stanzas = [s for s in text.split("\n\n") if s]
    assert len(stanzas) == 2
    for stanza in stanzas:
        fields = dict(line.split(":", 1) for line in stanza.splitlines())
        data = (folder / fields["Filename"].strip()).read_bytes()
        assert int(fields["Size"]) == len(data)
        assert fields["SHA256sum"].strip() == hashlib.sha256(data).hexdigest()


def test_the_feed_makefile_has_this_version_and_installs_the_same_files(executable):
    text = (_ROOT / "openwrt/tunlite/Makefile").read_text()
    assert re.search(r"^PKG_VERSION:=(.*)$", text, re.M)[1] == tunlite.__version__
    assert re.search(r"^PKG_RELEASE:=(.*)$", text, re.M)[1] == str(openwrt.RELEASE)
    assert (
        f"--prefix=tunlite-{tunlite.__version__}/ -o tunlite-{tunlite.__version__}.tar.gz" in text
    )
    installed = text.split("define Package/tunlite/install")[1].split("endef")[0]
    for path in openwrt.content(executable).files:
        assert f"$(1)/{path}" in installed, path


def _sizes(page, unit):
    """{architecture: [executable, as xz, .ipk in bytes]} of a page's table of sizes."""
    text = (_ROOT / "docs" / page).read_text().split("\n## Sizes\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (\w+) \| ([\d,]+)(?: KB)? \| ([\d,]+)(?: KB)? \| ([\d,]+)", text, re.M)
    return {name: [unit * int(n.replace(",", "")) for n in numbers] for name, *numbers in rows}


def test_the_pages_sizes_are_of_one_day_and_within_the_bounds():
    exact, rounded = _sizes("performance.md", 1), _sizes("openwrt.md", 1000)
    assert exact.keys() == rounded.keys() == toolchain.TARGETS.keys()
    for arch, target in toolchain.TARGETS.items():
        bounds = (target.executable, target.packed, target.ipk)
        for size, about, bound in zip(exact[arch], rounded[arch], bounds, strict=True):
            assert size <= bound and abs(about - size) <= 0.01 * size, arch
