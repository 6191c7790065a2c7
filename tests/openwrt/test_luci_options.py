# SPDX-License-Identifier: MIT
"""The form's table of options: current, whole, and of one mind with the file's parser: one list of
cases is run by Python and by the browser."""

import json
import random
import re
from pathlib import Path

import pytest

from devtools import luci_options
from lab.browser import Page
from tunlite.config import options, values

_HERE = Path(__file__).resolve().parent
_RESOURCES = luci_options.PAGE.parent
_CASES = [
    line.split(" ", 2)
    for line in (_HERE / "luci_cases.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]
_BARE = {row[options.KIND] for row in options.rows() if row[options.WHOSE] == "wg"}
_LOADER = """(() => {
const Base = class { static extend(members) { return members; } };
const load = (source, ...given) =>
    new Function('baseclass', 'options', '_', source)(Base, ...given);
String.prototype.format = function(...words) {
    return this.replace(/%%[sd]/g, () => words.shift());
};
window.text = load(%s, load(%s), (words) => words);
})()"""


def _python_takes(kind, text):
    """Whether the parser of files takes the value, as a line has it."""
    parse = values.parse_secret if kind in values.SECRETS else values.PARSERS[kind]
    text = values.bare(text) if kind in _BARE else text
    try:
        parse(bytearray(text.encode()) if kind in values.SECRETS else text)
    except values.Bad:
        return False
    return True


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """A page that has our modules, and a function that tells which of the cases it refuses."""
    page = Page(tmp_path_factory.mktemp("browser"))
    sources = [
        (_RESOURCES / name).read_text(encoding="utf-8") for name in ("text.js", "options.js")
    ]
    page.run(_LOADER % tuple(json.dumps(source) for source in sources))
    yield page
    page.close()


def _refused(browser, rows):
    return browser.run(f"{json.dumps(rows)}.map(([kind, value]) => text.wrong(kind, value) !== '')")


def test_the_table_is_current():
    assert luci_options.PAGE.read_text() == luci_options.page(), "python -m devtools.luci_options"


def test_each_kind_of_the_options_has_a_pattern_and_cases_that_are_good_and_not():
    kinds = {row[options.KIND] for row in options.rows()}
    assert kinds == set(luci_options.KINDS)
    for verdicts in ({"good"}, {"bad", "asked"}):
        lacking = kinds - {kind for kind, verdict, _ in _CASES if verdict in verdicts}
        assert lacking <= {"hook"}


def test_one_list_of_cases_is_judged_alike_by_the_file_s_parser_and_the_browser(browser):
    refused = _refused(browser, [(kind, value) for kind, _, value in _CASES])
    for (kind, verdict, value), is_refused in zip(_CASES, refused, strict=True):
        assert _python_takes(kind, value) == (verdict == "good"), (kind, value)
        assert is_refused == (verdict == "bad"), (kind, value)


def _shaken(chance, text):
    """The text with a few letters added, lost or changed."""
    letters = list(text)
    for _ in range(chance.randrange(1, 4)):
        at = chance.randrange(len(letters) + 1)
        new = chance.choice("0123456789abcdefxKMG.:/,+= -_%[]off\u00fc")
        letters[at : at + chance.randrange(2)] = [new] if chance.random() < 0.7 else []
    return re.sub("[\t\r\n]", "", "".join(letters)).strip()


def test_the_browser_never_refuses_what_the_file_takes(browser):
    seed = random.randrange(1 << 32)
    print("seed", seed)
    chance = random.Random(seed)
    rows = [(kind, _shaken(chance, value)) for kind, _, value in _CASES for _ in range(60)]
    rows = [(kind, value) for kind, value in rows if value]
    for (kind, value), is_refused in zip(rows, _refused(browser, rows), strict=True):
        assert not (is_refused and _python_takes(kind, value)), (kind, value)


def test_bounds_of_numbers_are_the_parser_s(browser):
    rows = []
    for kind, row in luci_options.KINDS.items():
        if "least" in row:
            rows += [(kind, str(row["least"] + step)) for step in (-1, 0)]
            rows += [(kind, str(row["most"] + step)) for step in (0, 1)]
    for (kind, value), is_refused in zip(rows, _refused(browser, rows), strict=True):
        assert is_refused != _python_takes(kind, value), (kind, value)


def test_a_file_of_wg_quick_goes_through_uci_s_names_and_back(browser):
    text = (
        "[Interface]\nPrivateKey = a=\nAddress = 10.0.0.2/24, fd00::2/64\nOnEstablish = x\n"
        "OnEstablish = y, z\nNosuch = 1\n[Group]\nName = gws # all\nLimit = 1\n"
        "[Peer]\npublickey=b=\n"
        "Endpoint = [2001:db8::1]:51820\nAllowedIPs = ::/0\n[Peer]\nPublicKey = c=\n"
        "Endpoint = gw1:1, gw2:2\n[Strange]\nx = y\n"
    )
    found = browser.run(f"text.parse({json.dumps(text)})")
    assert found["interface"]["addresses"] == ["10.0.0.2/24", "fd00::2/64"]
    assert found["interface"]["on_establish"] == ["x", "y, z"]
    assert found["peers"][0]["endpoint_host"] == "2001:db8::1"
    assert found["peers"][1]["endpoint_host"] == ["gw1:1", "gw2:2"]
    assert found["left"] == ["line 6: Nosuch", "line 17: ?", "line 18: x"]
    sections = [{"kind": "Peer", "id": "p", "values": peer} for peer in found["peers"]]
    back = browser.run(f"text.format({json.dumps(sections)})")
    assert "Endpoint = [2001:db8::1]:51820\n" in back["text"]
    assert "Endpoint = gw1:1, gw2:2\n" in back["text"]
    line = back["text"].splitlines().index("AllowedIPs = ::/0")
    assert back["owners"][line] == {"section": "p", "option": "AllowedIPs"}
