# SPDX-License-Identifier: MIT
"""tunlite as a WireGuard userspace daemon, driven by wg(8) and Debian's wg-quick(8).

router ==w1== gateway
"""

import fcntl
import json
import os
import signal
import stat
import struct
from pathlib import Path

import pytest

from lab.netns import seconds_to_end
from lab.peers import Keys, ini, interface_name, tunlite_command, tunlite_program
from lab.topology import Tunlite, Tunnel, WireguardGo, tcp_transfer, wait_for
from tunlite.system import port, rtnetlink

pytestmark = pytest.mark.once

_SOCKETS = Path("/var/run/wireguard")


@pytest.fixture
def host(lab):
    return lab.namespace("host")


@pytest.fixture
def name():
    return interface_name()


def _socket(name):
    return _SOCKETS / f"{name}.sock"


def _has_link(namespace, name):
    return namespace.run(["ip", "link", "show", "dev", name], check=False).returncode == 0


def _pids(namespace, name):
    """Processes whose command line ends with the interface's name."""
    pids = namespace.run(["ip", "netns", "pids", namespace.name]).stdout.split()
    found = []
    for pid in pids:
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if name.encode() in words:
            found.append(int(pid))
    return found


def _daemonise(host, name, **kwargs):
    return host.run([*tunlite_command(), name], **kwargs)


def test_the_parent_returns_when_link_and_socket_answer(host, name):
    _daemonise(host, name)
    assert host.link(name)["linkinfo"]["info_kind"] == "tun"
    assert host.run(["wg", "show", name]).stdout.startswith(f"interface: {name}")
    assert stat.S_IMODE(_socket(name).stat().st_mode) == 0o600


def _open_device(name, queue):
    name16 = bytearray(name.encode().ljust(16, b"\0"))
    return port.native.tl_device_open(name16, 3, 0, queue)


def test_a_new_device_has_the_queue_that_was_asked_for_and_an_old_one_keeps_its_own(host, name):
    for asked, length in ((128, 128), (0, 500)):
        fd = host.inside(_open_device, name, asked)
        assert host.link(name)["txqlen"] == length
        os.close(fd)
    host.ip("tuntap", "add", "dev", name, "mode", "tun", "vnet_hdr")
    host.ip("link", "set", name, "txqueuelen", 321)
    os.close(host.inside(_open_device, name, 128))
    assert host.link(name)["txqlen"] == 321


def test_the_daemon_lets_go_of_its_stdio_and_folder(host, name, tmp_path):
    _daemonise(host, name, cwd=tmp_path, env={**os.environ, "PYTHONPATH": os.getcwd()})
    (pid,) = _pids(host, name)
    for fd in (0, 1, 2):
        assert os.readlink(f"/proc/{pid}/fd/{fd}") == "/dev/null"
    assert os.readlink(f"/proc/{pid}/cwd") == "/"
    assert os.getsid(pid) == pid


def test_the_daemon_lets_go_of_what_its_caller_had_open(host, name, tmp_path):
    """A script's lock would be held as long as the tunnel is up."""
    script = f'exec 9>{tmp_path}/lock && flock 9 && exec 3<&9 && exec "$@"'
    host.run(["sh", "-c", script, "sh", *tunlite_command(), name])
    (pid,) = _pids(host, name)
    held = [os.readlink(path) for path in Path(f"/proc/{pid}/fd").iterdir()]
    assert str(tmp_path / "lock") not in held
    assert host.run(["flock", "-n", tmp_path / "lock", "true"]).returncode == 0


def test_it_keeps_only_the_capabilities_to_administer_networks_and_to_open_low_ports(host, name):
    _daemonise(host, name)
    (pid,) = _pids(host, name)
    status = dict(
        line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
    )
    for kind in ("CapEff", "CapPrm"):
        assert int(status[kind], 16) == 1 << 12 | 1 << 10
    for kind in ("CapInh", "CapBnd", "CapAmb"):
        assert int(status[kind], 16) == 0
    assert status["NoNewPrivs"] == "1"


def test_a_second_daemon_of_one_name_fails_and_harms_nothing(host, name):
    _daemonise(host, name)
    second = _daemonise(host, name, check=False)
    assert second.returncode == 1
    assert "another daemon answers" in second.stderr
    assert host.run(["wg", "show", name]).returncode == 0


