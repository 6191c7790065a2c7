# SPDX-License-Identifier: MIT
"""Packages for OpenWrt, .ipk and .apk, and a folder that opkg takes as a feed.

Both are byte-identical when made twice from the same executable: names sorted, numeric owners, one
fixed time.
"""

import gzip
import hashlib
import io
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import tunlite
from machine.toolchain import ROOT, TARGETS

RELEASE = 1
FORMATS = ("ipk", "apk")
_FILES = ROOT / "openwrt" / "tunlite" / "files"
_TIME = 1_700_000_000

# Where our files go: path on the router, source, mode.
_CONTENT = (
    ("etc/init.d/tunlite", _FILES / "tunlite.init", 0o755),
    ("etc/tunlite/mesh0.conf.sample", _FILES / "mesh0.conf.sample", 0o600),
    ("lib/upgrade/keep.d/tunlite", _FILES / "tunlite.keep", 0o644),
)
_CONFFILES = "/etc/tunlite/\n"
_FOLDERS = {"etc/tunlite": 0o700}
_DEPENDS = "kmod-tun"
_TITLE = "Tunnel daemon for mesh networks (WireGuard protocol)"

# A root without OpenWrt's shell library (a container, a test guest) has nothing to start.
_SCRIPT = """\
#!/bin/sh
[ "${{IPKG_NO_SCRIPT}}" = "1" ] && exit 0
[ -s "${{IPKG_INSTROOT}}/lib/functions.sh" ] || exit 0
. "${{IPKG_INSTROOT}}/lib/functions.sh"
{call}
"""
_IPK_SCRIPTS = {
    "postinst": _SCRIPT.format(call='default_postinst "$0" "$@"'),
    "prerm": _SCRIPT.format(call='default_prerm "$0" "$@"'),
}


class PackageError(Exception):
    """A package cannot be made here; the text says why and what helps."""


@dataclass
class Tree:
    """Files of a package: path without a leading slash -> (bytes, mode); folders -> mode."""

    files: dict[str, tuple[bytes, int]] = field(default_factory=dict)
    folders: dict[str, int] = field(default_factory=dict)

    def add(self, path, data, mode):
        """Adds a file and the folders above it."""
        self.files[path] = (data, mode)
        for parent in Path(path).parents:
            if str(parent) != ".":
                self.folders.setdefault(str(parent), 0o755)


def version():
    """X.Y.Z-rN, as both package managers sort it."""
    return f"{tunlite.__version__}-r{RELEASE}"


def content(executable):
    """The files that both formats install."""
    tree = Tree(folders=dict(_FOLDERS))
    for folder in _FOLDERS:
        for parent in Path(folder).parents:
            if str(parent) != ".":
                tree.folders.setdefault(str(parent), 0o755)
    tree.add("usr/sbin/tunlite", Path(executable).read_bytes(), 0o755)
    for path, source, mode in _CONTENT:
        tree.add(path, source.read_bytes(), mode)
    return tree


def _entries(tree):
    """(name, mode, bytes or None for a folder) of a tree, sorted, the names begin with ./"""
    yield "./", 0o755, None
    for path in sorted([*tree.folders, *tree.files]):
        if path in tree.folders:
            yield f"./{path}/", tree.folders[path], None
        else:
            data, mode = tree.files[path]
            yield f"./{path}", mode, data


def _tar(entries):
    """A GNU tar of (name, mode, bytes or None for a folder), as opkg reads it."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, mode, data in entries:
            info = tarfile.TarInfo(name)
            info.type = tarfile.DIRTYPE if data is None else tarfile.REGTYPE
            info.mode, info.size, info.mtime = mode, len(data or b""), _TIME
            tar.addfile(info, io.BytesIO(data or b""))
    return raw.getvalue()


def _gz(data):
    """gzip without a name and a time."""
    return gzip.compress(data, compresslevel=9, mtime=0)


def conffiles(tree):
    """The paths of our files that _CONFFILES means, as ipkg-build resolves it.

    Never a folder: opkg takes an entry for a file to be copied, and refuses the package wherever
    the folder is there already. Files that are not ours need no entry to outlive an upgrade.
    """
    folders = tuple(line[1:] for line in _CONFFILES.splitlines())
    return [path for path in sorted(tree.files) if path.startswith(folders)]


def control(arch, installed_size):
    """The control file's text, for packages of OpenWrt's architecture `arch`."""
    return (
        "Package: tunlite\n"
        f"Version: {version()}\n"
        f"Depends: {_DEPENDS}\n"
        "Source: openwrt/tunlite\n"
        "SourceName: tunlite\n"
        "License: MIT\n"
        "LicenseFiles: LICENSE\n"
        "Section: net\n"
        f"SourceDateEpoch: {_TIME}\n"
        "Maintainer: the tunlite authors\n"
        f"Architecture: {arch}\n"
        f"Installed-Size: {installed_size}\n"
        f"Description:  {_TITLE}\n"
    )


def ipk(executable, arch):
    """The .ipk's bytes."""
    tree = content(executable)
    data = _tar(_entries(tree))
    meta = Tree()
    meta.add("control", control(arch, len(data)).encode(), 0o644)
    listing = "".join(f"/{path}\n" for path in conffiles(tree))
    meta.add("conffiles", listing.encode(), 0o644)
    for name, text in _IPK_SCRIPTS.items():
        meta.add(name, text.encode(), 0o755)
    members = {
        "debian-binary": b"2.0\n",
        "data.tar.gz": _gz(data),
        "control.tar.gz": _gz(_tar(_entries(meta))),
    }
    return _gz(_tar((f"./{name}", 0o644, content) for name, content in members.items()))


