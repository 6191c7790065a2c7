# SPDX-License-Identifier: MIT
""".apk, which OpenWrt 25.12 installs, and its index: made by `apk` itself, of apk-tools 3."""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from devtools.openwrt import architectures, rows
from devtools.openwrt.rows import PackageError
from devtools.openwrt.tree import Tree

INDEX = "packages.adb"
NOARCH = "noarch"
MISSING = (
    "an .apk is made by `apk mkpkg` of apk-tools 3, which is not on this machine (Debian "
    "has no package of it): put staging_dir/host/bin/apk of an OpenWrt 25.12 SDK into PATH"
)


def arch_of(arch):
    """What apk calls an architecture."""
    return NOARCH if arch == architectures.EVERYWHERE else arch


def name(row):
    """The file name that a repository expects: one folder has one architecture."""
    return f"{row.name}-{rows.version()}.apk"


def packed(row, tree):
    """The files of an .apk: the tree's, and what OpenWrt's default scripts look up there."""
    whole = Tree(dict(tree.files), dict(tree.folders))
    lists = f"lib/apk/packages/{row.name}"
    listing = "".join(f"/{path}\n" for path in sorted(tree.files))
    if row.conffiles:
        meant = "".join(f"{path}\n" for path in row.conffiles)
        whole.add(f"{lists}.conffiles", meant.encode(), 0o644)
    kept = rows.conffiles(row, tree)
    sums = [(path, hashlib.sha256(tree.files[path][0]).hexdigest()) for path in kept]
    if sums:
        static = "".join(f"/{path} {digest}\n" for path, digest in sums)
        whole.add(f"{lists}.conffiles_static", static.encode(), 0o644)
    whole.add(f"{lists}.list", listing.encode(), 0o644)
    return whole


def scripts(row):
    """{phase of `apk mkpkg`: text}. An upgrade runs post-upgrade alone."""
    head = (
        "#!/bin/sh\n"
        '[ "${IPKG_NO_SCRIPT}" = "1" ] && exit 0\n'
        '[ -s "${IPKG_INSTROOT}/lib/functions.sh" ] || exit 0\n'
        '. "${IPKG_INSTROOT}/lib/functions.sh"\n'
        f"export root=\"${{IPKG_INSTROOT}}\"\nexport pkgname='{row.name}'\n"
    )
    begin = f"add_group_and_user\ndefault_postinst\n{row.postinst}"
    return {
        "post-install": head + begin,
        "post-upgrade": f"{head}export PKG_UPGRADE=1\n{begin}",
        "pre-deinstall": head + "default_prerm\n",
    }


def command(apk, row, arch, out, folder):
    """The `apk mkpkg` call for a tree at folder/files and scripts at folder/PHASE."""
    info = {
        "name": row.name,
        "version": rows.version(),
        "description": row.title,
        "arch": arch_of(arch),
        "license": rows.LICENSE,
        "origin": f"openwrt/{row.name}",
        "maintainer": rows.MAINTAINER,
        "provides": f"{row.name}-any",  # as OpenWrt 25.12 has it of every package
        "depends": " ".join(row.depends),
    }
    words = [apk, "mkpkg"]
    for key, value in info.items():
        words += ["--info", f"{key}:{value}"]
    for phase in scripts(row):
        words += ["--script", f"{phase}:{folder / phase}"]
    return [*words, "--files", str(folder / "files"), "--output", str(out)]


def _as_root():
    """Words before a command in which our files are root's: apk stores who owns a file by name."""
    if os.geteuid() == 0:
        return []
    for words in (["unshare", "-r"], ["fakeroot", "--"]):
        if (
            shutil.which(words[0])
            and subprocess.run([*words, "true"], capture_output=True).returncode == 0
        ):
            return words
    raise PackageError(
        "an .apk stores who owns its files: build it as root or where `unshare -r` works, or"
        " install fakeroot"
    )


def lay_out(tree, folder):
    """Writes a tree below `folder`, with its modes and one fixed time, which an .apk stores too."""
    folder.mkdir()
    for path in sorted(tree.folders):
        (folder / path).mkdir(parents=True, exist_ok=True)
    for path, (data, _) in tree.files.items():
        (folder / path).write_bytes(data)
    modes = {**tree.folders, **{path: mode for path, (_, mode) in tree.files.items()}, "": 0o755}
    for path, mode in modes.items():
        (folder / path).chmod(mode)
        if os.geteuid() == 0:
            os.chown(folder / path, 0, 0)
        os.utime(folder / path, (rows.TIME, rows.TIME))


def foreign_owners(dump):
    """Users and groups but root that `apk adbdump` tells of a package, sorted."""
    names = re.findall(r"^[\s-]*(?:user|group):\s*(\S+)", dump, re.MULTILINE)
    return sorted(set(names) - {"root"})


def _run(words, folder=None):
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(rows.TIME)}
    done = subprocess.run(words, capture_output=True, text=True, env=environment, cwd=folder)
    if done.returncode:
        raise PackageError(f"apk {words[-1]}: {done.stderr.strip()}")
    return done.stdout


def write(row, tree, arch, out):
    """Makes the .apk with `apk mkpkg`; PackageError where that program is not to be had."""
    apk = shutil.which("apk")
    if apk is None:
        raise PackageError(MISSING)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lay_out(packed(row, tree), folder / "files")
        for phase, text in scripts(row).items():
            (folder / phase).write_text(text)
        _run([*_as_root(), *command(apk, row, arch, out, folder)])
    owners = foreign_owners(_run([apk, "adbdump", str(out)]))
    if owners:
        out.unlink()
        raise PackageError(f"files of the .apk would belong to {', '.join(owners)}")


def write_index(folder):
    """Writes packages.adb beside the .apk files in `folder`; how many there are."""
    found = sorted(path.name for path in folder.glob("*.apk"))
    apk = shutil.which("apk")
    if found and apk is None:
        raise PackageError(MISSING)
    if found:
        _run([apk, "mkndx", "--allow-untrusted", "--output", INDEX, *found], folder)
    return len(found)
