# SPDX-License-Identifier: MIT
"""The private apt state: whose mirrors it takes, and what it says when it cannot fetch."""

import json
import subprocess

import pytest

from machine import debs

SOURCES = """\
Types: deb
# a comment between fields
URIs: mirror://main
Suites: bookworm bookworm-updates
Components: main
Signed-By: /keys/main.gpg

Types: deb
URIs: mirror://security
Suites: bookworm-security
Components: main

Types: deb
URIs: mirror://off
Suites: bookworm
Components: main
Enabled: no

Types: deb-src
URIs: mirror://sources-only
Suites: bookworm
Components: main
"""


@pytest.fixture
def apt_folder(tmp_path):
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d" / "debian.sources").write_text(SOURCES)
    return tmp_path


def test_mirrors_are_those_of_the_hosts_sources_files(apt_folder):
    uris = [mirror.uri for mirror in debs.host_mirrors(apt_folder)]
    assert uris == ["mirror://main", "mirror://security"]


def test_mirrors_are_those_of_the_hosts_one_line_files_too(tmp_path):
    (tmp_path / "sources.list").write_text(
        "# deb mirror://comment bookworm main\n"
        "deb [arch=amd64 signed-by=/keys/a.gpg] mirror://one bookworm main contrib\n"
        "deb-src mirror://source bookworm main\n"
    )
    (mirror,) = debs.host_mirrors(tmp_path)
    assert mirror == debs.Mirror("mirror://one", ("bookworm",), ("main", "contrib"), "/keys/a.gpg")


def test_the_hosts_own_suite_brings_its_updates_and_security_along(apt_folder):
    lines = debs.sources_list("bookworm", "mipsel", apt=apt_folder).splitlines()
    binary = [line.split("] ")[1] for line in lines if line.startswith("deb [")]
    assert binary == [
        "mirror://main bookworm main",
        "mirror://main bookworm-updates main",
        "mirror://security bookworm-security main",
    ]
    assert all("arch=mipsel" in line for line in lines if line.startswith("deb ["))


def test_another_suite_comes_from_the_main_mirror_alone(apt_folder):
    lines = debs.sources_list("sid", "amd64", apt=apt_folder).splitlines()
    assert lines == [
        "deb [signed-by=/keys/main.gpg arch=amd64] mirror://main sid main",
        "deb-src [signed-by=/keys/main.gpg] mirror://main sid main",
    ]


def test_a_host_without_a_debian_archive_is_told_so(tmp_path):
    with pytest.raises(debs.DebsError, match="no Debian archive"):
        debs.sources_list("bookworm", "mipsel", apt=tmp_path)


class FakeApt(debs.Apt):
    """Runs no apt: `answers` are what each call does."""

    def __init__(self, cache, fails=()):
        super().__init__("bookworm", "mipsel", cache)
        self.calls = []
        self.fails = list(fails)

    def _run(self, command, cwd=None):
        self.calls.append(command[1])
        if self.fails and self.fails.pop(0):
            raise debs.DebsError("no network")
        if command[1] == "update":
            (self.folder / "lists" / "x_Packages").touch()
        if command[1] == "download":
            for name in command[2:]:
                (cwd / f"{name}_1_mipsel.deb").touch()
        return ""


def test_what_was_fetched_once_needs_no_network_again(tmp_path, apt_folder, monkeypatch):
    monkeypatch.setattr(debs, "HOST_APT", apt_folder)
    monkeypatch.setattr(debs, "sources_list", lambda *a, **k: "")
    first = FakeApt(tmp_path / "cache")
    files = first.fetch(["b", "a"])
    assert [f.name for f in files] == ["a_1_mipsel.deb", "b_1_mipsel.deb"]
    assert first.calls == ["update", "download"]
    again = FakeApt(tmp_path / "cache")
    assert again.fetch(["a", "b"]) == files
    assert again.calls == []
    # As the message without network says: on another machine, with another home.
    (tmp_path / "cache").rename(tmp_path / "copied")
    copied = FakeApt(tmp_path / "copied")
    assert [f.name for f in copied.fetch(["a", "b"]) if f.is_file()] == [f.name for f in files]
    assert copied.calls == []


