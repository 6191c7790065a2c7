# SPDX-License-Identifier: MIT
"""The command line: one table of commands, their words and help; each is a function below.

Exit status: 0 done, 1 it failed (the reason is on stderr), 2 the command line is wrong.
"""

from tunlite import client, config as configs, keys, log as logs, names, port
from tunlite.errors import UserError

_NAME_HELP = "NAME is an interface, its file is looked for in /etc/tunlite, then /etc/wireguard."

# name, words after it, help in one line, more help
COMMANDS = (
    ("run", "--config FILE [--interface NAME]", "run an interface in the foreground",
     "SIGTERM ends it, SIGHUP reads FILE again. NAME is FILE's name without .conf by default."),
    ("up", "NAME|FILE", "bring an interface up, as wg-quick does", _NAME_HELP),
    ("down", "NAME|FILE", "take it down again", "Works for tunlite up and tunlite run."),
    ("reload", "NAME|FILE", "read its file again and apply what differs",
     "Peers that did not change keep their sessions."),
    ("show", "[NAME] [--json]", "what runs: peers, traffic, offloads, drops",
     "Without NAME all interfaces."),
    ("setconf", "[--wait SECONDS] NAME FILE", "give a running interface a new configuration",
     "FILE may be - or /dev/stdin. What FILE does not name goes back to its default."),
    ("syncconf", "[--wait SECONDS] NAME FILE", "the same, changing only what differs",
     "FILE may be - or /dev/stdin. Peers that did not change keep their sessions."),
    ("addconf", "[--wait SECONDS] NAME FILE", "add a configuration to the running one",
     "FILE may be - or /dev/stdin."),
    ("check", "[--keys] [FILE]...", "tell every error of configuration files",
     "Exit status 1 when there is one. --keys lists the options that files may have."),
    ("probe", "[--json]", "what this kernel and CPU offer, and what is chosen", ""),
    ("genkey", "", "write a new private key to stdout", ""),
    ("genpsk", "", "write a new preshared key to stdout", ""),
    ("pubkey", "", "read a private key from stdin, write its public key", ""),
)  # fmt: skip

_DAEMON_HELP = """\
  [-f|--foreground] NAME
            run NAME as a WireGuard userspace daemon, for wg(8) and wg-quick(8):
            WG_QUICK_USERSPACE_IMPLEMENTATION=tunlite wg-quick up FILE
"""
_EPIPE = 32


class UsageError(Exception):
    """The command line is wrong; args[0] says how."""


class CommandError(UserError):
    """The command failed."""


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


def _take(rest, least, most):
    if not least <= len(rest) <= most:
        raise UsageError("too few words" if len(rest) < least else "too many words")
    return rest


def usage():
    lines = ["tunlite: a tunnel daemon that speaks WireGuard", "", "Usage: tunlite COMMAND ..."]
    for name, words, text, _ in COMMANDS:
        lines.append(f"  {name} {words}".rstrip())
        lines.append("            " + text)
    lines.append(_DAEMON_HELP + "  --version")
    lines.append("            write the version\n")
    lines.append("tunlite COMMAND --help says more about one.")
    return "\n".join(lines) + "\n"


def _command_help(row):
    name, words, text, more = row
    lines = [f"Usage: tunlite {name} {words}".rstrip(), "", text[0].upper() + text[1:] + "."]
    if more:
        lines.append(more)
    return "\n".join(lines) + "\n"


# ---- help of several commands ----------------------------------------------------------------


def _log(name):
    """LOG_LEVEL as wireguard-go has it."""
    levels = {"silent": -1, "error": logs.ERROR, "info": logs.INFO}
    levels["verbose"] = levels["debug"] = logs.DEBUG
    return logs.Log(name, levels.get(port.environ_get("LOG_LEVEL") or "info", logs.INFO))


def _features():
    from tunlite import features

    return features.known(port.native)


