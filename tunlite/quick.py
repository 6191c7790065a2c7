# SPDX-License-Identifier: MIT
"""Brings an interface up and down as wg-quick(8) does, and changes it while it runs.

What was done is kept as JSON in /var/run/tunlite/NAME.json, so that another process can undo it.
A step that fails undoes the ones before it, last first.
"""

import json

from tunlite import (
    client,
    config as configs,
    hooks,
    links,
    port,
    privileges,
    process,
    resolver,
    setconf,
)

STATE_FOLDER = "/var/run/tunlite"
CONFIG_FOLDERS = ("/etc/tunlite", "/etc/wireguard")
_SIGTERM = 15
_SIGHUP = 1
_ENOENT = 2
_EPERM = 1
_PATIENCE_MS = 5000
_RELOAD_PATIENCE_MS = 30000
_NAME_MAX = 15
_POLLIN = 1

# A change of these takes a new daemon; the others are applied by a reload.
_FIXED = (
    "Engine",
    "AEAD",
    "Offloads",
    "Batch",
    "Memory",
    "Workers",
    "RekeyAfter",
    "User",
    "Group",
    "StateDir",
    "Layer",
)


class QuickError(Exception):
    """args[0] is the text for the user."""


_STEP_ERRORS = (
    QuickError,
    hooks.HookError,
    links.LinkError,
    process.StartError,
    client.NoDaemon,
    client.Refused,
    OSError,
)


def _reason(e):
    """The text of one of _STEP_ERRORS."""
    if isinstance(e, OSError):
        return f"{e.args[1] if len(e.args) > 1 else 'the system refused'} (errno {e.args[0]})"
    return str(e.args[-1])


# ---- names -----------------------------------------------------------------------------------


def check_name(name):
    """QuickError unless the kernel, wg-quick and our files take it as an interface's name."""
    for char in name:
        if not (char.isalpha() or char.isdigit() or char in "_=+.-"):
            raise QuickError(f'"{name}" is no name for an interface: use letters, digits and _=+.-')
    if not name or len(name) > _NAME_MAX or name in (".", ".."):
        raise QuickError(f'"{name}" is no name for an interface: it needs 1 to {_NAME_MAX} letters')


def name_of(path):
    """The interface that a configuration file is for."""
    name = path.split("/")[-1]
    if name.endswith(".conf"):
        name = name[:-5]
    check_name(name)
    return name


def absolute(path):
    """The path as another process finds it at a reload."""
    return path if path.startswith("/") else port.getcwd() + "/" + path


def find_config(text):
    """(name, path) of what the user calls NAME or FILE."""
    if "/" in text or text.endswith(".conf"):
        return name_of(text), absolute(text)
    check_name(text)
    for folder in CONFIG_FOLDERS:
        path = f"{folder}/{text}.conf"
        try:
            port.stat(path)
            return text, path
        except OSError as e:
            if e.errno != _ENOENT:
                raise QuickError(f"{path} cannot be read (errno {e.errno}); are you root?")
    raise QuickError(f"there is no {text}.conf in {' or '.join(CONFIG_FOLDERS)}")


# ---- state -----------------------------------------------------------------------------------


def _state_path(name):
    return f"{STATE_FOLDER}/{name}.json"


def read_state(name):
    """The state dict of an interface that `up` or `run` made, or None."""
    try:
        return json.loads(port.read_file(_state_path(name)).decode())
    except (OSError, ValueError):
        return None


def _write_state(state):
    if not privileges.make_folder(STATE_FOLDER, 0o700):
        port.chmod(STATE_FOLDER, 0o700)
    data = json.dumps(state).encode()
    port.write_file_atomic(_state_path(state["interface"]), data, 0o600)


def _drop_file(path):
    try:
        port.unlink(path)
    except OSError as e:
        if e.errno != _ENOENT:
            raise


