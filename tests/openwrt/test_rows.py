# SPDX-License-Identifier: MIT
"""What the packages are made of, and the feed's Makefiles beside it."""

import re
import subprocess
import textwrap
from pathlib import Path

import pytest

import tunlite
from devtools.openwrt import rows
from tunlite.config import parser, secret_text
from tunlite.config.settings import Settings
from tunlite.host import privileges

_ROOT = Path(__file__).resolve().parents[2]
_TUNLITE = rows.named("tunlite")


def test_every_package_has_its_files_in_a_folder_of_its_name(row, tree_of):
    assert row.folder.is_dir() and (row.folder / "Makefile").is_file()
    tree = tree_of(row)
    assert tree.files
    shell = {path: data for path, (data, _) in tree.files.items() if data.startswith(b"#!")}
    for path in shell:
        is_sourced = path.startswith("lib/tunlite/")
        assert is_sourced or tree.files[path][1] == 0o755, f"{path} is not executable"


def test_no_two_packages_install_the_same_file(tree_of):
    found = [path for row in rows.PACKAGES for path in tree_of(row).files]
    assert sorted(found) == sorted(set(found))


def test_none_depends_on_rpcd_for_the_plugin_is_read_where_it_runs(row):
    assert "rpcd" not in row.depends


def test_the_files_of_tunlite_land_where_openwrt_looks(tree_of):
    tree = tree_of(_TUNLITE)
    assert tree.files["usr/sbin/tunlite"][1] == 0o755
    assert tree.files["etc/init.d/tunlite"][1] == 0o755
    assert tree.files["lib/upgrade/keep.d/tunlite"][1] == 0o644
    assert tree.folders["etc/tunlite"] == 0o700  # keys live here


def test_the_sample_is_the_pages_and_right_once_its_keys_are_there():
    text = (_ROOT / "openwrt/tunlite/files/mesh0.conf.sample").read_text()
    text = text[text.index("[Interface]") :]
    assert textwrap.indent(text, "    ") in (_ROOT / "docs/openwrt.md").read_text()
    text = re.sub("<[^>]*>", "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=", text)
    assert parser.parse(secret_text.Text([bytearray(text.encode())]), "sample").errors == []


def test_keys_and_state_lie_in_flash_and_survive_a_sysupgrade(tree_of, tmp_path, monkeypatch):
    kept = tree_of(_TUNLITE).files["lib/upgrade/keep.d/tunlite"][0].decode()
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


def _run_postinst(row, root, **programs):
    """Runs a row's postinst on an installed package, whose paths lie below `root`."""
    text = row.postinst
    for path in ("/tmp/luci", "/etc/init.d"):
        text = text.replace(path, f"{root}{path}")
    for path, script in programs.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(script)
        (root / path).chmod(0o755)
    return subprocess.run(["sh", "-ec", text], capture_output=True, text=True)


def test_rpcd_reads_the_plugin_at_once_and_luci_its_menu(tmp_path):
    row = rows.named("luci-proto-tunlite")
    (tmp_path / "tmp/luci-modulecache").mkdir(parents=True)
    (tmp_path / "tmp/luci-indexcache.1.json").write_text("")
    assert _run_postinst(row, tmp_path).returncode == 0  # without rpcd too
    assert list((tmp_path / "tmp").iterdir()) == []
    done = _run_postinst(row, tmp_path, **{"etc/init.d/rpcd": '#!/bin/sh\necho "rpcd $1"\n'})
    assert done.stdout == "rpcd reload\n"


def test_while_an_image_is_built_nothing_is_reloaded(tmp_path):
    row = rows.named("luci-proto-tunlite")
    environment = {"IPKG_INSTROOT": str(tmp_path), "PATH": "/nowhere"}
    done = subprocess.run(["/bin/sh", "-c", row.postinst], env=environment, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")


def test_the_site_is_checked_by_what_the_package_brings(tmp_path):
    row = rows.named("gluon-mesh-vpn-tunlite")
    (tmp_path / "lua").write_text('#!/bin/sh\necho "$1"\ncat\n')
    (tmp_path / "lua").chmod(0o755)
    environment = {"IPKG_INSTROOT": "/image", "PATH": f"{tmp_path}:/usr/bin:/bin"}
    done = subprocess.run(["sh", "-c", row.postinst], env=environment, capture_output=True)
    script = (row.folder / "check_site.lua").read_bytes()
    assert done.stdout == b"/image/lib/gluon/check-site.lua\n" + script


@pytest.fixture
def makefile(row):
    """{variable or define: text} of a feed's Makefile."""
    text = (row.folder / "Makefile").read_text()
    found = dict(re.findall(r"^\s*(\w+):=(.*)$", text, re.M))
    for name, body in re.findall(r"^define (\S+)\n(.*?)^endef$", text, re.M | re.S):
        found[name] = body
    return found


def test_the_feeds_makefile_says_what_the_row_says(row, makefile):
    assert makefile["PKG_NAME"] == row.name
    assert makefile["PKG_VERSION"] == tunlite.__version__
    assert makefile["PKG_RELEASE"] == str(rows.RELEASE)
    # gluon.mk has the section of its packages, and makes their postinst of check_site.lua.
    assert makefile["TITLE"] == row.title and makefile.get("SECTION", "gluon") == row.section
    assert [word.strip("+") for word in makefile["DEPENDS"].split()] == list(row.depends)
    assert (makefile.get("PKGARCH") == "all") == row.is_for_all
    kept = makefile.get(f"Package/{row.name}/conffiles", "").split()
    assert kept == list(row.conffiles)
    postinst = makefile.get(f"Package/{row.name}/postinst", "").replace("$$", "$")
    if (row.folder / "check_site.lua").exists():
        assert not postinst and (row.folder / "check_site.lua").read_text() in row.postinst
    else:
        assert postinst.removeprefix("#!/bin/sh\n") == row.postinst
