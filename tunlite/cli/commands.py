# SPDX-License-Identifier: MIT
"""What each command does. A function takes the options and words that words.py read for it, and
gives the exit status; UsageError, UserError, OSError.
"""

from tunlite import addresses, keys, log as logs
from tunlite.config import files, options as table, parser, secret_text
from tunlite.config.settings import Settings
from tunlite.errors import AGAIN, NEVER, UsageError, UserError, said, told
from tunlite.system import port
from tunlite.uapi import client


class CommandError(UserError):
    """The command failed."""


class FileError(CommandError):
    """What a configuration file says is wrong."""

    status = NEVER


def _take(rest, least, most):
    if not least <= len(rest) <= most:
        raise UsageError("too few words" if len(rest) < least else "too many words")
    return rest


# ---- help of several commands ----------------------------------------------------------------


def _log(name, foreground=False):
    """LOG_LEVEL as wireguard-go has it, and events."""
    levels = {"silent": -1, "error": logs.ERROR, "events": logs.EVENTS}
    levels["verbose"] = levels["debug"] = logs.DEBUG
    log = logs.Log(name, levels.get(port.environ_get("LOG_LEVEL") or "info", logs.INFO))
    log.foreground = foreground
    return log


def _features():
    from tunlite.plane import features

    return features.known(port.native)


def _load(path, options):
    """Config of a file without errors; warnings go to stderr."""
    try:
        config = parser.load(path, _features(), "--allow-readable" in options, first=True)
    except parser.ConfigError as e:
        raise FileError("\n".join(e.args[0]))
    except OSError as e:
        raise CommandError(f"{path} cannot be read: {strerror(e)}")
    for row in config.warnings:
        if row[1] != "Endpoint" or not config.settings["HideAddresses"]:  # check tells it
            port.print_err("tunlite: warning: " + parser.format_row(path, row))
    return config


def strerror(e):
    if e.errno == 2:
        return "there is no such file"
    if e.errno == 13:
        return "permission denied"
    if e.errno == 21:
        return "it is a folder"
    return said(e)


# ---- running -----------------------------------------------------------------------------------


def run(options, rest):
    from tunlite.host import privileges, steps, tunnel

    _take(rest, 0, 0)
    path = options.get("--config")
    if path is None:
        raise UsageError("--config FILE is missing")
    parent_fd = _parent(options, "--bare" in options)
    if "--no-new-privs" in options:
        privileges.no_new_privs()
    name = options.get("--interface") or files.name_of(path)
    files.check_name(name)
    config = _load(path, options)
    if "--bare" in options:
        for option in steps.leave_to_supervisor(config):
            wrong = f"with --bare {option} is the supervisor's: it is left out"
            port.print_err(f"tunlite: warning: {path}: {wrong}")
    return tunnel.run(name, path, config, _log(name, True), parent_fd)


def up(options, rest):
    from tunlite.host import tunnel

    name, path = files.find_config(_take(rest, 1, 1)[0])
    config = _load(path, options)
    try:
        tunnel.up(name, path, config, _log(name), stay=False)
    finally:
        config.wipe()
    return 0


def down(options, rest):
    from tunlite.host import tunnel

    name = _interface_name(_take(rest, 1, 1)[0])
    tunnel.down(name, _log(name))
    return 0


def reload(options, rest):
    from tunlite.host import reload

    name = _interface_name(_take(rest, 1, 1)[0])
    reload.reload(name, _log(name))
    return 0


def _interface_name(text):
    if "/" in text or text.endswith(".conf"):
        return files.name_of(text)
    files.check_name(text)
    return text


def _number(text, what):
    if not addresses.is_number(text) or len(text) > 9:
        raise UsageError(what)
    return int(text)


def _parent(options, foreground):
    """A pidfd of who started us, -1 where nobody asks for it."""
    if "--parent" not in options:
        return -1
    if not foreground:
        raise UsageError("--parent is for tunlite -f and run --bare")
    pid = _number(options["--parent"], "--parent takes the pid of who starts us")
    # Opened before the comparison: from then on its pid can be no other process's.
    try:
        fd = port.pidfd_open(pid)
    except OSError:
        fd = -1
    if fd < 0 or port.getppid() != pid:
        raise CommandError(f"process {pid} did not start us, or has ended")
    return fd


