# SPDX-License-Identifier: MIT
"""stamp.py and stamp_file.py: a router and a gateway that remembers the greatest stamp, over
reboots and worse.
"""

import pytest
from hypothesis import example, given, settings, strategies as st

from lab.fakes.port import Clock, FakePort
from tunlite.control import stamp_file
from tunlite.protocol import stamp

PUBLIC = bytes(range(32))
PATH = "/state/stamp-" + PUBLIC.hex()[:16]
NOW_S = stamp.RELEASED // stamp.SECOND + 90 * 86400
EPOCH_S = 60  # a router without a clock, one minute after it was switched on


class Lines:
    def __init__(self):
        self.errors, self.infos = [], []

    def error(self, text, kind=None):
        self.errors.append(text)

    def info(self, text, kind=None):
        self.infos.append(text)


class Gateway:
    def __init__(self, seen=b""):
        self.seen = seen

    def accepts(self, text):
        if text <= self.seen:
            return False
        self.seen = text
        return True


class Router:
    """Boots with the clock at `wall_s`; connect() retries every 5 s as the timers do."""

    def __init__(self, port=None, folder="/state", public=PUBLIC):
        self.port = port or FakePort()
        self.folder = folder
        self.public = public

    def boot(self, wall_s, synchronised):
        self.port.clock.wall_s = wall_s - self.port.clock.now_ms // 1000
        self.port.clock.synchronised = synchronised
        self.lines = Lines()
        kept = stamp_file.StampFile(self.port, self.folder, self.lines)
        self.stamps = stamp.Stamps(self.port.wall_ns, kept, self.lines)
        self.stamps.load(self.public)
        self.line = stamp.Line()
        return self

    def connect(self, gateway, tries=18, leave=True):
        """Number of the attempt that was answered; 0 when none was. Without `leave` there is no
        route."""
        for attempt in range(1, tries + 1):
            answered = leave and gateway.accepts(self.stamps.next(self.line))
            if not leave:
                self.stamps.next(self.line)
            self.port.clock.now_ms += 5000
            if answered:
                self.stamps.answered(self.line)
                return attempt
            if leave:
                self.line.left()
        return 0

    def down(self):
        self.stamps.end()

    def ahead_s(self):
        """How far the last stamp is past the clock."""
        return (self.line.stamp - self.port.wall_ns()[0]) / stamp.SECOND


def gateway_of_now(offset_s=0):
    return Gateway(stamp.tai64n((NOW_S + offset_s) * stamp.SECOND))


def test_a_stamp_is_tai64n_rounded_down_to_a_tick():
    text = stamp.tai64n(1_000_000_000 * stamp.SECOND + stamp.TICK + 5)
    assert text.hex() == "400000003b9aca0a" + "01000000"


@given(st.integers(0, 1 << 62))
def test_one_tick_later_is_always_a_greater_stamp(ns):
    assert stamp.tai64n(ns + stamp.TICK) > stamp.tai64n(ns)


@pytest.mark.parametrize("synchronised", [True, False])
def test_a_hundred_reboots_into_1970_connect_at_the_first_attempt_each(synchronised):
    router, gateway = Router(), Gateway()
    router.boot(NOW_S, True).connect(gateway)
    for _ in range(100):
        assert router.boot(EPOCH_S, synchronised).connect(gateway) == 1


def test_a_clock_of_2099_and_back_still_connects():
    router, gateway = Router(), Gateway()
    assert router.boot(4_070_908_800, True).connect(gateway) == 1
    for synchronised in (True, False, True):
        assert router.boot(NOW_S, synchronised).connect(gateway) == 1


def test_a_clock_of_2099_that_nobody_synchronised_is_not_believed():
    router, gateway = Router(), gateway_of_now(-86400)
    router.boot(NOW_S, True).connect(gateway)
    router.boot(4_070_908_800, False).connect(gateway)
    assert gateway.seen < stamp.tai64n((NOW_S + 2 * 86400) * stamp.SECOND)


def test_a_clock_less_than_30_days_past_the_mark_is_believed():
    router, gateway = Router(), Gateway()
    router.boot(NOW_S, True).connect(gateway)
    router.boot(NOW_S + 29 * 86400, False).connect(gateway)
    assert gateway.seen >= stamp.tai64n((NOW_S + 29 * 86400) * stamp.SECOND)
    router.boot(NOW_S + 90 * 86400, False).connect(gateway)
    assert gateway.seen < stamp.tai64n((NOW_S + 31 * 86400) * stamp.SECOND)


@pytest.mark.parametrize("synchronised", [True, False])
def test_whoever_goes_back_to_the_kernels_wireguard_is_let_in_at_once(synchronised):
    router, gateway = Router(), Gateway()
    for minutes in range(3):  # up, down, up, down: the kernel's stamps are the clock's
        now_s = 60 * minutes + (NOW_S if synchronised else EPOCH_S)
        assert router.boot(now_s, synchronised).connect(gateway) == 1
        router.down()
    if synchronised:
        assert router.ahead_s() <= 0
    assert gateway.accepts(stamp.tai64n((NOW_S + 600) * stamp.SECOND))