def ipk_name(arch):
    """The file name that a feed expects."""
    return f"tunlite_{version()}_{arch}.ipk"


def apk_tree(executable):
    """The files of an .apk: the same, and what OpenWrt's default scripts look up there."""
    tree = content(executable)
    listing = "".join(f"/{path}\n" for path in sorted(tree.files))
    tree.add("lib/apk/packages/tunlite.conffiles", _CONFFILES.encode(), 0o644)
    sums = [(path, hashlib.sha256(tree.files[path][0]).hexdigest()) for path in conffiles(tree)]
    static = "".join(f"/{path} {digest}\n" for path, digest in sums)
    tree.add("lib/apk/packages/tunlite.conffiles_static", static.encode(), 0o644)
    tree.add("lib/apk/packages/tunlite.list", listing.encode(), 0o644)
    return tree


def apk_scripts():
    """{phase of `apk mkpkg`: text}."""
    head = (
        "#!/bin/sh\n"
        '[ "${IPKG_NO_SCRIPT}" = "1" ] && exit 0\n'
        '[ -s "${IPKG_INSTROOT}/lib/functions.sh" ] || exit 0\n'
        '. "${IPKG_INSTROOT}/lib/functions.sh"\n'
        "export root=\"${IPKG_INSTROOT}\"\nexport pkgname='tunlite'\n"
    )
    return {
        "post-install": head + "add_group_and_user\ndefault_postinst\n",
        "post-upgrade": head + "export PKG_UPGRADE=1\nadd_group_and_user\ndefault_postinst\n",
        "pre-deinstall": head + "default_prerm\n",
    }


def apk_command(apk, arch, out, folder):
    """The `apk mkpkg` call for a tree at folder/files and scripts at folder/PHASE."""
    info = {
        "name": "tunlite",
        "version": version(),
        "description": _TITLE,
        "arch": arch,
        "license": "MIT",
        "origin": "openwrt/tunlite",
        "maintainer": "the tunlite authors",
        "depends": _DEPENDS,
    }
    command = [apk, "mkpkg"]
    for name, value in info.items():
        command += ["--info", f"{name}:{value}"]
    for phase in apk_scripts():
        command += ["--script", f"{phase}:{folder / phase}"]
    return [*command, "--files", str(folder / "files"), "--output", str(out)]


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


def _lay_out(tree, folder):
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
        os.utime(folder / path, (_TIME, _TIME))


def foreign_owners(dump):
    """Users and groups but root that `apk adbdump` tells of a package, sorted."""
    names = re.findall(r"^[\s-]*(?:user|group):\s*(\S+)", dump, re.MULTILINE)
    return sorted(set(names) - {"root"})


def _run_apk(command):
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(_TIME)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise PackageError(f"apk {command[-1]}: {done.stderr.strip()}")
    return done.stdout


def write_apk(executable, arch, out):
    """Makes the .apk with `apk mkpkg`; PackageError where that program is not to be had."""
    apk = shutil.which("apk")
    if apk is None:
        raise PackageError(
            "an .apk is made by `apk mkpkg` of apk-tools 3, which is not on this machine (Debian "
            "has no package of it): put staging_dir/host/bin/apk of an OpenWrt 25.12 SDK into PATH"
        )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _lay_out(apk_tree(executable), folder / "files")
        for phase, text in apk_scripts().items():
            (folder / phase).write_text(text)
        _run_apk([*_as_root(), *apk_command(apk, arch, out, folder)])
    owners = foreign_owners(_run_apk([apk, "adbdump", str(out)]))
    if owners:
        out.unlink()
        raise PackageError(f"files of the .apk would belong to {', '.join(owners)}")


def package(arch, kind, openwrt_arch=None):
    """Writes a package of one of FORMATS from dist/tunlite-ARCH; its path."""
    name = openwrt_arch or TARGETS[arch].openwrt
    executable = ROOT / "dist" / f"tunlite-{arch}"
    if not executable.is_file():
        raise PackageError(f"{executable} is not there: ./dev cross-build --arch {arch}")
    if kind == "ipk":
        out = ROOT / "dist" / ipk_name(name)
        half = out.with_suffix(f".{os.getpid()}")  # nobody reads half a package
        half.write_bytes(ipk(executable, name))
        half.rename(out)
    else:
        folder = ROOT / "dist" / name
        folder.mkdir(exist_ok=True)
        out = folder / f"tunlite-{version()}.apk"
        write_apk(executable, name, out)
    return out


def _member(archive, name):
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        return tar.extractfile(f"./{name}").read()


def feed_index(folder):
    """The text of `Packages` for the .ipk files in a folder, sorted by name."""
    rows = []
    for path in sorted(Path(folder).glob("*.ipk")):
        data = path.read_bytes()
        text = _member(_member(data, "control.tar.gz"), "control").decode()
        before, _, description = text.partition("Description:")
        rows.append(
            f"{before}Filename: {path.name}\nSize: {len(data)}\n"
            f"SHA256sum: {hashlib.sha256(data).hexdigest()}\nDescription:{description}\n"
        )
    return "".join(rows)


def write_feed(folder):
    """Writes Packages and Packages.gz beside the .ipk files in `folder`."""
    text = feed_index(folder)
    if not text:
        raise PackageError(f"no .ipk in {folder}: ./dev package --arch all --format ipk")
    (Path(folder) / "Packages").write_text(text)
    (Path(folder) / "Packages.gz").write_bytes(gzip.compress(text.encode(), 9, mtime=0))
