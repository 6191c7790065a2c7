# SPDX-License-Identifier: MIT
"""Packages around stand-ins for what a compiler makes, and a stand-in for apk."""

import pytest

from devtools.openwrt import rows

_APK = """#!/bin/sh
case $1 in
adbdump)
	printf 'paths:\\n  - name: etc\\n    acl:\\n'
	printf '      user: %s\\n      group: root\\n' "${OWNER:-root}"
	exit
	;;
mkndx)
	shift
	[ "$1 $2" = "--allow-untrusted --output" ] || exit 1
	out="$3"
	shift 3
	stat -c '%n %s' "$@" >"$out"
	exit
	;;
esac
echo "$SOURCE_DATE_EPOCH $RAN_BY" >"${0%/*}/called"
printf '%s\\n' "$@" >"${0%/*}/words"
while [ $# -gt 0 ]; do
	[ "$1" = --files ] && files="$2"
	[ "$1" = --output ] && out="$2"
	[ "$1" != --script ] || [ -s "${2#*:}" ] || exit 1
	shift
done
cd "$files" && find . -exec stat -c '%n %a %u %g %Y' {} + | sort >"$out"
"""


@pytest.fixture(params=rows.PACKAGES, ids=lambda row: row.name)
def row(request):
    """Each package."""
    return request.param


@pytest.fixture
def tree_of():
    """tree_of(row): what it installs, with stand-ins for what a compiler makes."""

    def make(row):
        return rows.content(row, {path: b"\x7fELF stand-in" * 100 for path in row.built})

    return make


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """tools(name=script): programs that come before the machine's; apk is a stand-in."""
    folder = tmp_path / "bin"
    folder.mkdir()

    def write(**scripts):
        for name, text in scripts.items():
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)
        return folder

    write(apk=_APK)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return write