def test_a_believed_clock_that_nobody_synchronised_runs_no_day_ahead_after_a_clean_end():
    router, gateway = Router(), Gateway()
    router.boot(NOW_S, True).connect(gateway)
    router.down()
    for _ in range(3):
        assert router.boot(NOW_S + 600, False).connect(gateway) == 1
        assert router.ahead_s() <= 0
        router.down()


def test_after_a_crash_a_synchronised_start_uses_its_clock():
    router, gateway = Router(), Gateway()
    for hours in range(100):
        assert router.boot(NOW_S + 3600 * hours, True).connect(gateway) == 1
        assert router.ahead_s() <= 0
    assert router.port.writes <= 5  # about once a day


@pytest.mark.parametrize("leave", [False, True])
def test_15_minutes_without_a_clock_and_an_answer_move_the_mark_by_one_leap_at_most(leave):
    router, gateway = Router(), Gateway()
    router.boot(NOW_S, True).connect(gateway)
    router.boot(EPOCH_S, False).connect(gateway)
    before, writes = router.line.stamp, router.port.writes
    router.boot(EPOCH_S, False).connect(Gateway(b"z"), tries=180, leave=leave)
    most = (stamp.HOUR if leave else 0) + 600 * stamp.SECOND
    assert router.line.stamp - before < most
    assert router.port.writes - writes == (2 if leave else 1)
    assert len(router.lines.infos) == (1 if leave else 0)


@pytest.mark.parametrize("synchronised", [True, False])
def test_15_minutes_without_a_route_write_once_and_leap_never(synchronised):
    router = Router().boot(NOW_S - 80 * 86400, synchronised)
    router.connect(Gateway(), tries=180, leave=False)
    assert router.port.writes == 1
    assert not router.lines.infos and router.ahead_s() <= 0


def test_a_power_cut_each_evening_and_a_modem_that_is_slow_each_morning_cost_an_hour_a_boot():
    router, gateway = Router(), Gateway()
    router.boot(NOW_S, True).connect(gateway)
    begin = router.line.stamp + stamp.DAY  # what a power cut may have hidden
    for _ in range(100):
        router.boot(EPOCH_S, False).connect(Gateway(b"z"), tries=10)
        assert router.connect(gateway) == 1
    assert router.line.stamp < begin + 100 * (stamp.HOUR + 600 * stamp.SECOND)


def test_a_synchronised_clock_behind_what_a_gateway_saw_goes_on_from_the_reserve_once():
    router, gateway = Router(), Gateway()
    router.boot(NOW_S, True).connect(gateway)
    router.boot(EPOCH_S, False).connect(gateway)  # its stamps begin a day ahead
    assert router.boot(NOW_S + 60, True).connect(gateway) == 4
    assert router.lines.infos == ["no answer: the time in handshakes goes on from the reserve"]
    assert router.connect(gateway) == 1
    silent = Router(port=router.port).boot(NOW_S + 120, True)
    silent.connect(Gateway(b"z"), tries=1000)
    assert len(silent.lines.infos) <= 1
    assert silent.line.stamp < router.line.stamp + stamp.DAY + 2 * stamp.HOUR


def test_only_the_peer_that_does_not_answer_goes_on_from_the_reserve():
    router, gateway = Router(), Gateway()
    router.boot(NOW_S, True).connect(gateway)
    router.boot(EPOCH_S, False).connect(gateway)
    router.boot(NOW_S + 60, True).connect(gateway)
    other = stamp.Line()
    router.stamps.next(other)
    assert other.stamp <= router.port.wall_ns()[0]


def test_a_dead_peer_takes_no_other_ahead_over_a_clean_end():
    """Its stamps are the reserve's; whoever answers the clock gets the clock's again."""
    router, gateway = Router(), Gateway()
    router.boot(NOW_S, True).connect(gateway)
    router.boot(NOW_S + 60, True)  # the power was cut
    assert router.connect(Gateway(b"z")) == 0
    for minutes in (10, 20):
        router.line = stamp.Line()
        assert router.connect(gateway) == 1
        router.down()
        assert router.boot(NOW_S + 60 * minutes, True).connect(gateway) == 1
        assert router.ahead_s() <= 0


def test_a_peer_that_answered_the_reserve_is_reached_at_once_after_a_clean_end():
    router, gateway = Router(), Gateway()
    router.boot(NOW_S, True).connect(gateway)
    router.boot(EPOCH_S, False).connect(gateway)
    assert router.boot(NOW_S + 60, True).connect(gateway) == 4
    router.down()
    assert router.boot(NOW_S + 120, True).connect(gateway) == 1


