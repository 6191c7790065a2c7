# SPDX-License-Identifier: MIT
"""Brings an interface up and down as wg-quick(8) does.

What was done is kept as JSON in /var/run/tunlite/NAME.json, so that another process can undo it.
A step that fails undoes the ones before it, last first.
"""

import errno

from tunlite import programs
from tunlite.config import as_uapi, files
from tunlite.errors import said, told
from tunlite.host import (
    addresses,
    confined,
    dns,
    failures,
    filter as filters,
    hooks,
    mtu as mtus,
    record,
    reload,
    rules,
    runner,
    steps,
    waiting,
)
from tunlite.system import port
from tunlite.uapi import client

_SIGTERM = 15
_SIGKILL = 9
_SIGCONT = 18 if errno.ECONNREFUSED == 111 else 25  # MIPS counts its own way
_PATIENCE_MS = 5000
_NAMES_MS = 2000
_PATIENCE_WITH_HOOKS_MS = 80000  # hooks have 60 s
_SAVE_MS = 10_000
_SAVE_WHEN_ASKED_MS = 1000
_POLLIN = 1

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
            except failures.STEP_ERRORS as e:
                self._log.error("while undoing: " + told(e))


def up(name, path, config, log, stay):
    """Brings it up; gives (state, Child, hooks.Patience). QuickError: a step failed, and what was
    done before it is undone.

    `stay`: we stay as its parent (`run`); otherwise the daemon is on its own afterwards.
    """
    _refuse_what_is_there(name)
    # From here on a signal waits until what was begun is done or undone.
    patience = hooks.Patience()
    state = record.new()
    state["interface"] = name
    state["path"] = path
    state["pid"] = state["parent"] = 0
    state["began"] = state["parent_began"] = ""
    state["loads"] = 1
    state["load_error"] = ""
    state["busy"] = []
    state["bare"] = config.bare
    log.hides = config.settings["HideAddresses"]
    ladder = _Ladder(log)
    try:
        _claim(state, log)
        ladder.add(lambda: record.drop_file(record.path(name)))
        child = _climb(state, config, log, ladder, stay, patience)
        patience.arrived()
        if patience.is_asked():
            record.hold(state, "up")
            raise failures.QuickError("interrupted; everything was undone")
    except failures.STEP_ERRORS as e:
        ladder.undo()
        raise failures.QuickError(told(e)).as_of(e)
    return state, child, patience


def _refuse_what_is_there(name):
    state = record.read(name)
    if state is not None:
        record.refuse_busy(state)
    if (
        record.is_up(state)
        and state["parent"]
        and not record.is_alive(state["parent"], state["parent_began"])
    ):
        # Its parent was killed; it has noticed, and ends.
        waiting.wait_until(lambda: not record.is_up(state), _PATIENCE_MS)
    if state is not None:
        record.refuse_up(state)
    if port.links.link_get(name) is not None:
        raise failures.QuickError(f"there is a link {name} already, and it is not ours")


def _claim(state, log):
    """From here on nobody else brings it up or takes it down; hooks run, so no lock is held."""
    try:
        found = record.claim(state["interface"], "up", state)
    except OSError as e:
        raise failures.QuickError(f"{record.FOLDER} cannot be used: {said(e)}; are you root?")
    if found is not state:
        log.info("cleaning up after an earlier run that was killed")
        _sweep(state["interface"], found)
        record.write(state)


def _climb(state, config, log, ladder, stay, patience):
    """The steps, in wg-quick's order."""
    name = state["interface"]
    settings = config.settings
    ours = hooks.Hooks(settings, state, patience)
    ours.run("PreUp")
    child = _start(state, config, log, stay)
    # After the fork: the daemon has no use for it.
    steps.note_config(state, config)
    if stay:
        state["parent"] = port.getpid()
        state["parent_began"] = record.start_time(port.getpid())
    ladder.add(lambda: _end_daemon(state, child))
    record.write(state)
    client.set_device(name, as_uapi.whole(config))
    if not config.bare:
        _set_up(state, config, log, ladder, patience)
    record.write(state)
    if child.runner is not None:
        child.runner.begin(child.pid)
    if stay:
        patience.reload = lambda: _reload_in_place(state, log)
    _run_post_up(state, ours)
    return child


def _set_up(state, config, log, ladder, patience):
    """What `run --bare` leaves to a supervisor."""
    name = state["interface"]
    settings = config.settings
    addresses.apply(name, settings["Address"], state)

    def is_asked():
        patience.arrived()
        return patience.is_asked()

    state["mtu"] = mtus.choose(name, config, _NAMES_MS, is_asked)
    mtus.apply(name, state["mtu"])
    port.links.set_up(name)
    # The daemon opens its UDP sockets when it sees the link go up.
    if not waiting.wait_until(lambda: client.is_up(name), _PATIENCE_MS):
        raise failures.QuickError(
            f"UDP port {settings['ListenPort']} cannot be opened: another process has it;"
            " choose another ListenPort"
        )
    ladder.add(lambda: dns.undo(state))
    dns.apply(name, settings["DNS"], state)
    ladder.add(lambda: rules.undo(state))
    ladder.add(lambda: filters.undo(name, state))
    steps.set_routes(state, config, log)


def _start(state, config, log, stay):
    """The daemon, and before it, where the file names commands, who runs them."""
    name = state["interface"]
    made = None
    if config.run_by_root():
        file = (name, state["path"], config.readable_ok)
        made = runner.Runner(file, log, not stay, config.wipe)
        state["runner"] = made.pid
        state["runner_began"] = record.start_time(made.pid)
    start = config.settings.of_start()
    child = confined.start(name, start, log, detach=not stay, forget=config.wipe, runner=made)
    state["pid"] = child.pid
    state["began"] = record.start_time(child.pid)
    return child


