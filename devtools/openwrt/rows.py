# SPDX-License-Identifier: MIT
"""The packages: a row each. Their files are in openwrt/."""

from dataclasses import dataclass, field

import tunlite
from devtools.openwrt.tree import Tree
from machine.toolchain import ROOT

RELEASE = 1
TIME = 1_700_000_000  # of every file: packages made twice are the same bytes
LICENSE = "MIT"
MAINTAINER = "the tunlite authors"


class PackageError(Exception):
    """A package cannot be made here; the text says why and what helps."""


@dataclass(frozen=True)
class Package:
    """One package.

    `trees` are folders of its own and where on the router what is in them goes; what is executable
    there is so on the router. `files` is path on the router -> (file of its own, mode). `built` is
    path -> what makes it (devtools/openwrt/built.py), of an executable's name; without one the
    package is for all machines.
    """

    name: str
    title: str
    section: str
    depends: tuple[str, ...]
    trees: dict[str, str] = field(default_factory=dict)
    files: dict[str, tuple[str, int]] = field(default_factory=dict)
    folders: dict[str, int] = field(default_factory=dict)
    built: dict[str, str] = field(default_factory=dict)
    conffiles: tuple[str, ...] = ()
    postinst: str = ""  # lines of shell after OpenWrt's own
    home: str = ""  # its folder below openwrt/, where that has not its name

    @property
    def folder(self):
        """Where its files are."""
        return ROOT / "openwrt" / (self.home or self.name)

    @property
    def is_for_all(self):
        """Whether one package does for every machine."""
        return not self.built


# rpcd reads its plugins and rights when it starts, LuCI keeps menus and modules.
_READ_ANEW = """\
[ -n "${IPKG_INSTROOT}" ] || {
	rm -rf /tmp/luci-indexcache.* /tmp/luci-modulecache
	[ ! -x /etc/init.d/rpcd ] || /etc/init.d/rpcd reload
}
"""
GLUON = "gluon-mesh-vpn-tunlite"


def _check_site(path):
    """What gluon.mk makes of a package's check_site.lua: an image of a wrong site is not built."""
    return (
        """lua "${IPKG_INSTROOT}/lib/gluon/check-site.lua" <<'END_OF_CHECK_SITE'\n"""
        f"{path.read_text(encoding='utf-8')}END_OF_CHECK_SITE\n"
    )


PACKAGES = (
    Package(
        name="tunlite",
        title="Tunnel daemon for mesh networks (WireGuard protocol)",
        section="net",
        depends=("kmod-tun",),
        files={
            "etc/init.d/tunlite": ("files/tunlite.init", 0o755),
            "etc/tunlite/mesh0.conf.sample": ("files/mesh0.conf.sample", 0o600),
            "etc/hotplug.d/iface/60-tunlite": ("files/tunlite.hotplug", 0o755),
            "lib/netifd/proto/tunlite.sh": ("files/tunlite.sh", 0o755),
            "lib/tunlite/uci.sh": ("files/uci.sh", 0o755),
            "lib/upgrade/keep.d/tunlite": ("files/tunlite.keep", 0o644),
        },
        folders={"etc/tunlite": 0o700},  # keys live here
        built={"usr/sbin/tunlite": "executable"},
        conffiles=("/etc/tunlite/",),
    ),
    Package(
        name="luci-proto-tunlite",
        title="LuCI and rpcd support for tunlite",
        section="luci",
        depends=("tunlite", "luci-base"),
        trees={"root": "", "htdocs": "www/"},
        postinst=_READ_ANEW,
    ),
    Package(
        name="gluon-mesh-vpn-tunlite",
        title="Mesh VPN by tunlite: Ethernet frames, or VXLAN towards gateways of today",
        section="gluon",
        depends=("gluon-core", "gluon-mesh-vpn-core", "libjson-c", "respondd", "tunlite"),
        home=f"gluon/{GLUON}",
        trees={"files": "", "luasrc": ""},
        built={f"usr/lib/respondd/{GLUON}.so": "respondd"},
        postinst=_check_site(ROOT / "openwrt/gluon" / GLUON / "check_site.lua"),
    ),
)


def version():
    """X.Y.Z-rN, as both package managers sort it."""
    return f"{tunlite.__version__}-r{RELEASE}"


def named(name):
    """The row of a package."""
    return next(row for row in PACKAGES if row.name == name)


def _of_folder(tree, folder, at):
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
            tree.add(f"{at}{path.relative_to(folder).as_posix()}", path.read_bytes(), mode)


def content(row, built=None):
    """The Tree that both formats install. `built`: path -> bytes of what row.built names."""
    tree = Tree()
    for path, mode in row.folders.items():
        tree.add_folder(path, mode)
    for folder, at in row.trees.items():
        _of_folder(tree, row.folder / folder, at)
    for path, (source, mode) in row.files.items():
        tree.add(path, (row.folder / source).read_bytes(), mode)
    for path in row.built:
        tree.add(path, built[path], 0o755)
    return tree


def conffiles(row, tree):
    """The paths of our files that the row's conffiles mean, as ipkg-build resolves them.

    Never a folder: opkg takes an entry for a file to be copied, and refuses the package wherever
    the folder is there already. Files that are not ours need no entry to outlive an upgrade.
    """
    meant = tuple(path[1:] for path in row.conffiles)
    return [path for path in sorted(tree.files) if meant and path.startswith(meant)]