def test_a_daemon_without_the_right_to_make_a_device_says_so(host, name):
    argv = ["setpriv", "--bounding-set", "-net_admin", *tunlite_command(), name]
    failed = host.run(argv, check=False)
    assert failed.returncode == 78
    assert "are you root?" in failed.stderr
    assert not _socket(name).exists()


def test_whatever_fails_on_the_way_is_told_and_leaves_no_socket(host, name):
    """One descriptor more at each try, until it has enough: what cannot be opened is another."""
    failed = []
    for descriptors in range(4, 64):
        argv = ["prlimit", f"--nofile={descriptors}", *tunlite_command(), name]
        done = host.run(argv, check=False)
        if done.returncode == 0:
            break
        failed.append(done.stderr.strip())
        assert not _socket(name).exists(), failed
        assert not _has_link(host, name)
    assert done.returncode == 0 and len(failed) > 3
    assert all(failed) and not [text for text in failed if "before it was ready" in text]
    assert "o file descriptors available" in failed[-1] or "oo many open files" in failed[-1]


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("words", [[], ["-f"]])
def test_it_runs_when_it_was_started_with_closed_descriptors(host, name, closed, words):
    argv = ["sh", "-c", f'exec "$@" {closed}', "sh", *tunlite_command(), *words, name]
    if words:
        process = host.start(argv, name)
        wait_for(lambda: _socket(name).exists() or not process.is_running(), 15, "it is ready")
    else:
        host.run(argv)
    assert host.run(["wg", "show", name]).stdout.startswith(f"interface: {name}")
    (pid,) = _pids(host, name)
    for fd in (0, 1, 2) if closed == "<&- >&- 2>&-" else ():
        assert os.readlink(f"/proc/{pid}/fd/{fd}") == "/dev/null"


@pytest.mark.parametrize("name", ["", "a/b", "sixteen-letters-", "a b", "-x"])
def test_a_bad_name_is_refused(host, name):
    failed = host.run([*tunlite_command(), name], check=False)
    assert failed.returncode in (2, 78)
    assert failed.stderr.startswith("tunlite: ")


@pytest.mark.parametrize("how", ["-f", "--foreground", "environment"])
def test_in_the_foreground_it_ends_within_a_second_of_sigterm(host, name, how):
    words = [name] if how == "environment" else [how, name]
    env = {"WG_PROCESS_FOREGROUND": "1"} if how == "environment" else None

    def start(number):
        process = host.start([*tunlite_command(), *words], f"{name}-{number}", env=env)
        process.wait_line("ready")
        return process

    assert seconds_to_end(start) < 1
    assert not _socket(name).exists()
    assert not _has_link(host, name)


def test_it_ends_with_the_parent_that_it_was_told_of(host, name):
    """The shell is killed, and tells nobody."""
    command = " ".join(tunlite_command())
    shell = ["sh", "-c", f"{command} -f --parent $$ {name} & wait"]
    process = host.start(shell, name)
    process.wait_line("ready")
    (pid,) = [pid for pid in _pids(host, name) if pid != process.pid]
    process.stop(signal.SIGKILL)
    wait_for(lambda: not Path(f"/proc/{pid}/exe").exists(), 5, "the daemon has ended")
    assert "its parent is gone" in process.log()
    assert not _socket(name).exists()
    assert not _has_link(host, name)


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (["-f", "--parent", "1"], 1, "process 1 did not start us, or has ended"),
        (["-f", "--parent", "999999999"], 1, "did not start us, or has ended"),
        (["-f", "--parent", "x"], 2, "--parent takes the pid"),
        (["--parent", "1"], 2, "--parent is for tunlite -f"),
        (["-f", "--mtu", "many"], 2, "--mtu takes bytes"),
        (["-f", "--mtu", "20"], 1, "Invalid argument"),
        (["--mtu", "70000"], 1, "Invalid argument"),
        (["-f", "--group", "no-such"], 78, "no group no-such"),
    ],
)
def test_an_option_of_the_daemon_that_cannot_be_is_told(host, name, words, status, told):
    failed = host.run([*tunlite_command(), *words, name], check=False)
    assert (failed.returncode, told in failed.stderr) == (status, True), failed.stderr
    assert not _socket(name).exists()


@pytest.mark.parametrize("words", [[], ["-f"]])
def test_group_and_mtu_are_taken_without_a_file(host, name, words):
    if Path("/proc/self/uid_map").read_text().split()[2] == "1":
        pytest.skip("this user namespace has one user")
    argv = [*tunlite_command(), *words, "--group", "daemon", "--mtu", "1380", name]
    if words:
        host.start(argv, name).wait_line("ready")
    else:
        host.run(argv)
    assert host.link(name)["mtu"] == 1380
    found = _socket(name).stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (0, 1, 0o660)