def test_a_file_of_0_1_0_is_a_reserve():
    router, gateway = Router(), Gateway()
    router.boot(NOW_S, True)
    mark = (NOW_S + 86400) * stamp.SECOND
    text = f"{PUBLIC.hex()} {mark}"
    router.port.files[PATH] = f"{text} {router.stamps._kept._check(text)}\n".encode()
    kept = dict(router.port.files)
    assert router.boot(NOW_S, True).connect(gateway) == 1
    assert router.ahead_s() <= 0 and not router.lines.errors
    router.port.files.update(kept)
    gateway.seen = stamp.tai64n(mark)
    assert router.boot(EPOCH_S, False).connect(gateway) == 1
    router.port.files.update(kept)
    gateway.seen = stamp.tai64n(mark)
    assert router.boot(NOW_S, True).connect(gateway) == 4


def test_a_lost_file_is_healed_by_one_leap_a_boot_and_each_is_logged():
    router, gateway = Router(), gateway_of_now()
    for _ in range(2):  # 90 days past the release: 30 days a boot
        assert router.boot(EPOCH_S, False).connect(gateway) == 0
        (line,) = router.lines.infos
        assert "leaps 720 h" in line
    assert router.boot(EPOCH_S, False).connect(gateway) == 4
    assert router.boot(EPOCH_S, False).connect(gateway) == 1


def test_a_daemon_that_is_started_again_and_again_leaps_once_a_boot():
    router, deaf = Router(), Gateway(stamp.tai64n(stamp.LEAPS_END))
    for boot in (b"11111111-a\n", b"22222222-b\n"):
        router.port.files["/proc/sys/kernel/random/boot_id"] = boot
        lines = []
        for _ in range(5):
            assert not router.boot(EPOCH_S, False).connect(deaf, tries=10)
            router.down()
            lines += router.lines.infos
        assert len([line for line in lines if "leaps" in line]) == 1, lines
    assert router.line.stamp < stamp.RELEASED + 2 * stamp.LEAP_UNPROVEN + stamp.DAY


def test_a_lost_file_is_healed_by_a_synchronised_clock_at_once():
    router, gateway = Router(), gateway_of_now()
    assert router.boot(NOW_S + 5, True).connect(gateway) == 1


def test_a_leap_is_of_the_clock_and_takes_each_peer_that_does_not_answer_along():
    router = Router().boot(EPOCH_S, False)
    gateways = [gateway_of_now(-61 * 86400), gateway_of_now(-61 * 86400)]
    assert router.connect(gateways[0]) == 4
    router.line = stamp.Line()
    assert router.connect(gateways[1]) == 1
    assert len(router.lines.infos) == 1