def _load(path, name=None):
    """Config of a file without errors; warnings go to stderr."""
    try:
        if path in ("-", "/dev/stdin"):
            config = configs.read_fd(0, "stdin", _features())
        else:
            config = configs.load(path, _features())
    except configs.ConfigError as e:
        raise CommandError("\n".join(e.args[0]))
    except OSError as e:
        raise CommandError(f"{path} cannot be read: {_strerror(e)}")
    for line in config.lines_of(config.warnings):
        port.print_err("tunlite: warning: " + line)
    return config


def _strerror(e):
    if e.errno == 2:
        return "there is no such file"
    if e.errno == 13:
        return "permission denied"
    return f"errno {e.errno}" if len(e.args) < 2 else str(e.args[1])


# ---- running -----------------------------------------------------------------------------------


def _run(options, rest):
    from tunlite import quick

    _take(rest, 0, 0)
    path = options.get("--config")
    if path is None:
        raise UsageError("--config FILE is missing")
    name = options.get("--interface") or names.name_of(path)
    names.check_name(name)
    return quick.run(name, path, _load(path), _log(name), _features())


def _up(options, rest):
    from tunlite import quick

    name, path = names.find_config(_take(rest, 1, 1)[0])
    config = _load(path)
    try:
        quick.up(name, path, config, _log(name), stay=False)
    finally:
        config.wipe()
    return 0


def _down(options, rest):
    from tunlite import quick

    name = _interface_name(_take(rest, 1, 1)[0])
    quick.down(name, _log(name))
    return 0


def _reload(options, rest):
    from tunlite import reload

    name = _interface_name(_take(rest, 1, 1)[0])
    reload.reload(name, _log(name), _features())
    return 0


def _interface_name(text):
    if "/" in text or text.endswith(".conf"):
        return names.name_of(text)
    names.check_name(text)
    return text


def _serve(words):
    """A WireGuard userspace daemon, as wg-quick(8) starts it."""
    from tunlite import process

    foreground = port.environ_get("WG_PROCESS_FOREGROUND") == "1"
    rest = [word for word in words if word not in ("-f", "--foreground")]
    if len(rest) != len(words):
        foreground = True
    if len(rest) != 1 or rest[0].startswith("-"):
        raise UsageError("one interface is wanted")
    name = rest[0]
    names.check_name(name)
    log = _log(name)
    device_fd = port.environ_get("WG_TUN_FD") or ""
    if device_fd and not device_fd.isdigit():
        raise UsageError("WG_TUN_FD is no number")
    if device_fd:
        # The descriptor came with us, so there is no other process to hand it to.
        foreground = True
    try:
        if foreground:
            machine = process.open_daemon(name, {}, log, device_fd=int(device_fd or -1))
            log.info("ready")
            machine.run()
            return 0
        process.start(name, {}, log, detach=True)
    except UserError as e:
        raise CommandError(f"{name}: {e.args[0]}")
    return 0


# ---- asking and telling a daemon -----------------------------------------------------------------


def _show(options, rest):
    import json

    from tunlite import show

    wanted = _take(rest, 0, 1)
    pages = []
    for name in wanted or client.interfaces():
        try:
            pages.append(client.status(name))
        except (client.NoDaemon, client.Refused):
            # A socket that a killed daemon left behind, or another WireGuard's.
            if wanted:
                raise
    if options.get("--json"):
        port.write_out(json.dumps(pages[0] if wanted else pages) + "\n")
    else:
        port.write_out("\n".join([show.text(page) for page in pages]))
    return 0


def _await(name, seconds):
    """Waits until a daemon answers for the interface; the last refusal when none does."""
    deadline = port.now_ms() + 1000 * seconds
    while True:
        try:
            port.close(client.connect(name))
            return
        except client.NoDaemon:
            if port.now_ms() >= deadline:
                raise
        port.sleep_ms(50)


def _tell(options, rest, pieces):
    """`pieces(config, name)` gives what is sent."""
    from tunlite import setconf

    name, path = _take(rest, 2, 2)
    wait = options.get("--wait", "0")
    if not wait.isdigit():
        raise UsageError("--wait takes seconds")
    config = _load(path)
    try:
        _await(name, int(wait))
        setconf.apply(name, pieces(config, name))
    finally:
        config.wipe()
    return 0