@pytest.mark.parametrize("verb", ["setconf", "syncconf", "addconf"])
def test_what_a_running_interface_cannot_be_given_is_told(host, name, verb):
    _daemonise(host, name)
    interface = {"PrivateKey": Keys().private, "MTU": 1400, "Address": "10.0.0.1/24"}
    for unused, told in (
        ({}, "takes no Address, MTU: "),
        ({"Group": "daemon"}, "MTU, SocketGroup"),
    ):
        text = ini([("Interface", {**interface, **unused})])
        done = host.run([*tunlite_command(), verb, name, "-"], input=text)
        assert told in done.stderr and "-f has --mtu and --group" in done.stderr
    done = host.run([*tunlite_command(), verb, name, "-"], input="[Interface]\nListenPort = 7\n")
    assert done.stderr == ""


def test_it_ends_when_its_link_is_deleted(host, name):
    process = host.start([*tunlite_command(), "-f", name], name)
    process.wait_line("ready")
    host.ip("link", "del", name)
    assert process.wait(5) == 0
    assert not _socket(name).exists()


def test_it_ends_when_its_socket_is_removed(host, name):
    process = host.start([*tunlite_command(), "-f", name], name)
    process.wait_line("ready")
    _socket(name).unlink()
    assert process.wait(5) == 0
    assert not _has_link(host, name)


def test_a_socket_that_a_killed_daemon_left_is_replaced(host, name):
    process = host.start([*tunlite_command(), "-f", name], name)
    process.wait_line("ready")
    process.stop(signal.SIGKILL)
    assert _socket(name).exists()
    _daemonise(host, name)
    assert host.run(["wg", "show", name]).returncode == 0


def test_a_descriptor_of_a_device_is_taken_over(host, name):
    script = f"""
import fcntl, os, struct
fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
fcntl.ioctl(fd, 0x400454CA, struct.pack("16sH22x", b"{name}", 0x1001))
os.set_inheritable(fd, True)
os.environ["WG_TUN_FD"] = str(fd)
argv = {tunlite_command() + [name]!r}
os.execvp(argv[0], argv)
"""
    process = host.start(["python3", "-c", script], name)
    process.wait_line("ready")
    assert host.run(["wg", "show", name]).returncode == 0
    assert process.stop() == 0


def _modes(data, name):
    """addr_gen_mode in each message about the link `name` in a datagram of a link monitor."""
    for _, _, _, at, end in rtnetlink.messages(data):
        link = dict(rtnetlink.attributes(data, at + 16, end))
        if link[3] == name.encode() + b"\0":  # IFLA_IFNAME
            specific = link[26]  # IFLA_AF_SPEC, AF_INET6, IFLA_INET6_ADDR_GEN_MODE
            inet6 = dict(rtnetlink.attributes(specific, 0, len(specific)))[10]
            yield dict(rtnetlink.attributes(inet6, 0, len(inet6)))[8][0]


def test_whoever_waits_for_the_name_finds_a_device_without_an_address_of_the_kernels(host, name):
    """netifd sets a device up as soon as its name appears."""
    monitor = host.inside(port.link_monitor)
    _daemonise(host, name)
    host.ip("link", "set", name, "up")
    modes = []
    try:
        while True:
            modes += _modes(os.read(monitor, 65536), name)
    except BlockingIOError:
        pass
    os.close(monitor)
    assert modes and set(modes) == {1}
    assert "inet6" not in host.ip("addr", "show", "dev", name)


_TUNSETIFF, _TUNSETPERSIST, _TUNSETVNETHDRSZ, _TUNSETVNETLE = (
    0x400454CA,
    0x400454CB,
    0x400454D8,
    0x400454DC,
)


def _leave_device(name):
    """A persistent TUN device as a virtual machine's emulator leaves one."""
    fd = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", name.encode(), 0x5001))
    fcntl.ioctl(fd, _TUNSETPERSIST, 1)
    fcntl.ioctl(fd, _TUNSETVNETHDRSZ, struct.pack("i", 12))
    fcntl.ioctl(fd, _TUNSETVNETLE, struct.pack("i", 1))
    os.close(fd)