def _start_time(pid):
    """When a process began, in ticks since boot, or "" where there is none: pids are used again."""
    try:
        text = port.read_file(f"/proc/{pid}/stat").decode()
    except OSError:
        return ""
    fields = text[text.rfind(")") + 2 :].split()
    return "" if fields[0] == "Z" else fields[19]


def _is_alive(pid, began):
    return bool(pid) and bool(began) and _start_time(pid) == began


def is_up(state):
    return state is not None and _is_alive(state["pid"], state["began"])


def _has_parent(state):
    """Whether another process, a `tunlite run`, looks after the interface."""
    return state["parent"] != port.getpid() and _is_alive(state["parent"], state["parent_began"])


# ---- up --------------------------------------------------------------------------------------


class _Ladder:
    """Undoes what was done, last first."""

    def __init__(self, log):
        self._log = log
        self._rungs = []

    def add(self, undo):
        self._rungs.append(undo)

    def undo(self):
        while self._rungs:
            try:
                self._rungs.pop()()
            except _STEP_ERRORS as e:
                self._log.error("while undoing: " + _reason(e))


def up(name, path, config, log, stay):
    """Brings it up; gives (state, Child, port.signal_fd()). QuickError: a step failed, and what was
    done before it is undone.

    `stay`: we stay as its parent (`run`); otherwise the daemon is on its own afterwards.
    """
    _refuse_what_is_there(name, log)
    # From here on a signal waits until what was begun is done or undone.
    signals = port.signal_fd()
    state = links.new_state()
    state["interface"] = name
    state["path"] = path
    state["pid"] = state["parent"] = 0
    state["began"] = state["parent_began"] = ""
    state["loads"] = 1
    state["load_error"] = ""
    _note_config(state, config)
    ladder = _Ladder(log)
    try:
        child = _climb(state, config, log, ladder, stay)
        if _asks_to_end(_arrived(signals)):
            raise QuickError("interrupted; everything was undone")
    except _STEP_ERRORS as e:
        ladder.undo()
        raise QuickError(_reason(e))
    return state, child, signals


def _arrived(signals):
    """The signals that came since the last call."""
    try:
        return port.os_read(signals, 64)
    except OSError:
        return b""


def _asks_to_end(numbers):
    return any([number != _SIGHUP for number in numbers])


def _refuse_what_is_there(name, log):
    state = read_state(name)
    if is_up(state) and state["parent"] and not _is_alive(state["parent"], state["parent_began"]):
        # Its parent was killed; it has noticed, and ends.
        _wait_until(lambda: not is_up(state), _PATIENCE_MS)
    if is_up(state):
        raise QuickError(f"{name} is up already; take it down with: tunlite down {name}")
    if port.links.link_get(name) is not None:
        raise QuickError(f"there is a link {name} already, and it is not ours")
    if state is not None:
        log.info("cleaning up after an earlier run that was killed")
        _sweep(name, state)


def _note_config(state, config):
    """What `down` and the next reload need of a configuration."""
    for kind in ("PreDown", "PostDown"):
        state[kind] = config.interface.get(kind, [])
    state["endpoints"] = setconf.endpoints_of(config)
    state["fixed"] = {key: config.interface[key] for key in _FIXED if key in config.interface}


def _climb(state, config, log, ladder, stay):
    """The steps, in wg-quick's order."""
    name = state["interface"]
    hooks.run("PreUp", config.interface.get("PreUp", []), name)
    settings = _settings(config)
    child = process.start(name, settings, log, detach=not stay, forget=config.wipe)
    state["pid"] = child.pid
    state["began"] = _start_time(child.pid)
    if stay:
        state["parent"] = port.getpid()
        state["parent_began"] = _start_time(port.getpid())
    ladder.add(lambda: _drop_file(_state_path(name)))
    ladder.add(lambda: _end_daemon(state, child))
    _write_state(state)
    setconf.apply(name, setconf.whole(config))
    links.set_addresses(name, config.interface.get("Address", []), state)
    links.set_mtu(name, settings["MTU"])
    port.links.set_up(name)
    _await_socket(name, config)
    ladder.add(lambda: links.drop_dns(state))
    links.set_dns(name, config.interface.get("DNS", []), state)
    ladder.add(lambda: links.drop_rules(state))
    ladder.add(lambda: links.drop_filter(name, state))
    _set_routes(state, config, log)
    _write_state(state)
    hooks.run("PostUp", config.interface.get("PostUp", []), name)
    return child


