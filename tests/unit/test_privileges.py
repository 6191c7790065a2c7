# SPDX-License-Identifier: MIT
"""Whom the daemon becomes, what it keeps, and the folders it needs."""

import os
import stat

import pytest

from tunlite import client, privileges


def test_without_options_nothing_changes_and_the_socket_is_the_owners_alone():
    owner = privileges.Owner({})
    assert (owner.uid, owner.gid, owner.socket_mode()) == (-1, -1, 0o600)


def test_a_user_brings_its_group_and_a_group_alone_leaves_the_user():
    assert privileges.Owner({"User": "nobody"}).uid == 65534
    assert privileges.Owner({"User": "nobody"}).gid == 65534
    both = privileges.Owner({"User": "nobody", "Group": "daemon"})
    assert (both.uid, both.gid) == (65534, 1)
    group = privileges.Owner({"Group": "daemon"})
    assert (group.uid, group.gid, group.socket_mode()) == (-1, 1, 0o660)


@pytest.mark.parametrize("settings", [{"User": "no-such"}, {"Group": "no-such"}])
def test_a_name_that_is_not_there_is_told(settings):
    with pytest.raises(privileges.PrivilegeError, match="no-such: create it"):
        privileges.Owner(settings)


@pytest.mark.parametrize(
    ("number", "caps"), [(0, 1 << 12), (1, 1 << 12 | 1 << 10), (1023, 1 << 12 | 1 << 10)]
)
def test_a_low_port_needs_a_capability_more(number, caps):
    assert privileges.capabilities(number) == caps
    assert privileges.capabilities(1024) == 1 << 12


def test_each_user_has_a_state_folder_of_his_own():
    assert privileges.state_folder({}) == "/var/lib/tunlite"
    assert privileges.state_folder({"User": "nobody"}) == "/var/lib/tunlite-nobody"
    assert privileges.state_folder({"User": "nobody", "StateDir": "/x"}) == "/x"


def test_folders_are_made_with_what_is_above_them(tmp_path, monkeypatch):
    monkeypatch.setattr(client, "FOLDER", str(tmp_path / "run/wireguard"))
    state = str(tmp_path / "var/lib/state")
    old = os.umask(0o022)
    try:
        assert privileges.prepare_folders({"StateDir": state}, privileges.Owner({})) == state
    finally:
        os.umask(old)
    assert stat.S_IMODE(os.stat(state).st_mode) == 0o700
    assert stat.S_IMODE(os.stat(tmp_path / "run/wireguard").st_mode) == 0o755


def test_a_state_folder_that_cannot_be_made_is_no_reason_to_stop(tmp_path, monkeypatch):
    monkeypatch.setattr(client, "FOLDER", str(tmp_path / "run"))
    (tmp_path / "file").write_text("")
    settings = {"StateDir": str(tmp_path / "file/state")}
    assert privileges.prepare_folders(settings, privileges.Owner({})) is None
