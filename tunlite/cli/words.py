# SPDX-License-Identifier: MIT
"""The words of the command line: a table of commands with their help; commands.py does them.

Exit status: 0 done, 1 it failed (the reason is on stderr) and may go well another time, 2 the
command line is wrong, 78 it fails until somebody changes the configuration.
"""

from tunlite.cli import commands
from tunlite.config import files, parser
from tunlite.errors import UsageError, UserError
from tunlite.system import port

_NAME_HELP = "NAME is an interface, its file is looked for in /etc/tunlite, then /etc/wireguard."

# name, words after it, help in one line, more help
COMMANDS = (
    ("run", "--config FILE [--interface NAME] [--bare] [--parent PID] [--no-new-privs]"
     " [--allow-readable]",
     "run an interface in the foreground",
     "SIGTERM ends it, SIGHUP reads FILE again. NAME is FILE's name without .conf by default.\n"
     "--bare: for supervisors, whose addresses, MTU, routes, DNS and hooks are; with --parent PID\n"
     "it ends when who started it does.\n"
     "--no-new-privs: hooks gain no rights by setuid programs or file capabilities."),
    ("up", "NAME|FILE [--allow-readable]", "bring an interface up, as wg-quick does", _NAME_HELP),
    ("down", "NAME|FILE", "take it down again", "Works for tunlite up and tunlite run."),
    ("reload", "NAME|FILE", "read its file again and apply what differs",
     "Peers that did not change keep their sessions."),
    ("show", "[NAME] [--json]", "what runs: peers, traffic, offloads, drops",
     "Without NAME all interfaces."),
    ("drain", "NAME", "answer and begin no handshakes: peers leave as their sessions end",
     "Sessions go on, for three minutes at most; routers with another gateway go there meanwhile.\n"
     "It holds until undrain, or the daemon's end."),
    ("undrain", "NAME", "answer and begin handshakes again", ""),
    ("metrics", "[NAME] [--per-peer] [--listen ADDRESS:PORT]",
     "what runs, as Prometheus reads it",
     "Without NAME all interfaces. Who may use their status sockets may use this.\n"
     "--per-peer: rows of each peer too. --listen: serves it over HTTP until SIGTERM; that needs\n"
     "prometheus-client. On CPython alone, for any daemon of the machine."),
    ("use", "NAME PEER|KEY|auto", "move a group over to one of its members",
     "PEER is a Description. It is used until it is silent; auto: the group's rule chooses again."),
    ("setconf", "[--wait SECONDS] NAME FILE [--allow-readable]",
     "give a running interface a new configuration",
     "FILE may be - or /dev/stdin. What FILE does not name goes back to its default."),
    ("syncconf", "[--wait SECONDS] NAME FILE [--allow-readable]",
     "the same, changing only what differs",
     "FILE may be - or /dev/stdin. Peers that did not change keep their sessions."),
    ("addconf", "[--wait SECONDS] NAME FILE [--allow-readable]",
     "add a configuration to the running one",
     "FILE may be - or /dev/stdin."),
    ("add", "[--preshared-key FILE] NAME KEY [OPTION=VALUE]...",
     "add a peer to what runs, or change one that was added",
     "OPTION is one of [Peer]: AllowedIPs=10.0.0.5/32 Description=laptop. FILE may be -.\n"
     "A reload leaves the peer and SaveConfig leaves it out; it is gone with the daemon."),
    ("remove", "NAME KEY", "remove a peer from what runs",
     "One of the file, or of the folder of peers, is back at the next reload, one of OnVerify\n"
     "when it speaks and the command still says yes; block shuts it out."),
    ("block", "NAME KEY", "shut a key out: its session ends at once, also after a restart",
     "Kept in the state folder (StateDir), in blocked-NAME: one key a line."),
    ("unblock", "NAME KEY", "let a blocked key in again", ""),
    ("check", "[--keys] [FILE]... [--allow-readable]", "tell every error of configuration files",
     "FILE may be -. Exit status 1 when there is one. --keys lists the options of files."),
    ("probe", "[--json]", "what this kernel and CPU offer, and what is chosen", ""),
    ("bench", "[--json] [--seconds N]", "measure ciphers and a tunnel on this machine",
     "Takes about 5 s, or N for each tunnel and 2 s more. Needs no root and no network."),
    ("genkey", "", "write a new private key to stdout", ""),
    ("genpsk", "", "write a new preshared key to stdout", ""),
    ("pubkey", "", "read a private key from stdin, write its public key", ""),
)  # fmt: skip

_DAEMON_WORDS = "[-f] [--foreground] [--group GROUP] [--mtu BYTES] [--parent PID] NAME"
_DAEMON_HELP = f"""\
  {_DAEMON_WORDS}
            run NAME as a WireGuard userspace daemon, for wg(8) and wg-quick(8):
            WG_QUICK_USERSPACE_IMPLEMENTATION=tunlite wg-quick up FILE
            --group may use its socket; with -f --parent $$ it ends when who started it does
"""
# What other programs call what a command of ours does.
_FOREIGN = {
    "status": "show",
    "list": "show",
    "showconf": "show",
    "start": "up",
    "stop": "down",
    "restart": "reload",
    "set": "setconf",
}
_EPIPE = 32