def _await_socket(name, config):
    """The daemon opens its UDP sockets when it sees the link go up."""
    if not _wait_until(lambda: client.status(name)["up"], _PATIENCE_MS):
        number = config.interface.get("ListenPort", 0)
        raise QuickError(
            f"UDP port {number} cannot be opened: another process has it; choose another ListenPort"
        )


def _settings(config):
    """What the daemon has to know from its start: no secret, and nothing that it can be told."""
    settings = {key: config.interface[key] for key in _FIXED if key in config.interface}
    settings["ListenPort"] = config.interface.get("ListenPort", 0)
    settings["MTU"] = _mtu(config)
    return settings


def _mtu(config):
    if "MTU" in config.interface:
        return config.interface["MTU"]
    found = []
    for peer in config.peers:
        if "Endpoint" in peer:
            place = resolver.literal(peer["Endpoint"])
            if place is not None:
                found.append(place[:2])
    return links.choose_mtu(set(found))


def _mark(state, config):
    """The mark and table of default routes: FwMark, else a free one, told to the daemon."""
    mark = config.interface.get("FwMark", 0)
    if mark or not links.wants_default(config):
        return mark
    for _, rule in state["rules"]:
        if "mark" in rule:
            mark = rule["mark"]
    mark = mark or links.free_table()
    client.set_device(state["interface"], [f"fwmark={mark}\n".encode()])
    return mark


def _set_routes(state, config, log):
    name = state["interface"]
    mark = _mark(state, config)
    families = links.wants_default(config)
    if state["rules"] and (state["rules"][0][1]["mark"] != mark or not families):
        links.drop_filter(name, state)
        links.drop_rules(state)
    links.set_routes(name, links.wanted_routes(config, mark), state)
    links.set_rules(families, mark, state)
    links.set_filter(name, families, config.interface.get("Address", []), mark, state, log)


# ---- down ------------------------------------------------------------------------------------


def _wait_until(condition, patience_ms):
    deadline = port.now_ms() + patience_ms
    while not condition():
        if port.now_ms() > deadline:
            return False
        port.sleep_ms(20)
    return True


def _end_daemon(state, child=None):
    """SIGTERM, then its socket: as another user it may not remove that itself."""
    pid = state["pid"]
    if _is_alive(pid, state["began"]):
        port.kill(pid, _SIGTERM)
        if not _wait_until(lambda: not _is_alive(pid, state["began"]), _PATIENCE_MS):
            port.kill(pid, 9)
            _wait_until(lambda: not _is_alive(pid, state["began"]), _PATIENCE_MS)
    if child is not None:
        child.status()
    _drop_file(client.socket_path(state["interface"]))


def _sweep(name, state):
    """Removes what outlives a daemon that was killed."""
    links.drop_dns(state)
    links.drop_filter(name, state)
    links.drop_rules(state)
    _drop_file(client.socket_path(name))
    _drop_file(_state_path(name))


def down(name, log):
    """Takes down what `up` or `run` made. QuickError when there is nothing, or something failed."""
    state = read_state(name)
    if state is None:
        raise QuickError(f"{name} was not brought up by tunlite up or tunlite run")
    if _has_parent(state):
        port.kill(state["parent"], _SIGTERM)
        if not _wait_until(lambda: not _has_parent(state), _RELOAD_PATIENCE_MS):
            raise QuickError(f"the tunlite run of {name} (pid {state['parent']}) does not end")
        return
    take_down(state, log)