def _daemon_settings(options):
    """What of [Interface] the bare daemon's options say."""
    settings = Settings({})
    if "--group" in options:
        settings["SocketGroup"] = options["--group"]
    if "--mtu" in options:
        settings["MTU"] = _number(options["--mtu"], "--mtu takes bytes")
    return settings


def serve(options, rest):
    """A WireGuard userspace daemon, as wg-quick(8) starts it."""
    from tunlite.host import confined

    foreground = "-f" in options or "--foreground" in options
    if port.environ_get("WG_PROCESS_FOREGROUND") == "1":
        foreground = True
    if len(rest) != 1:
        raise UsageError(f'"{rest[0]}" is no command' if rest else "one interface is wanted")
    name = rest[0]
    files.check_name(name)
    device_fd = -1
    if port.environ_get("WG_TUN_FD"):
        # The descriptor came with us, so there is no other process to hand it to.
        device_fd = _number(port.environ_get("WG_TUN_FD"), "WG_TUN_FD is no number")
        foreground = True
    settings = _daemon_settings(options)
    parent_fd = _parent(options, foreground)
    log = _log(name, foreground)
    try:
        if foreground:
            log.info("there is no file, so no commands run from events")
            machine = confined.open_daemon(name, settings, log, device_fd, parent_fd)
            log.info("ready")
            machine.run()
            return AGAIN if machine.failed else 0
        confined.start(name, settings, log, detach=True)
    except UserError as e:
        raise CommandError(f"{name}: {e.args[0]}").as_of(e)
    return 0


# ---- asking and telling a daemon -----------------------------------------------------------------


def show(options, rest):
    from tunlite.cli import show

    wanted = _take(rest, 0, 1)
    as_json = bool(options.get("--json"))
    page = show.json_pieces if as_json else show.pages
    separator = ""
    failed = 0
    if as_json and not wanted:
        port.write_out("[")
    for name in wanted or client.interfaces():
        pieces = page(show.look(name))
        before = separator
        while True:
            try:
                piece = next(pieces)
            except StopIteration:
                break
            except Exception as e:
                if wanted:
                    raise CommandError(told(e))
                if not isinstance(e, client.NoDaemon):  # one that was killed left its socket
                    port.print_err(f"tunlite: {name}: {told(e)}")
                    failed = 1
                break
            port.write_out(before + piece)
            before = ""
            separator = ", " if as_json else "\n"
    if as_json:
        port.write_out("\n" if wanted else "]\n")
    return failed


def metrics(options, rest):
    try:
        from tunlite.cli import cpython_metrics as metrics
    except ImportError:
        raise CommandError("metrics needs tunlite on CPython, which asks this daemon too")
    names = _take(rest, 0, 1)
    for name in names:
        files.check_name(name)
    if "--listen" in options:
        metrics.listen(options["--listen"], names, "--per-peer" in options)
    else:
        metrics.write(names, "--per-peer" in options)
    return 0


def use(options, rest):
    from tunlite.cli import use

    name, wanted = _take(rest, 2, 2)
    use.use(name, wanted)
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
    from tunlite.config import as_uapi

    name, path = _take(rest, 2, 2)
    wait = _number(options.get("--wait", "0"), "--wait takes seconds")
    config = _load(path, options)
    if "Peers" in config.interface:
        config.wipe()
        raise FileError(f"{path}: Peers: only tunlite up and run read a folder of peers; remove it")
    unused = sorted([key for key in config.interface if key not in as_uapi.INTERFACE])
    if unused:
        port.print_err(
            f"tunlite: warning: a running interface takes no {', '.join(unused)}: that is for"
            " tunlite up and run; tunlite -f has --mtu and --group"
        )
    try:
        _await(name, wait)
        client.set_device(name, pieces(config, name))
    finally:
        config.wipe()
    return 0


def setconf(options, rest):
    from tunlite.config import as_uapi

    return _tell(options, rest, lambda config, name: as_uapi.whole(config))