@pytest.mark.parametrize(
    "damage", [b"", b"\xff" * 80, b"x" * 4000, b"a b c", b"1 2 3 4", None, "flip"]
)
def test_a_corrupt_file_is_the_same_as_a_lost_one_and_is_logged(damage):
    router, gateway = Router(), Gateway()
    router.boot(NOW_S, True).connect(gateway)
    data = router.port.files[PATH]
    if damage is None:
        damage = data[: len(data) // 2]
    if damage == "flip":
        place = data.index(b" ") + 3
        damage = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
    router.port.files[PATH] = damage
    router.boot(EPOCH_S, False)
    assert "begun anew" in router.lines.errors[0]
    assert router.connect(gateway, tries=4) == 0
    assert router.boot(NOW_S + 5, True).connect(gateway) == 1
    assert router.boot(EPOCH_S, False).connect(gateway) == 1


def test_a_file_restored_from_an_old_backup_is_healed_by_leaps():
    router, gateway = Router(), Gateway()
    router.boot(NOW_S - 20 * 86400, True).connect(gateway)
    backup = router.port.files[PATH]
    router.boot(NOW_S, True).connect(gateway)
    router.port.files[PATH] = backup
    # an hour, and as that found no answer 30 days
    assert router.boot(EPOCH_S, False).connect(gateway) == 0
    assert "leaps 1 h" in router.lines.infos[0]
    assert router.boot(EPOCH_S, False).connect(gateway) == 4
    assert router.boot(EPOCH_S, False).connect(gateway) == 1


def test_a_file_copied_from_another_router_is_not_ours():
    router, other = Router(), Router(public=bytes(32))
    other.boot(4_070_908_800, True).connect(Gateway())
    router.port.files[PATH] = next(iter(other.port.files.values()))
    router.boot(NOW_S, True)
    assert "not a stamp file of our key" in router.lines.errors[0]
    gateway = Gateway()
    assert router.connect(gateway) == 1
    assert gateway.seen < stamp.tai64n((NOW_S + 60) * stamp.SECOND)


@pytest.mark.parametrize("errno", [28, 30, 13])
def test_a_disk_that_is_full_or_read_only_is_warned_of_and_retried(errno):
    router, gateway = Router(), Gateway()
    router.port.disk_error = errno
    assert router.boot(NOW_S, True).connect(gateway) == 1
    assert "cannot be written" in router.lines.errors[0]
    assert not router.port.files
    router.line.unanswered = 0
    assert router.connect(gateway) == 1
    assert len(router.lines.errors) == 1
    router.port.disk_error = 0
    router.port.clock.now_ms += stamp_file.RETRY_MS
    assert router.connect(gateway) == 1
    assert PATH in router.port.files


def test_without_a_folder_stamps_still_grow_and_a_warning_is_given():
    router, gateway = Router(folder=None), Gateway()
    router.boot(EPOCH_S, False)
    assert len(router.lines.errors) == 1
    assert all(router.connect(gateway) == 1 for _ in range(10))


def test_a_day_of_handshakes_with_200_peers_writes_the_flash_twice():
    router = Router()
    router.boot(NOW_S, True)
    lines = [stamp.Line() for _ in range(200)]
    for _ in range(720):
        for line in lines:
            router.stamps.next(line)
        router.port.clock.now_ms += 120_000
    assert router.port.writes <= 2


def test_a_day_of_attempts_every_5_seconds_without_a_clock_writes_the_flash_twice():
    router = Router()
    router.boot(EPOCH_S, False)
    lines = [stamp.Line() for _ in range(3)]
    for line in lines:
        line.unanswered = -1
    for _ in range(17_280):
        for line in lines:
            router.stamps.next(line)
    assert router.port.writes <= 2


def test_a_synchronised_clock_never_leaps():
    router = Router().boot(NOW_S, True)
    for count in range(60):
        router.line.unanswered = count
        router.stamps.next(router.line)
    assert not router.lines.infos


def test_leaps_end_after_three_years():
    router = Router()
    for _ in range(100):
        router.boot(EPOCH_S, False).connect(Gateway(b"z"))
    assert router.line.stamp < stamp.LEAPS_END + 100 * stamp.HOUR


def test_files_of_old_keys_do_not_pile_up_and_the_newest_stay():
    port = FakePort()
    port.files["/state/other"] = b"kept"
    for number in range(stamp_file.FILES_MOST + 20):
        router = Router(port, public=number.to_bytes(1, "big") * 32)
        router.boot(NOW_S + 60 * number, True).connect(Gateway())
    names = [path for path in port.files if "/stamp-" in path]
    assert len(names) == stamp_file.FILES_MOST
    kept = [number.to_bytes(1, "big").hex() * 8 for number in range(20, stamp_file.FILES_MOST + 20)]
    assert sorted(names) == ["/state/stamp-" + text for text in kept]
    assert port.files["/state/other"] == b"kept"


def test_a_new_key_ends_the_old_ones_file_cleanly():
    router = Router().boot(NOW_S, False)
    router.connect(Gateway())
    router.stamps.load(bytes(32))
    _, given, reserve, _, _ = router.port.files[PATH].decode().split()
    assert given == reserve == str(router.line.stamp)


def test_a_peer_removed_and_added_again_gets_greater_stamps():
    router = Router().boot(EPOCH_S, False)
    first = router.stamps.next(router.line)
    assert router.stamps.next(stamp.Line()) > first


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 4_200_000_000), st.booleans(), st.integers(1, 6), st.booleans()),
        min_size=1,
        max_size=12,
    )
)
@example([(stamp.RELEASED // stamp.SECOND, True, 1, False)] * 2)  # answered at the third
def test_whatever_the_clock_does_a_gateway_is_reached_at_the_fourth_attempt_at_the_latest(boots):
    router, gateway = Router(), Gateway()
    for wall_s, synchronised, handshakes, cleanly in boots:
        router.boot(wall_s, synchronised)
        attempt = router.connect(gateway)
        # A synchronised clock that was set back may pass what the gateway saw by itself.
        assert 1 <= attempt <= (4 if synchronised else 1)
        for _ in range(handshakes):
            assert router.connect(gateway) == 1
            router.port.clock.now_ms += 120_000
        if cleanly:
            router.down()


def test_the_default_clock_of_the_fake_counts_from_its_start():
    clock = Clock(now_ms=5000, wall_s=100)
    assert clock.wall_ns() == (100 * stamp.SECOND, True)


def test_a_line_counts_what_left_until_one_was_answered_and_begins_anew_with_another_key():
    line = stamp.Line()
    line.given(7)
    line.left()
    line.left()
    assert (line.stamp, line.unanswered) == (7, 2)
    line.answered()
    line.left()
    assert (line.stamp, line.unanswered) == (7, -1)
    line.begin_anew()
    assert (line.stamp, line.unanswered) == (0, 0)
