# SPDX-License-Identifier: MIT
"""The .ipk of every package, and the index of a feed."""

import gzip
import hashlib
import subprocess

import pytest

import tunlite
from devtools.openwrt import ipk, rows
from tests.openwrt.archives import control_of, files_of, members, meta_of


@pytest.fixture
def package(row, tree_of):
    return ipk.ipk(row, tree_of(row), "mips_24kc")


def test_an_ipk_is_three_members_in_a_gzipped_gnu_tar(package):
    found = members(package)
    assert list(found) == ["./debian-binary", "./data.tar.gz", "./control.tar.gz"]
    assert found["./debian-binary"][1] == b"2.0\n"
    assert package[3] == 0 and package[4:8] == bytes(4)  # no file name, no time
    assert gzip.decompress(package)[257:265] == b"ustar  \0"  # GNU


def test_made_twice_it_is_the_same_bytes(row, tree_of, package):
    assert ipk.ipk(row, tree_of(row), "mips_24kc") == package


def test_its_files_are_the_trees_and_belong_to_root(row, tree_of, package):
    tree, found = tree_of(row), files_of(package)
    files = {path[2:]: (data, m.mode) for path, (m, data) in found.items() if m.isfile()}
    folders = {path[2:]: m.mode for path, (m, _) in found.items() if m.isdir() and path != "."}
    assert files == tree.files and folders == tree.folders
    assert {(m.uid, m.gid, m.uname, m.gname) for m, _ in found.values()} == {(0, 0, "", "")}
    assert {m.mtime for m, _ in found.values()} == {rows.TIME}


def test_tar_of_this_machine_unpacks_it(row, tree_of, package, tmp_path):
    archive = tmp_path / ipk.name(row, "mips_24kc")
    archive.write_bytes(package)
    root = tmp_path / "root"
    root.mkdir()
    script = 'tar -xzOf "$1" ./data.tar.gz | tar -xzf - -C "$2"'
    subprocess.run(["sh", "-c", script, "sh", str(archive), str(root)], check=True)
    for path, (data, _) in tree_of(row).files.items():
        assert (root / path).read_bytes() == data


def test_the_control_file_names_version_architecture_and_what_it_needs(row, package):
    fields = control_of(package)
    assert fields["Package"] == row.name
    assert fields["Version"] == f"{tunlite.__version__}-r1"
    assert fields["Architecture"] == "mips_24kc"
    assert fields["Depends"].split(", ") == list(row.depends)
    data = members(package)["./data.tar.gz"]
    assert fields["SourceDateEpoch"] == str(data[0].mtime)
    # as ipkg-build counts: what data.tar.gz is unpacked
    assert int(fields["Installed-Size"]) == len(gzip.decompress(data[1]))


def test_conffiles_are_files_of_the_package_for_opkg_copies_each(row, package):
    meta, data = meta_of(package), files_of(package)
    paths = meta["./conffiles"][1].decode().splitlines() if "./conffiles" in meta else []
    assert bool(paths) == bool(row.conffiles)
    assert all(data["." + path][0].isfile() for path in paths)
    if row.name == "tunlite":
        assert paths == ["/etc/tunlite/mesh0.conf.sample"]


def _run(script, root, **more):
    environment = {"IPKG_INSTROOT": str(root), "PATH": "/usr/bin:/bin", **more}
    command = ["sh", str(script), "configure"]
    return subprocess.run(command, env=environment, capture_output=True)


def _scripts(package, folder):
    found = {}
    for name in ("postinst", "prerm"):
        member, text = meta_of(package)[f"./{name}"]
        assert member.mode == 0o755
        found[name] = folder / f"{name}-script"
        found[name].write_bytes(text)
    return found


def test_the_maintainer_scripts_do_nothing_without_openwrts_shell_library(package, tmp_path):
    for script in _scripts(package, tmp_path).values():
        done = _run(script, tmp_path)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_the_maintainer_scripts_call_openwrts_defaults(package, tmp_path):
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/functions.sh").write_text(
        'default_postinst() { echo "post $2"; }\ndefault_prerm() { echo "pre $2"; }\n'
    )
    scripts = _scripts(package, tmp_path)
    assert _run(scripts["postinst"], tmp_path).stdout == b"post configure\n"
    assert _run(scripts["prerm"], tmp_path).stdout == b"pre configure\n"
    assert _run(scripts["postinst"], tmp_path, IPKG_NO_SCRIPT="1").stdout == b""


def test_what_a_package_does_besides_is_its_postinst_pkg(row, package):
    meta = meta_of(package)
    assert ("./postinst-pkg" in meta) == bool(row.postinst)
    if row.postinst:
        member, text = meta["./postinst-pkg"]
        assert member.mode == 0o755 and text.decode() == f"#!/bin/sh\n{row.postinst}"


def test_an_index_lists_every_package_with_its_size_and_hash(tree_of, tmp_path):
    for row in rows.PACKAGES:
        for arch in ("mips_24kc", "mipsel_24kc"):
            (tmp_path / ipk.name(row, arch)).write_bytes(ipk.ipk(row, tree_of(row), arch))
    assert ipk.write_index(tmp_path) == 2 * len(rows.PACKAGES)
    text = (tmp_path / "Packages").read_text()
    assert gzip.decompress((tmp_path / "Packages.gz").read_bytes()).decode() == text
    stanzas = [s for s in text.split("\n\n") if s]
    assert len(stanzas) == 2 * len(rows.PACKAGES)
    for stanza in stanzas:
        fields = dict(line.split(":", 1) for line in stanza.splitlines())
        data = (tmp_path / fields["Filename"].strip()).read_bytes()
        assert int(fields["Size"]) == len(data)
        assert fields["SHA256sum"].strip() == hashlib.sha256(data).hexdigest()