def test_a_device_that_had_a_longer_packet_header_before_carries_our_packets(lab):
    tunnel = Tunnel(lab)
    router, host = tunnel.router, tunnel.router.namespace
    host.inside(_leave_device, router.name)
    tunnel.gateway.start()
    router.process = host.start([*tunlite_command(), "-f", router.name], router.name)
    router.process.wait_line("ready")
    router.wg_set_conf()
    host.ip("addr", "add", router.v4 + "/16", "dev", router.name)
    host.ip("link", "set", router.name, "mtu", "1420", "up")
    tunnel.wait_up()
    moved = tcp_transfer(host, tunnel.gateway.namespace, tunnel.gateway.v4, size=1 << 20)
    assert moved.is_intact


def _wg_quick(host, verb, path, folder, before=(), **kwargs):
    """wg-quick, behind the words `before`, with this tree's tunlite for userspace."""
    tunlite_program(folder)
    env = {
        **os.environ,
        "PATH": f"{folder}:{os.environ['PATH']}",
        "WG_QUICK_USERSPACE_IMPLEMENTATION": "tunlite",
    }
    return host.run([*before, "wg-quick", verb, path], env=env, **kwargs)


def _udp_ports(host):
    """Ports of the UDP sockets inside."""
    rows = host.run(["ss", "-lnuH"]).stdout.splitlines()
    return [int(row.split()[3].rsplit(":", 1)[1]) for row in rows]


_NO_LOW_PORTS = ["setpriv", "--bounding-set", "-net_bind_service"]
_NO_RIGHT = "Permission denied"


@pytest.fixture
def low_port(name, tmp_path):
    """A configuration file with ListenPort = 443."""
    path = tmp_path / f"{name}.conf"
    path.touch(mode=0o600)
    path.write_text(ini([("Interface", {"PrivateKey": Keys().private, "ListenPort": 443})]))
    return path


def test_wg_quick_opens_a_port_below_1024_and_wg_another_one(host, name, low_port, tmp_path):
    _wg_quick(host, "up", low_port, tmp_path)
    wait_for(lambda: _udp_ports(host) == [443, 443], 5, "both sockets are open")
    host.run(["wg", "set", name, "listen-port", "53"])
    assert _udp_ports(host) == [53, 53]


def test_wg_quick_fails_where_the_daemon_may_not_open_the_port(host, name, low_port, tmp_path):
    failed = _wg_quick(host, "up", low_port, tmp_path, _NO_LOW_PORTS, check=False)
    assert failed.returncode and _NO_RIGHT in failed.stderr
    assert not _has_link(host, name)


def test_wg_is_told_that_a_port_cannot_be_opened(host, name):
    host.run([*_NO_LOW_PORTS, *tunlite_command(), name])
    host.ip("link", "set", name, "up")
    wait_for(lambda: len(_udp_ports(host)) == 2, 5, "both sockets are open")
    before = _udp_ports(host)
    failed = host.run(["wg", "set", name, "listen-port", "443"], check=False)
    assert failed.returncode and _NO_RIGHT in failed.stderr
    assert _udp_ports(host) == before
    assert host.run(["wg", "show", name, "listen-port"]).stdout == f"{before[0]}\n"


def test_a_port_that_was_taken_when_the_link_came_up_opens_when_wg_sets_it_again(host, name):
    taken = host.udp_socket(port=5353)
    process = host.start([*tunlite_command(), "-f", name], name)
    process.wait_line("ready")
    host.run(["wg", "set", name, "listen-port", "5353"])
    host.ip("link", "set", name, "up")
    process.wait_line("UDP port 5353 cannot be opened: ")
    failed = host.run(["wg", "set", name, "listen-port", "5353"], check=False)
    assert failed.returncode and "Address already in use" in failed.stderr
    taken.close()
    host.run(["wg", "set", name, "listen-port", "5353"])
    assert _udp_ports(host) == [5353, 5353]


@pytest.mark.parametrize("address", ["0.0.0.0", "::"])
def test_a_taken_port_of_one_family_beside_a_free_one_of_the_other_is_refused(host, name, address):
    taken = host.udp_socket(address, 5353)
    _daemonise(host, name)
    host.ip("link", "set", name, "up")
    wait_for(lambda: len(_udp_ports(host)) == 3, 5, "both sockets are open")
    before = sorted(_udp_ports(host))
    failed = host.run(["wg", "set", name, "listen-port", "5353"], check=False)
    assert failed.returncode and "Address already in use" in failed.stderr
    assert sorted(_udp_ports(host)) == before, "a socket was opened, or closed, alone"
    taken.close()