def test_a_file_that_left_the_mirror_is_looked_for_in_new_lists(tmp_path, monkeypatch):
    monkeypatch.setattr(debs, "sources_list", lambda *a, **k: "")
    FakeApt(tmp_path).fetch(["a"])
    moved = FakeApt(tmp_path, fails=[True])
    moved.fetch(["b"])
    assert moved.calls == ["download", "update", "download"]


def test_a_mirror_in_the_middle_of_a_sync_is_used_without_updates(tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(debs, "sources_list", lambda *a, updates=True: asked.append(updates) or "")
    apt = FakeApt(tmp_path, fails=[True])
    apt.fetch(["a"])
    assert asked == [True, False]
    assert "went on without updates" in capsys.readouterr().err


def test_a_failed_fetch_leaves_no_manifest_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(debs, "sources_list", lambda *a, **k: "")
    broken = FakeApt(tmp_path, fails=[True, True, True])
    with pytest.raises(debs.DebsError):
        broken.fetch(["a"])
    assert not list(tmp_path.rglob("manifests/*.json"))


def test_the_message_says_what_to_do_without_network(tmp_path, monkeypatch):
    def refuse(argv, **_):
        return subprocess.CompletedProcess(argv, 100, "", "E: Could not resolve")

    monkeypatch.setattr(debs.subprocess, "run", refuse)
    with pytest.raises(debs.DebsError) as error:
        debs.Apt("bookworm", "mipsel", tmp_path)._run(["apt-get", "download", "tinc"])
    text = str(error.value)
    assert "apt-get download tinc" in text
    assert "Could not resolve" in text
    assert str(tmp_path / "apt" / "bookworm-mipsel") in text


def test_a_manifest_names_its_packages(tmp_path, monkeypatch):
    monkeypatch.setattr(debs, "sources_list", lambda *a, **k: "")
    apt = FakeApt(tmp_path)
    apt.fetch(["tinc"])
    (manifest,) = (apt.folder / "manifests").iterdir()
    assert json.loads(manifest.read_text())["names"] == ["tinc"]


def make_deb(folder, name, text):
    control = folder / name / "DEBIAN/control"
    control.parent.mkdir(parents=True)
    control.write_text(
        f"Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: x <x@y.invalid>\n"
        "Description: x\n"
    )
    (folder / name / "file").write_text(text)
    deb = folder / f"{name}.deb"
    subprocess.run(["dpkg-deb", "--build", folder / name, deb], check=True, capture_output=True)
    return deb


def test_packages_are_unpacked_once_the_later_over_the_earlier(tmp_path):
    made = [make_deb(tmp_path, name, name) for name in ("one", "two")]
    folder = debs.unpacked(made, tmp_path / "cache/both")
    assert (folder / "file").read_text() == "two"
    assert debs.unpacked(made[:1], folder) == folder
    assert (folder / "file").read_text() == "two"


def test_a_package_that_cannot_be_unpacked_leaves_no_folder(tmp_path):
    broken = tmp_path / "broken.deb"
    broken.write_text("no archive")
    with pytest.raises(subprocess.CalledProcessError):
        debs.unpacked([make_deb(tmp_path, "one", "one"), broken], tmp_path / "cache/both")
    assert list((tmp_path / "cache").iterdir()) == []


def test_what_another_process_unpacked_meanwhile_is_taken(tmp_path, monkeypatch):
    folder = tmp_path / "cache/both"

    def first(*args, **kwargs):
        folder.mkdir()
        (folder / "file").write_text("theirs")

    monkeypatch.setattr(debs.subprocess, "run", first)
    assert debs.unpacked([tmp_path / "any.deb"], folder) == folder
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["both"]
    assert (folder / "file").read_text() == "theirs"