def _setconf(options, rest):
    from tunlite import setconf

    return _tell(options, rest, lambda config, name: setconf.whole(config))


def _addconf(options, rest):
    from tunlite import setconf

    return _tell(options, rest, lambda config, name: setconf.added(config))


def _syncconf(options, rest):
    from tunlite import setconf

    def pieces(config, name):
        return setconf.different(config, setconf.Running(client.get_device(name)))

    return _tell(options, rest, pieces)


# ---- without a daemon ----------------------------------------------------------------------------


def _check(options, rest):
    if options.get("--keys"):
        for section, name, whose, _, default, text in configs.KEYS:
            port.write_out(f"[{section}] {name} ({whose}; default {default}): {text}\n")
    elif not rest:
        raise UsageError("a FILE is missing")
    failed = 0
    for path in rest:
        try:
            config = configs.read(path, _features())
        except OSError as e:
            port.print_err(f"{path}: it cannot be read: {_strerror(e)}")
            failed = 1
            continue
        for line in config.lines_of(config.errors):
            port.print_err(line)
            failed = 1
        for line in config.lines_of(config.warnings):
            port.print_err("warning: " + line)
        config.wipe()
    return failed


def _probe(options, rest):
    from tunlite import probe

    _take(rest, 0, 0)
    port.write_out(probe.as_json() if options.get("--json") else probe.text())
    return 0


def _write_key(key):
    chars = keys.encode(key)
    chars.extend(b"\n")
    port.write_out(chars)
    keys.wipe(chars)
    keys.wipe(key)


def _warn_of_readable_stdout():
    mode = port.stat("/proc/self/fd/1")[0]
    if mode & 0o170000 == 0o100000 and mode & 0o007:
        port.print_err(
            "tunlite: warning: everyone may read the file that this key is written to;"
            " run umask 077 before"
        )


def _genkey(options, rest):
    _take(rest, 0, 0)
    _warn_of_readable_stdout()
    _write_key(keys.new_private())
    return 0


def _genpsk(options, rest):
    _take(rest, 0, 0)
    _warn_of_readable_stdout()
    _write_key(port.random_bytes(32))
    return 0


def _pubkey(options, rest):
    _take(rest, 0, 0)
    chars = bytearray()
    while True:
        part = port.os_read(0, 4096)
        if not part:
            break
        chars.extend(part)
    end = len(chars)
    while end and chars[end - 1] in b" \t\r\n":
        end -= 1
    trimmed = chars[:end]
    try:
        private = keys.decode(trimmed)
    except ValueError as e:
        raise CommandError("stdin holds no private key: " + e.args[0])
    finally:
        keys.wipe(chars)
        keys.wipe(trimmed)
    public = keys.public_of(private)
    keys.wipe(private)
    _write_key(public)
    return 0


_FUNCTIONS = {
    "run": _run,
    "up": _up,
    "down": _down,
    "reload": _reload,
    "show": _show,
    "setconf": _setconf,
    "syncconf": _syncconf,
    "addconf": _addconf,
    "check": _check,
    "probe": _probe,
    "genkey": _genkey,
    "genpsk": _genpsk,
    "pubkey": _pubkey,
}


# ---- the entry -----------------------------------------------------------------------------------


def dispatch(words):
    """Runs what the words ask for; the exit status. UsageError, UserError, OSError."""
    if not words or words[0] in ("-h", "--help", "help"):
        port.write_out(usage())
        return 0 if words else 2
    if words[0] in ("-v", "--version", "version"):
        import tunlite

        port.write_out("tunlite " + tunlite.__version__ + "\n")
        return 0
    if words[0] == "--resolve":
        from tunlite import resolver

        resolver.serve()
        return 0
    row = _row(words[0])
    if row is None:
        return _serve(words)
    if "--help" in words or "-h" in words:
        port.write_out(_command_help(row))
        return 0
    options, rest = read_words(row[1], words[1:])
    return _FUNCTIONS[row[0]](options, rest)


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
    except OSError as e:
        if e.errno == _EPIPE:
            return 1  # whoever read our output has seen enough
        _say(_strerror(e))
    except KeyboardInterrupt:
        return 130
    return 1
