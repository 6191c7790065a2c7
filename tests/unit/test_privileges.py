# SPDX-License-Identifier: MIT
"""Whom the daemon becomes, what it keeps, and the folders it needs."""

import os
import stat

import pytest

from tunlite.config.settings import Settings
from tunlite.host import privileges
from tunlite.uapi import client


@pytest.fixture(autouse=True)
def _run_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(client, "STATUS_FOLDER", str(tmp_path / "run-tunlite"))


def test_without_options_nothing_changes_and_the_socket_is_the_owners_alone():
    owner = privileges.Owner(Settings({}))
    assert (owner.uid, owner.gid, owner.socket_mode()) == (-1, -1, 0o600)


def test_a_user_brings_its_group_for_the_daemon_and_nobody_else_for_its_socket():
    owner = privileges.Owner(Settings({"User": "nobody"}))
    assert (owner.uid, owner.gid) == (65534, 65534)
    assert (owner.socket_gid, owner.socket_mode()) == (-1, 0o600)


def test_only_a_group_that_was_written_shares_the_socket():
    both = privileges.Owner(Settings({"User": "nobody", "SocketGroup": "daemon"}))
    assert (both.uid, both.gid, both.socket_gid, both.socket_mode()) == (65534, 1, 1, 0o660)
    group = privileges.Owner(Settings({"SocketGroup": "daemon"}))
    assert (group.uid, group.gid, group.socket_gid, group.socket_mode()) == (-1, 1, 1, 0o660)
    auto = privileges.Owner(Settings({"User": "nobody", "SocketGroup": "auto"}))
    assert (auto.gid, auto.socket_gid, auto.socket_mode()) == (65534, -1, 0o600)


@pytest.mark.parametrize("settings", [{"User": "no-such"}, {"SocketGroup": "no-such"}])
def test_a_name_that_is_not_there_is_told(settings):
    with pytest.raises(privileges.PrivilegeError, match="no-such: create it"):
        privileges.Owner(Settings(settings))


def test_each_user_has_a_state_folder_of_his_own():
    assert privileges.state_folder(Settings({})) == "/var/lib/tunlite"
    assert privileges.state_folder(Settings({"User": "nobody"})) == "/var/lib/tunlite-nobody"
    assert privileges.state_folder(Settings({"User": "nobody", "StateDir": "/x"})) == "/x"


def test_on_openwrt_state_is_kept_in_flash(tmp_path, monkeypatch):
    (tmp_path / "openwrt_release").write_text("DISTRIB_ID='OpenWrt'\n")
    monkeypatch.setattr(privileges, "_OPENWRT", str(tmp_path / "openwrt_release"))
    assert privileges.state_folder(Settings({})) == "/etc/tunlite-state"
    assert privileges.state_folder(Settings({"User": "nobody"})) == "/etc/tunlite-state-nobody"
    assert privileges.state_folder(Settings({"StateDir": "/x"})) == "/x"


def test_folders_are_made_with_what_is_above_them(tmp_path, monkeypatch):
    monkeypatch.setattr(client, "FOLDER", str(tmp_path / "run/wireguard"))
    state = str(tmp_path / "var/lib/state")
    old = os.umask(0o022)
    try:
        assert (
            privileges.prepare_folders(
                Settings({"StateDir": state}), privileges.Owner(Settings({}))
            )
            == state
        )
    finally:
        os.umask(old)
    assert stat.S_IMODE(os.stat(state).st_mode) == 0o700
    assert stat.S_IMODE(os.stat(tmp_path / "run/wireguard").st_mode) == 0o755
    assert stat.S_IMODE(os.stat(tmp_path / "run-tunlite").st_mode) == 0o711


@pytest.mark.parametrize("mode", [0o700, 0o777])
def test_the_folder_of_status_sockets_lets_others_pass_whoever_made_it(tmp_path, mode):
    (tmp_path / "x").mkdir()
    os.chmod(tmp_path / "x", mode)
    privileges.make_passable(str(tmp_path / "x"))
    assert stat.S_IMODE(os.stat(tmp_path / "x").st_mode) == 0o711


def test_a_state_folder_that_cannot_be_made_is_no_reason_to_stop(tmp_path, monkeypatch):
    monkeypatch.setattr(client, "FOLDER", str(tmp_path / "run"))
    (tmp_path / "file").write_text("")
    settings = {"StateDir": str(tmp_path / "file/state")}
    assert privileges.prepare_folders(Settings(settings), privileges.Owner(Settings({}))) is None


def _as_seen_by_chown(monkeypatch):
    """What would be given away: (path, uid, gid)."""
    given = []
    monkeypatch.setattr(privileges.port, "chown", lambda *row: given.append(row))
    return given


class _Root(privileges.Owner):
    """A user of its own, without a row in /etc/passwd."""

    def __init__(self):
        self.uid, self.gid = 4001, 4002


def _prepare(monkeypatch, tmp_path, folder):
    monkeypatch.setattr(client, "FOLDER", str(tmp_path / "run"))
    return privileges.prepare_folders(Settings({"StateDir": str(folder), "User": "u"}), _Root())


def test_roots_folder_is_given_to_the_user_with_what_is_in_it(tmp_path, monkeypatch):
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    (folder / "stamp-1").write_text("")
    given = _as_seen_by_chown(monkeypatch)
    assert _prepare(monkeypatch, tmp_path, folder) == str(folder)
    assert given == [(str(folder / "stamp-1"), 4001, 4002), (str(folder), 4001, 4002)]


def test_nothing_in_a_folder_that_the_user_could_write_to_is_given_away(tmp_path, monkeypatch):
    """A daemon that was taken over might have left a link to any file of root's."""
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    (folder / "stamp-1").symlink_to("/etc/shadow")
    given = _as_seen_by_chown(monkeypatch)
    seen = privileges.port.stat
    monkeypatch.setattr(
        privileges.port, "stat", lambda path: (*seen(path)[:1], 4001, 4002, *seen(path)[3:])
    )
    assert _prepare(monkeypatch, tmp_path, folder) == str(folder)
    assert given == []


@pytest.mark.parametrize(("mode", "uid"), [(0o777, 0), (0o770, 0), (0o700, 4003)])
def test_a_folder_that_others_could_write_to_is_refused(tmp_path, monkeypatch, mode, uid):
    folder = tmp_path / "state"
    folder.mkdir()
    folder.chmod(mode)
    given = _as_seen_by_chown(monkeypatch)
    seen = privileges.port.stat
    monkeypatch.setattr(privileges.port, "stat", lambda path: (seen(path)[0], uid, 0, 0))
    with pytest.raises(privileges.PrivilegeError, match="chown -R u "):
        _prepare(monkeypatch, tmp_path, folder)
    assert given == []