# ---- reading the command line ----------------------------------------------------------------


def _row(name):
    for row in COMMANDS:
        if row[0] == name:
            return row
    return None


def _is_switch(synopsis, word):
    """Whether an option stands alone: [--json], not [--wait SECONDS]."""
    return "[" + word + "]" in synopsis


def read_words(synopsis, words):
    """(options, rest) of the words after a command. options: name -> text, or True for switches."""
    options = {}
    rest = []
    at = 0
    while at < len(words):
        word = words[at]
        at += 1
        if word == "--":
            return options, rest + words[at:]
        if not word.startswith("-") or word == "-":
            rest.append(word)
            continue
        name, equals, value = word.partition("=")
        if name not in synopsis.replace("[", " ").replace("]", " ").split(" "):
            raise UsageError("unknown option " + name)
        if _is_switch(synopsis, name):
            if equals:
                raise UsageError(name + " takes no value")
            options[name] = True
            continue
        if not equals:
            if at >= len(words):
                raise UsageError(name + " needs a value")
            value = words[at]
            at += 1
        options[name] = value
    return options, rest


def _meant(word):
    """The command that a word may be a slip for, or None."""
    known = dict(_FOREIGN)
    for row in COMMANDS:
        known[row[0]] = row[0]
    for name, command in known.items():
        if sorted(name) == sorted(word.lower()):
            return command
    return known.get(parser.nearest(sorted(known), word))


def _refuse_slip(words):
    """A mistyped command must not make a daemon. An interface is meant where an option or -- comes
    first, wg-quick asks, the name has a file, or has a digit, say, in it.
    """
    word = words[0]
    meant = _meant(word) if word.replace("-", "").isalpha() else None
    if meant is None or "--" in words or port.environ_get("WG_QUICK_USERSPACE_IMPLEMENTATION"):
        return
    try:
        files.find_config(word)
    except UserError:
        raise UsageError(
            f'"{word}" is no command, did you mean {meant}? An interface of that name:'
            f" tunlite -- {word}"
        )


def usage():
    lines = ["tunlite: a tunnel daemon that speaks WireGuard", "", "Usage: tunlite COMMAND ..."]
    for name, words, text, _ in COMMANDS:
        lines.append(f"  {name} {words}".rstrip())
        lines.append("            " + text)
    lines.append(_DAEMON_HELP + "  --version")
    lines.append("            write the version")
    lines.append("  --heap SIZE COMMAND ...")
    lines.append(
        "            a router's memory for peers and configuration, 256K to 64M; else an\n"
        "            eighth of the machine's, 4M at least\n"
    )
    lines.append("tunlite COMMAND --help says more about one.")
    return "\n".join(lines) + "\n"


def _command_help(row):
    name, words, text, more = row
    lines = [f"Usage: tunlite {name} {words}".rstrip(), "", text[0].upper() + text[1:] + "."]
    if more:
        lines.append(more)
    return "\n".join(lines) + "\n"


# ---- the entry -----------------------------------------------------------------------------------


def dispatch(words):
    """Runs what the words ask for; the exit status. UsageError, UserError, OSError."""
    if words and words[0] == "--heap":  # CPython's has no bound; on a router main.c has taken both
        if len(words) == 1:
            raise UsageError("--heap needs a value")
        words = words[2:]
    if not words or words[0] in ("-h", "--help", "help"):
        port.write_out(usage())
        return 0 if words else 2
    if words[0] in ("-v", "--version", "version"):
        import tunlite

        port.write_out("tunlite " + tunlite.__version__ + "\n")
        return 0
    if words[0] == "--resolve":
        from tunlite.control import resolver

        resolver.serve()
        return 0
    row = _row(words[0])
    if row is None:
        _refuse_slip(words)
        return commands.serve(*read_words(_DAEMON_WORDS, words))
    if "--help" in words or "-h" in words:
        port.write_out(_command_help(row))
        return 0
    options, rest = read_words(row[1], words[1:])
    return commands.FUNCTIONS[row[0]](options, rest)


def _say(text):
    for line in text.split("\n"):
        port.print_err("tunlite: " + line)


def main(words):
    """The exit status of a command line (without the program's name)."""
    try:
        return dispatch(words)
    except UsageError as e:
        _say(e.args[0] + "; tunlite --help lists the commands")
        return 2
    except UserError as e:
        _say(e.args[0])
        return e.status
    except OSError as e:
        if e.errno == _EPIPE:
            return 1  # whoever read our output has seen enough
        _say(commands.strerror(e))
    except KeyboardInterrupt:
        return 130
    return 1
