# SPDX-License-Identifier: MIT
"""What a file's groups, and the peers that name one, must have."""

from tunlite import addresses, prefixes
from tunlite.config import values

_ASKED = ("Group", "ProbeAddress", "AllowedIPs")
_OF_CHOICE = ("Choose", "FailAfter", "ProbeAddress", "HealthCommand")


class Membership:
    """`parser` has `config`, error(), warn() and has_error_for(). compare() and note() of each
    peer, then check()."""

    def __init__(self, parser):
        self._parser = parser
        self._config = parser.config
        self._groups = {}  # name -> its section
        self._named = {}  # name -> line of the first peer that says it
        self._owners = prefixes.Table()  # of prefixes: public key, or (public key, group)
        self._shared = {}  # group -> line of the first member that has a prefix of another

    def note(self, peer):
        name = peer.get("Group")
        if name is not None:
            self._named.setdefault(name, peer["line"])
        owner = (peer.get("PublicKey"), name)
        for prefix in peer.get("AllowedIPs", ()):
            self._note_prefix(prefixes.key_of(prefix), owner, peer["line"])

    def _note_prefix(self, place, owner, line):
        """Of one prefix only the last peer gets the packets, but where members may share."""
        before = self._owners.get(place)
        self._owners[place] = owner[0] if owner[1] is None else owner
        if not isinstance(before, tuple):
            before = (before or owner[0], None)
        if before[0] == owner[0]:
            return
        if before[1] is not None and before[1] == owner[1]:
            self._shared.setdefault(owner[1], line)
        else:
            self._warn_of_loss(line)

    def _warn_of_loss(self, line):
        wrong = "another peer above has one of these prefixes too and loses it"
        self._parser.warn("AllowedIPs", wrong, "give each prefix to one peer", line)

    def check(self):
        for group in self._config.groups:
            self._check_name(group)
        for name, line in self._named.items():
            # A file of peers alone (of a folder, for addconf) is a part of what has the groups.
            if name not in self._groups and (self._groups or self._config.interface):
                wrong = f"no [Group] has the Name {values.quoted(name)}"
                self._parser.error("Group", wrong, "add the section, or correct the name", line)
        for group in self._groups.values():
            self._check_limit(group)
        if self._config.settings["Layer"] == 3 and self._is_any_probed():
            for peer in self._config.peers.each(_ASKED):
                self._check_probe(peer)

    def _check_name(self, group):
        name = group.get("Name")
        line = group["line"]
        if name is None:
            if not self._parser.has_error_for("Name", line):
                self._parser.error("Name", "this group has none", "give it one", line)
            return
        first = self._groups.setdefault(name, group)
        if first is not group:
            wrong = f"the group of line {first['line']} has this name already"
            self._parser.error("Name", wrong, "choose another, or join the two", line)

    def _check_limit(self, group):
        line = group["line"]
        limit = group.get("Limit")
        if limit is None:
            for option in _OF_CHOICE:
                if option in group:
                    wrong = "without Limit every member is used, and it does nothing"
                    self._parser.warn(option, wrong, "add Limit = 1, or remove it", line)
            if group["Name"] in self._shared:
                self._warn_of_loss(self._shared[group["Name"]])
        elif limit != 1:
            wrong = f"{limit} is too many: one member is used at a time"
            fix = (
                "write 1" if self._config.settings["Layer"] == 3 else "write 1; two groups use two"
            )
            self._parser.error("Limit", wrong, fix, line)
        elif 1 in (group.get("PeerLimit"), self._config.interface.get("PeerLimit")):
            # The one that is silent counts for three minutes.
            wrong = "1 leaves no room for a member that the group moves to"
            self._parser.warn("PeerLimit", wrong, "write 2 or more", line)

    # ---- ProbeAddress ----

    def _is_any_probed(self):
        return bool(self._groups) and any([group.get("Limit") for group in self._groups.values()])

    def _check_probe(self, peer):
        group = self._groups.get(peer.get("Group"), {})
        target = peer.get("ProbeAddress") or group.get("ProbeAddress")
        if not group.get("Limit") or target is None:
            return
        line = peer["line"]
        family, packed = addresses.parse_address(target)
        if not any([_contains(prefix, family, packed) for prefix in peer.get("AllowedIPs", ())]):
            wrong = f"{target} lies in none of this peer's AllowedIPs"
            fix = "the peer may not answer from there: add it, or ask another address"
            self._parser.error("ProbeAddress", wrong, fix, line)
        settings = self._config.settings
        # A vxlan's own end asks; Address is of the device, inside the vxlan.
        ours = () if settings.is_wrapped() else settings["Address"]
        if ours and not any([_can_ask(address, family, packed) for address in ours]):
            wrong = f"no Address of [Interface] can ask {target}"
            fix = "add an Address of its family and scope"
            self._parser.error("ProbeAddress", wrong, fix, line)


def _contains(prefix, family, packed):
    return (
        prefix == addresses.network((family, packed, prefix[2])) if prefix[0] == family else False
    )


def _is_local(packed):
    return len(packed) == 16 and packed[0] == 0xFE and packed[1] & 0xC0 == 0x80


def _can_ask(address, family, packed):
    return address[0] == family and _is_local(address[1]) == _is_local(packed)