def take_down(state, log, child=None):
    """Every step is tried; QuickError at the end when one failed."""
    name = state["interface"]
    failed = []

    def attempt(call, *arguments):
        try:
            call(*arguments)
        except _STEP_ERRORS as e:
            log.error(_reason(e))
            failed.append(_reason(e))

    attempt(hooks.run, "PreDown", state["PreDown"], name)
    attempt(links.drop_dns, state)
    attempt(links.drop_filter, name, state)
    attempt(links.drop_rules, state)
    attempt(_end_daemon, state, child)
    attempt(hooks.run, "PostDown", state["PostDown"], name)
    attempt(_drop_file, _state_path(name))
    if failed:
        raise QuickError(f"{name} is down, with errors: " + failed[0])


# ---- reload ----------------------------------------------------------------------------------


def reload(name, log, features=None):
    """Reads the file again and applies what differs. QuickError; the tunnel goes on as it was."""
    state = read_state(name)
    if not is_up(state):
        raise QuickError(f"{name} is not up")
    if not _has_parent(state):
        load_again(state, log, features)
        return
    before = state["loads"]
    port.kill(state["parent"], _SIGHUP)

    def loaded():
        now = read_state(name)
        return now is None or now["loads"] != before

    if not _wait_until(loaded, _RELOAD_PATIENCE_MS):
        raise QuickError(f"the tunlite run of {name} (pid {state['parent']}) does not answer")
    error = (read_state(name) or {"load_error": "it went down"})["load_error"]
    if error:
        raise QuickError(error)


def load_again(state, log, features=None):
    """Applies the file's differences to the running interface and notes the outcome in `state`."""
    state["loads"] += 1
    state["load_error"] = ""
    config = None
    try:
        config = configs.load(state["path"], features)
        _apply(state, config, log)
    except configs.ConfigError as e:
        state["load_error"] = "\n".join(e.args[0])
    except _STEP_ERRORS as e:
        state["load_error"] = _reason(e)
    finally:
        if config is not None:
            config.wipe()
        _write_state(state)
    if state["load_error"]:
        raise QuickError(state["load_error"])


def _apply(state, config, log):
    name = state["interface"]
    for key in _FIXED:
        if config.interface.get(key) != state["fixed"].get(key):
            log.error(f"{key} was changed: that takes effect at the next start")
    running = setconf.Running(client.get_device(name))
    if "FwMark" not in config.interface and links.wants_default(config):
        # The mark of a default route is ours to choose; it stays.
        config.interface["FwMark"] = int(running.interface.get("fwmark", b"0"))
    setconf.apply(name, setconf.different(config, running, state["endpoints"]))
    links.set_addresses(name, config.interface.get("Address", []), state)
    if "MTU" in config.interface:
        links.set_mtu(name, config.interface["MTU"])
    links.set_dns(name, config.interface.get("DNS", []), state)
    _set_routes(state, config, log)
    _note_config(state, config)


# ---- run -------------------------------------------------------------------------------------


def run(name, path, config, log, features=None):
    """In the foreground until SIGTERM, SIGINT or the daemon's end; gives the exit status."""
    state, child, signals = up(name, absolute(path), config, log, stay=True)
    config.wipe()
    log.info("ready")
    asked = False
    while not asked:
        ready = [fd for fd, _ in port.poll([(signals, _POLLIN), (child.fd, _POLLIN)], -1)]
        if child.fd in ready:
            return _ended_by_itself(state, child, log)
        numbers = _arrived(signals)
        asked = _asks_to_end(numbers)
        if numbers and not asked:
            _reload_in_place(state, log, features)
    try:
        take_down(state, log, child)
    except QuickError:
        return 1  # it was logged
    return 0


def _reload_in_place(state, log, features):
    try:
        load_again(state, log, features)
        log.info("reloaded")
    except QuickError as e:
        log.error("not reloaded: " + e.args[0])


def _ended_by_itself(state, child, log):
    """Its link was deleted, its socket removed, or it crashed: clean up after it."""
    status = child.status()
    state["pid"] = 0
    if status:
        log.error(f"the daemon ended with status {status}")
    try:
        take_down(state, log)
    except QuickError:
        status = status or 1
    return min(status, 255)