def addconf(options, rest):
    from tunlite.config import as_uapi

    return _tell(options, rest, lambda config, name: as_uapi.added(config))


def syncconf(options, rest):
    from tunlite.config import as_uapi

    def pieces(config, name):
        return as_uapi.different(config, as_uapi.Running(client.get_device(name)))

    return _tell(options, rest, pieces)


def add(options, rest):
    from tunlite.cli import peers

    if len(rest) < 2:
        raise UsageError("too few words")
    files.check_name(rest[0])
    peers.add(rest[0], rest[1], rest[2:], options.get("--preshared-key"))
    return 0


def _one_key(what, rest):
    from tunlite.cli import peers

    name, key = _take(rest, 2, 2)
    files.check_name(name)
    peers.one_key(name, what, key)
    return 0


def remove(options, rest):
    return _one_key("remove_peer", rest)


def block(options, rest):
    return _one_key("block", rest)


def unblock(options, rest):
    return _one_key("unblock", rest)


def _drain(rest, word):
    client.set_device(_interface_name(_take(rest, 1, 1)[0]), [bytearray(b"drain=" + word + b"\n")])
    return 0


def drain(options, rest):
    return _drain(rest, b"true")


def undrain(options, rest):
    return _drain(rest, b"false")


# ---- without a daemon ----------------------------------------------------------------------------


def check(options, rest):
    if options.get("--keys"):
        for section, name, whose, _, default, _, _, _, text in table.rows():
            port.write_out(f"[{section}] {name} ({whose}; default {default}): {text}\n")
    elif not rest:
        raise UsageError("a FILE is missing")
    failed = 0
    for path in rest:
        try:
            config = parser.read(path, _features(), "--allow-readable" in options)
        except OSError as e:
            port.print_err(f"{path}: it cannot be read: {strerror(e)}")
            failed = 1
            continue
        for line in config.lines_of(config.errors):
            port.print_err(line)
            failed = 1
        for line in config.lines_of(config.warnings):
            port.print_err("warning: " + line)
        config.wipe()
    return failed


def probe(options, rest):
    from tunlite.cli import probe

    _take(rest, 0, 0)
    port.write_out(probe.as_json() if options.get("--json") else probe.text())
    return 0


def bench(options, rest):
    from tunlite.cli import bench

    _take(rest, 0, 0)
    seconds = options.get("--seconds", "1")
    if not addresses.is_number(seconds) or not 0 < int(seconds) < 1000:
        raise UsageError("--seconds takes 1 to 999")
    found = bench.collect(int(seconds) * 1000)
    port.write_out(bench.as_json(found) if options.get("--json") else bench.as_text(found))
    return 0


def _write_key(key):
    chars = keys.encode(key)
    chars.extend(b"\n")
    port.write_out(chars)
    keys.wipe(chars)
    keys.wipe(key)


def _warn_of_readable_stdout():
    mode = port.stat("/proc/self/fd/1")[0]
    if secret_text.is_file(mode) and mode & 0o007:
        port.print_err(
            "tunlite: warning: everyone may read the file that this key is written to;"
            " run umask 077 before"
        )


def genkey(options, rest):
    _take(rest, 0, 0)
    _warn_of_readable_stdout()
    _write_key(keys.new_private())
    return 0


def genpsk(options, rest):
    _take(rest, 0, 0)
    _warn_of_readable_stdout()
    _write_key(port.random_bytes(32))
    return 0


def pubkey(options, rest):
    _take(rest, 0, 0)
    chars = secret_text.read_all(0)
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


FUNCTIONS = {
    "run": run,
    "up": up,
    "down": down,
    "reload": reload,
    "show": show,
    "metrics": metrics,
    "drain": drain,
    "undrain": undrain,
    "use": use,
    "setconf": setconf,
    "syncconf": syncconf,
    "addconf": addconf,
    "add": add,
    "remove": remove,
    "block": block,
    "unblock": unblock,
    "check": check,
    "probe": probe,
    "bench": bench,
    "genkey": genkey,
    "genpsk": genpsk,
    "pubkey": pubkey,
}
