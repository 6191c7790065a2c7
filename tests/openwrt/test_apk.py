# SPDX-License-Identifier: MIT
"""The .apk of every package and the index of a repository, with a stand-in for apk."""

import hashlib
import os
import subprocess

import pytest

from devtools.openwrt import apk, architectures, rows

_RUNS_IT = '#!/bin/sh\nshift\nRAN_BY="$RAN_BY${0##*/}" exec "$@"\n'


@pytest.fixture
def tree(row, tree_of):
    return tree_of(row)


def test_an_apk_carries_the_lists_that_the_default_scripts_read(row, tree):
    files = apk.packed(row, tree).files
    lists = f"lib/apk/packages/{row.name}"
    listing = files[f"{lists}.list"][0].decode().splitlines()
    assert listing == sorted(f"/{path}" for path in tree.files)
    if not row.conffiles:
        assert f"{lists}.conffiles" not in files
        return
    assert files[f"{lists}.conffiles"][0].decode().splitlines() == list(row.conffiles)
    path, digest = files[f"{lists}.conffiles_static"][0].decode().split()
    assert digest == hashlib.sha256(files[path[1:]][0]).hexdigest()


def test_an_upgrade_runs_post_upgrade_alone_so_it_does_what_an_installation_does(row):
    scripts = apk.scripts(row)
    assert set(scripts) == {"post-install", "post-upgrade", "pre-deinstall"}
    assert "PKG_UPGRADE=1" in scripts["post-upgrade"]
    for phase in ("post-install", "post-upgrade"):
        assert scripts[phase].endswith(f"default_postinst\n{row.postinst}")


def test_its_scripts_call_openwrts_defaults_for_this_package(row, tmp_path):
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/functions.sh").write_text(
        'add_group_and_user() { :; }\ndefault_postinst() { echo "post $pkgname $root"; }\n'
        'default_prerm() { echo "pre $pkgname"; }\n'
    )
    said = {"post-install": "post", "post-upgrade": "post", "pre-deinstall": "pre"}
    for phase, text in apk.scripts(row).items():
        command = ["sh", "-c", text]
        environment = {"IPKG_INSTROOT": str(tmp_path), "PATH": "/usr/bin:/bin"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.stdout.startswith(f"{said[phase]} {row.name}")
        nowhere = {**environment, "IPKG_INSTROOT": "/nowhere"}
        assert subprocess.run(command, env=nowhere, capture_output=True).stdout == b""


def test_apk_mkpkg_gets_the_tree_with_roots_files_and_one_time(row, tree, tmp_path, tools):
    out = tmp_path / "out.apk"
    apk.write(row, tree, "mips_24kc", out)
    found = {line.split()[0]: line.split()[1:] for line in out.read_text().splitlines()}
    whole = apk.packed(row, tree)
    assert set(found) == {".", *(f"./{path}" for path in [*whole.files, *whole.folders])}
    modes = {f"./{path}": mode for path, (_, mode) in whole.files.items()}
    modes |= {f"./{path}": mode for path, mode in whole.folders.items()}
    assert {path: int(mode, 8) for path, (mode, *_) in found.items()} == {".": 0o755, **modes}
    assert {time for *_, time in found.values()} == {str(rows.TIME)}
    assert {(user, group) for _, user, group, _ in found.values()} == {
        (str(os.getuid()), str(os.getgid()))
    }
    assert (tools() / "called").read_text().split()[0] == str(rows.TIME)


def test_it_is_told_name_version_architecture_and_what_it_provides(row, tree, tmp_path, tools):
    arch = architectures.EVERYWHERE if row.is_for_all else "mips_24kc"
    apk.write(row, tree, arch, tmp_path / "out.apk")
    words = (tools() / "words").read_text().splitlines()
    assert f"name:{row.name}" in words and f"version:{rows.version()}" in words
    assert f"arch:{'noarch' if row.is_for_all else arch}" in words  # apk knows no `all`
    assert f"provides:{row.name}-any" in words
    assert f"depends:{' '.join(row.depends)}" in words


@pytest.mark.parametrize("by", ["unshare", "fakeroot"])
def test_who_is_not_root_builds_it_where_the_files_are_roots(
    row, tree, tmp_path, tools, monkeypatch, by
):
    monkeypatch.setattr(apk.os, "geteuid", lambda: 1000)
    tools(unshare="#!/bin/sh\nexit 1\n", fakeroot="#!/bin/sh\nexit 1\n")
    folder = tools(**{by: _RUNS_IT})
    apk.write(row, tree, "mips_24kc", tmp_path / "out.apk")
    assert (folder / "called").read_text().split()[1] == by


def test_one_whose_files_would_be_the_builders_is_refused(row, tree, tmp_path, tools, monkeypatch):
    out = tmp_path / "out.apk"
    monkeypatch.setenv("OWNER", "builder")
    with pytest.raises(rows.PackageError, match="would belong to builder"):
        apk.write(row, tree, "mips_24kc", out)
    assert not out.exists()
    monkeypatch.setattr(apk.os, "geteuid", lambda: 1000)
    tools(unshare="#!/bin/sh\nexit 1\n", fakeroot="#!/bin/sh\nexit 1\n")
    with pytest.raises(rows.PackageError, match="install fakeroot"):
        apk.write(row, tree, "mips_24kc", out)
    assert not out.exists()


def test_without_apk_it_says_how_to_get_it(row, tree, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(rows.PackageError, match="apk-tools 3"):
        apk.write(row, tree, "mips_24kc", tmp_path / "out.apk")
    assert apk.write_index(tmp_path) == 0
    (tmp_path / "a.apk").write_text("")
    with pytest.raises(rows.PackageError, match="apk-tools 3"):
        apk.write_index(tmp_path)
