# SPDX-License-Identifier: MIT
"""What the daemon keeps of root's rights once it is set up, and the folders it needs then.

Hooks, links and files of the configuration stay with the root parent (confined.py); the daemon
needs CAP_NET_ADMIN for its device and sockets' marks, and CAP_NET_BIND_SERVICE for a port under
1024, which `wg set` or a reload may name at any time.
"""

from tunlite.errors import NEVER, UserError, said
from tunlite.system import port
from tunlite.uapi import client

STATE_FOLDER = "/var/lib/tunlite"
# OpenWrt's /var is in memory; this is flash, and its keep.d file names it.
OPENWRT_STATE_FOLDER = "/etc/tunlite-state"
_OPENWRT = "/etc/openwrt_release"
# CAP_NET_BIND_SERVICE, CAP_NET_ADMIN
_CAPABILITIES = 1 << 10 | 1 << 12
_EEXIST = 17
_ENOENT = 2


class PrivilegeError(UserError):
    """User, SocketGroup or our own rights are not what is needed."""

    status = NEVER


class Owner:
    """Whom the daemon becomes: uid and gid, -1 where they stay; socket_gid: who may use its socket,
    -1 for nobody else. A user's own group is not asked: nogroup, say, is anybody's."""

    def __init__(self, settings):
        self.uid = self.gid = self.socket_gid = -1
        user = settings["User"]
        group = settings["SocketGroup"]
        try:
            if user != "root":
                self.uid, self.gid = port.lookup_user(user)
            if group != "auto":
                self.gid = self.socket_gid = port.lookup_group(group)
        except OSError as e:
            raise PrivilegeError(f"{e.args[1]}: create it, or change User and SocketGroup")

    def socket_mode(self):
        """A group that was named may use the socket; otherwise nobody but its owner."""
        return 0o600 if self.socket_gid < 0 else 0o660


def make_folder(path, mode):
    """Makes a folder and what is missing above it; one that is there stays as it is."""
    at = path.find("/", 1)
    while at > 0:
        _make(path[:at], 0o755)
        at = path.find("/", at + 1)
    return _make(path, mode)


def make_passable(path):
    """A folder that nobody but us may list or lock: others pass to the sockets in it, which have
    modes of their own, and records in it are 0600."""
    make_folder(path, 0o711)
    port.chmod(path, 0o711)  # whatever the umask, and whoever made it


def refuse_folder_of_others(path):
    """PrivilegeError: somebody else could put another file in the place of the one we make there,
    and we would give that away."""
    folder = path[: path.rfind("/")] or "/"
    try:
        mode, uid, _, _ = port.stat(folder)
    except OSError as e:
        raise PrivilegeError(f"StatusSocket cannot be in {folder}: {said(e)}")
    if uid or mode & 0o022 and not mode & 0o1000:
        raise PrivilegeError(
            f"StatusSocket cannot be in {folder}: others than root may write there; name a folder"
            " of root's, /run for instance"
        )


def _make(path, mode):
    try:
        port.mkdir(path, mode)
        return True
    except OSError as e:
        if e.errno != _EEXIST:
            raise
        return False


def state_folder(settings):
    """StateDir; by default each user has one of his own, since none may read another's.

    Root is no exception: without CAP_DAC_OVERRIDE it has no more rights than others.
    """
    if "StateDir" in settings.given:
        return settings["StateDir"]
    user = settings["User"]
    return _usual_state_folder() + ("" if user == "root" else "-" + user)


def is_openwrt():
    try:
        return bool(port.stat(_OPENWRT))
    except OSError:
        return False


def _usual_state_folder():
    return OPENWRT_STATE_FOLDER if is_openwrt() else STATE_FOLDER


def prepare_folders(settings, owner):
    """The sockets' folders, and the folder of the clock's mark, which belongs to the daemon.

    PrivilegeError when the former cannot be made, or the latter is not safe; a read-only file
    system is no reason not to run, so the state folder is None then.
    """
    try:
        make_folder(client.FOLDER, 0o755)
    except OSError as e:
        raise PrivilegeError(f"cannot make {client.FOLDER}: {said(e)}; are you root?")
    try:
        make_passable(client.STATUS_FOLDER)
    except OSError:
        pass  # it is told where the socket is made
    folder = state_folder(settings)
    try:
        make_folder(folder, 0o700)
        if owner.uid >= 0:
            _give(folder, owner, settings["User"])
    except OSError:
        return None
    return folder


def _give(folder, owner, user):
    """Root's folder becomes the user's, with what is in it.

    Only where nobody else could have put something there: root follows what it finds, and a link
    left by a daemon that was taken over might lead to any file.
    """
    mode, uid, _, _ = port.stat(folder)
    if uid == owner.uid:
        return
    if uid != 0 or mode & 0o022:
        raise PrivilegeError(
            f"{folder} belongs to another user, or others may write to it; look what is in it,"
            f" then: chown -R {user} {folder} && chmod 700 {folder}"
        )
    for name in port.listdir(folder):
        port.chown(folder + "/" + name, owner.uid, owner.gid)
    port.chown(folder, owner.uid, owner.gid)


def confine(owner):
    """Gives up everything else; cannot be undone."""
    result = port.native.tl_confine(owner.uid, owner.gid, _CAPABILITIES)
    if result < 0:
        raise PrivilegeError(f"cannot give up privileges: {port.strerror(-result)}; are you root?")


def no_new_privs():
    """Neither we nor a hook can gain rights any more, by setuid programs say; cannot be undone."""
    result = port.native.tl_confine(-1, -1, -1)
    if result < 0:
        raise PrivilegeError(f"no_new_privs cannot be set: {port.strerror(-result)}")
