# SPDX-License-Identifier: MIT
"""files.py: which names the kernel takes, and which file one stands for."""

import pytest

from tunlite.config import files
from tunlite.system import port


@pytest.mark.parametrize("name", ["wg0", "a", "fifteen-letters", "x_=+.-1"])
def test_names_that_the_kernel_takes_are_taken(name):
    files.check_name(name)


@pytest.mark.parametrize("name", ["", ".", "..", "sixteen-letters-", "a/b", "a b", "a\n", "a:1"])
def test_names_that_it_does_not_are_refused(name):
    with pytest.raises(files.BadName):
        files.check_name(name)


def test_a_file_gives_its_interface_the_name():
    assert files.find_config("/x/wg0.conf") == ("wg0", "/x/wg0.conf")
    here = port.getcwd()
    assert files.find_config("./gate") == ("gate", here + "/./gate")
    assert files.find_config("wg0.conf") == ("wg0", here + "/wg0.conf")
    with pytest.raises(files.BadName):
        files.find_config("/x/too-long-for-an-interface.conf")


def test_a_name_is_looked_for_in_our_folder_first(tmp_path, monkeypatch):
    folders = tmp_path / "tunlite", tmp_path / "wireguard"
    monkeypatch.setattr(files, "CONFIG_FOLDERS", tuple(str(folder) for folder in folders))
    for folder in folders:
        folder.mkdir()
    with pytest.raises(files.BadName):
        files.find_config("wg0")
    (folders[1] / "wg0.conf").write_text("")
    assert files.find_config("wg0") == ("wg0", str(folders[1] / "wg0.conf"))
    (folders[0] / "wg0.conf").write_text("")
    assert files.find_config("wg0") == ("wg0", str(folders[0] / "wg0.conf"))