def test_wg_quick_brings_it_up_and_down(lab, tmp_path):
    tunnel = Tunnel(lab, gateway=Tunlite)
    tunnel.gateway.start()
    host, name = tunnel.router.namespace, tunnel.router.name
    peer = next(iter(tunnel.router.peers.values()))
    path = tmp_path / f"{name}.conf"
    path.touch(mode=0o600)
    interface = {
        "PrivateKey": tunnel.router.keys.private,
        "Address": ", ".join(tunnel.router.addresses),
        "MTU": 1400,
    }
    path.write_text(ini([("Interface", interface), ("Peer", peer)]))
    _wg_quick(host, "up", path, tmp_path)
    link = host.link(name)
    assert link["linkinfo"]["info_kind"] == "tun"
    assert link["mtu"] == 1400
    tunnel.wait_up()
    for result in tunnel.ping():
        assert result.received == result.sent
    (pid,) = _pids(host, name)
    _wg_quick(host, "down", path, tmp_path)
    wait_for(lambda: not Path(f"/proc/{pid}").exists(), 5, "the daemon has ended")
    assert not _has_link(host, name)
    assert not _socket(name).exists()


def test_wg_sets_keys_peers_and_ports(host, name, tmp_path):
    _daemonise(host, name)
    mine, other, shared = Keys(), Keys(), Keys()
    for file, key in (("private", mine.private), ("psk", shared.private)):
        (tmp_path / file).write_text(key)
    host.run(
        ["wg", "set", name, "private-key", tmp_path / "private", "listen-port", "51999"]
        + ["fwmark", "0x77", "peer", other.public, "preshared-key", tmp_path / "psk"]
        + ["endpoint", "[2001:db8::1]:7", "persistent-keepalive", "25"]
        + ["allowed-ips", "10.0.0.1/8,fd00::/8"]
    )
    dump = host.run(["wg", "show", name, "dump"]).stdout.splitlines()
    # The private key is shown clamped, as the kernel's WireGuard shows it.
    assert dump[0].split("\t")[1:] == [mine.public, "51999", "0x77"]
    fields = dump[1].split("\t")
    assert fields[:4] == [other.public, shared.private, "[2001:db8::1]:7", "10.0.0.0/8,fd00::/8"]
    assert fields[7] == "25"
    host.run(["wg", "set", name, "peer", other.public, "remove"])
    assert host.run(["wg", "show", name, "peers"]).stdout == ""


def _foreign(lab, host):
    """wireguard-go with keys and one peer, in the same namespace."""
    other = WireguardGo(host, 9, port=0)
    other.add_peer(WireguardGo(host, 8), "192.0.2.1:7")
    lab.on_close(other.forget)
    return other.start()


def test_show_without_a_name_shows_another_programs_too_and_goes_on(lab, host, name):
    before, after = _foreign(lab, host), _foreign(lab, host)
    _daemonise(host, name)
    host.run(["wg", "set", name, "listen-port", "40000"])
    shown = host.run([*tunlite_command(), "show"])
    pages = shown.stdout.split("interface: ")[1:]
    assert [page.split("\n")[0] for page in pages] == sorted([before.name, after.name, name])
    for other in (before, after):
        [page] = [page for page in pages if page.startswith(other.name)]
        assert f"  public key: {other.keys.public}\n  private key: (hidden)\n" in page
        assert f"\npeer: {next(iter(other.peers))}\n  endpoint: 192.0.2.1:7\n" in page
    rows = json.loads(host.run([*tunlite_command(), "show", "--json"]).stdout)
    ours = {row["interface"]: "engine" in row for row in rows}
    assert ours == {before.name: False, after.name: False, name: True}
    named = host.run([*tunlite_command(), "show", before.name]).stdout
    assert named.startswith(f"interface: {before.name}\n  public key: {before.keys.public}\n")


def test_a_stopped_daemon_holds_up_show_for_a_while_and_is_told(lab, host, name):
    stopped = host.start([*tunlite_command(), "-f", f"{name}a"], "stopped")
    stopped.wait_line("ready")
    lab.on_close(lambda: _socket(f"{name}a").unlink(missing_ok=True))
    _daemonise(host, f"{name}b")
    stopped.popen.send_signal(signal.SIGSTOP)
    shown = host.run([*tunlite_command(), "show"], check=False)
    assert shown.returncode == 1
    assert f"interface: {name}b\n" in shown.stdout
    assert f"{name}a does not answer" in shown.stderr
    stopped.popen.send_signal(signal.SIGCONT)
    assert stopped.stop() == 0