def _run_post_up(state, ours):
    """Only then may a reload come in between: all that it compares with is there."""
    record.hold(state, "hook")
    then = "up"  # it is undone
    try:
        ours.run("PostUp")
        then = None
    finally:
        record.hold(state, then, adopt=True)


# ---- down ------------------------------------------------------------------------------------


def _end_daemon(state, child=None):
    """SIGTERM, then its socket: as another user it may not remove that itself."""
    pid = state["pid"]
    if record.is_alive(pid, state["began"]):
        port.kill(pid, _SIGTERM)
        port.kill(pid, _SIGCONT)  # one that was stopped would not hear of it
        if not waiting.wait_until(lambda: not record.is_alive(pid, state["began"]), _PATIENCE_MS):
            port.kill(pid, _SIGKILL)
            waiting.wait_until(lambda: not record.is_alive(pid, state["began"]), _PATIENCE_MS)
    if child is not None:
        child.status()
    pid, began = state.get("runner", 0), state.get("runner_began", "")
    if not waiting.wait_until(lambda: not record.is_alive(pid, began), _PATIENCE_MS):
        port.kill(pid, _SIGKILL)
    _drop_sockets(state)


def _drop_sockets(state):
    name = state["interface"]
    record.drop_file(client.socket_path(name))
    record.drop_file(record.folder_path(name))
    confined.drop_dead_sockets(name, state.get("fixed", {}).get("StatusSocket"))


def _sweep(name, state):
    """Removes what outlives a daemon that was killed."""
    dns.undo(state)
    filters.undo(name, state)
    rules.undo(state)
    _drop_sockets(state)


def _not_ours(name):
    return failures.QuickError(f"{name} was not brought up by tunlite up or tunlite run")


def down(name, log):
    """Takes down what `up` or `run` made. QuickError: there is nothing, or something failed."""
    state = record.read(name)
    if state is None:
        raise _not_ours(name)
    record.refuse_busy(state)
    if record.has_parent(state):
        port.kill(state["parent"], _SIGTERM)
        if not waiting.wait_until(lambda: not record.has_parent(state), _PATIENCE_WITH_HOOKS_MS):
            raise failures.QuickError(
                f"the tunlite run of {name} (pid {state['parent']}) does not end"
            )
        return
    patience = hooks.Patience()
    state = record.claim(name, "down")
    if state is None:
        raise _not_ours(name)
    take_down(state, log, patience)


def _save(state, log, patience):
    from tunlite.config import save

    patience.arrived()
    silence_ms = _SAVE_WHEN_ASKED_MS if patience.is_asked() else _SAVE_MS
    chosen = [rule["mark"] for _, rule in state["rules"] if "mark" in rule]
    save.save(state["interface"], state["path"], silence_ms, chosen[0] if chosen else 0)
    log.info(f"{state['path']} has what ran")


def take_down(state, log, patience, child=None):
    """Every step is tried; QuickError at the end when one failed."""
    name = state["interface"]
    ours = hooks.Hooks(state, state, patience)
    failed = []

    def attempt(call, *arguments):
        try:
            call(*arguments)
        except failures.STEP_ERRORS as e:
            log.error(told(e))
            failed.append(told(e))

    patience.reload = None
    attempt(record.hold, state, "down")
    patience.later = bool(state["PostDown"])
    attempt(ours.run, "PreDown")
    patience.later = False
    if state.get("save") and state["pid"]:
        attempt(_save, state, log, patience)
    attempt(dns.undo, state)
    attempt(filters.undo, name, state)
    attempt(rules.undo, state)
    attempt(_end_daemon, state, child)
    attempt(ours.run, "PostDown")
    attempt(record.drop_file, record.path(name))
    if failed:
        raise failures.QuickError(f"{name} is down, with errors: " + failed[0])


# ---- run -------------------------------------------------------------------------------------


def run(name, path, config, log, supervisor_fd=-1):
    """In the foreground until SIGTERM, SIGINT or the daemon's end, or, with its pidfd, that of who
    started us; gives the exit status."""
    state, child, patience = up(name, files.absolute(path), config, log, stay=True)
    config.wipe()
    log.info("ready")
    while not patience.is_asked():
        rows = [(patience.signals, _POLLIN), (child.fd, _POLLIN)]
        if supervisor_fd >= 0:
            rows.append((supervisor_fd, _POLLIN))
        ready = [fd for fd, _ in port.poll(rows, -1)]
        if child.fd in ready:
            return _ended_by_itself(state, child, log, patience)
        if supervisor_fd in ready:
            log.error("who started us has ended")
            break
        patience.arrived()
    try:
        take_down(state, log, patience, child)
    except failures.QuickError:
        return 1  # it was logged
    return 0


def _reload_in_place(state, log):
    try:
        reload.load_again(state, log)
        log.info("reloaded")
    except failures.QuickError as e:
        # It may name endpoints of the file.
        log.error("not reloaded: " + log.outer(e.args[0], "tunlite reload says why"))


def _ended_by_itself(state, child, log, patience):
    """Its link was deleted, its socket removed, or it crashed: clean up after it."""
    if port.os_read(child.fd, 1):
        port.kill(child.pid, _SIGKILL)  # it has nothing to say there: it is not ours any more
    status = child.status()
    state["pid"] = 0
    if status:
        log.error("the daemon " + programs.describe(status))
    try:
        take_down(state, log, patience)
    except failures.QuickError:
        status = 1
    return 1 if status else 0  # its own word does not count: who took it over might say 78
