# SPDX-License-Identifier: MIT
""".ipk, which opkg installs, and its index: byte-identical when made twice, because names are
sorted, owners are numbers and all files have one fixed time.
"""

import gzip
import hashlib
import io
import tarfile
from pathlib import Path

from devtools.openwrt import rows
from devtools.openwrt.tree import Tree

# A root without OpenWrt's shell library (a container, a test guest) has nothing to start.
_SCRIPT = """\
#!/bin/sh
[ "${{IPKG_NO_SCRIPT}}" = "1" ] && exit 0
[ -s "${{IPKG_INSTROOT}}/lib/functions.sh" ] || exit 0
. "${{IPKG_INSTROOT}}/lib/functions.sh"
{call}
"""
# They call what the package has for itself, its postinst-pkg.
_SCRIPTS = {
    "postinst": _SCRIPT.format(call='default_postinst "$0" "$@"'),
    "prerm": _SCRIPT.format(call='default_prerm "$0" "$@"'),
}


def _tar(entries):
    """A GNU tar of (name, mode, bytes or None for a folder), as opkg reads it."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, mode, data in entries:
            info = tarfile.TarInfo(name)
            info.type = tarfile.DIRTYPE if data is None else tarfile.REGTYPE
            info.mode, info.size, info.mtime = mode, len(data or b""), rows.TIME
            tar.addfile(info, io.BytesIO(data or b""))
    return raw.getvalue()


def _gz(data):
    """gzip without a name and a time."""
    return gzip.compress(data, compresslevel=9, mtime=0)


def control(row, arch, installed_size):
    """The control file's text, for packages of OpenWrt's architecture `arch`."""
    return (
        f"Package: {row.name}\n"
        f"Version: {rows.version()}\n"
        f"Depends: {', '.join(row.depends)}\n"
        f"Source: openwrt/{row.name}\n"
        f"SourceName: {row.name}\n"
        f"License: {rows.LICENSE}\n"
        "LicenseFiles: LICENSE\n"
        f"Section: {row.section}\n"
        f"SourceDateEpoch: {rows.TIME}\n"
        f"Maintainer: {rows.MAINTAINER}\n"
        f"Architecture: {arch}\n"
        f"Installed-Size: {installed_size}\n"
        f"Description:  {row.title}\n"
    )


def _meta(row, tree, arch, installed_size):
    """What is in control.tar.gz."""
    meta = Tree()
    meta.add("control", control(row, arch, installed_size).encode(), 0o644)
    if kept := rows.conffiles(row, tree):
        meta.add("conffiles", "".join(f"/{path}\n" for path in kept).encode(), 0o644)
    for name, text in _SCRIPTS.items():
        meta.add(name, text.encode(), 0o755)
    if row.postinst:
        meta.add("postinst-pkg", f"#!/bin/sh\n{row.postinst}".encode(), 0o755)
    return meta


def ipk(row, tree, arch):
    """The .ipk's bytes."""
    data = _tar(tree.entries())
    members = {
        "debian-binary": b"2.0\n",
        "data.tar.gz": _gz(data),
        "control.tar.gz": _gz(_tar(_meta(row, tree, arch, len(data)).entries())),
    }
    return _gz(_tar((f"./{name}", 0o644, content) for name, content in members.items()))


def name(row, arch):
    """The file name that a feed expects."""
    return f"{row.name}_{rows.version()}_{arch}.ipk"


# ---- the index ----


def _member(archive, name):
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        return tar.extractfile(f"./{name}").read()


def _stanza(path):
    data = path.read_bytes()
    text = _member(_member(data, "control.tar.gz"), "control").decode()
    before, _, description = text.partition("Description:")
    return (
        f"{before}Filename: {path.name}\nSize: {len(data)}\n"
        f"SHA256sum: {hashlib.sha256(data).hexdigest()}\nDescription:{description}\n"
    )


def write_index(folder):
    """Writes Packages and Packages.gz beside the .ipk files in `folder`; how many there are."""
    found = sorted(Path(folder).glob("*.ipk"))
    text = "".join(_stanza(path) for path in found)
    if found:
        (Path(folder) / "Packages").write_text(text)
        (Path(folder) / "Packages.gz").write_bytes(_gz(text.encode()))
    return len(found)
