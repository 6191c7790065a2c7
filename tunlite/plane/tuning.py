# SPDX-License-Identifier: MIT
"""The plane's options from the configuration, and what "auto" means for this machine."""

from tunlite.plane import features, plane as planes

_SMALL_KB = 300_000  # a machine with less memory than this is a router

# pool_bytes, replay_bits, handshake ring, handshakes a second of one address under load
_SMALL = (768 << 10, 2048, 128, 20)
_LARGE = (4 << 20, 8192, 2048, 100)
# Of layer 2: addresses in all and of one peer, frames that may wait for their other parts
_SMALL_FRAMES = (1024, 256, 16)
_LARGE_FRAMES = (8192, 1024, 256)


def is_small(port):
    """Is this a router? Unknown counts as one."""
    try:
        for line in bytes(port.read_file("/proc/meminfo")).split(b"\n"):
            if line.startswith(b"MemTotal:"):
                return int(line.split()[1]) < _SMALL_KB
    except (OSError, ValueError):
        pass
    return True


class Tuning:
    """What a daemon begins with, of a settings.Settings. `small`: is_small(), asked once."""

    def __init__(self, port, settings, small):
        # How many packets the device may hold for us, 0: as many as the kernel thinks, 500. A run
        # of TCP that is forwarded can make each of them 64 KB, so a router of 64 MB cannot have as
        # many.
        self.device_queue = 128 if small else 0
        self.offloads_off = features.bits(port.native, settings["Offloads"])
        self._engine = settings["Engine"]
        # How many threads turn packets: auto is one (docs/performance.md, "Workers").
        self._workers = settings["Workers"] or 1
        pool, replay_bits, ring, per_second = _SMALL if small else _LARGE
        self.record = planes.options(
            engine=self._engine,
            aead=settings["AEAD"],
            offloads_off=self.offloads_off,
            layer=settings["Layer"],
            mtu=settings.first_mtu(),
            pool_bytes=settings["Memory"] or pool * self._workers,
            batch=settings["Batch"],
            replay_bits=replay_bits,
            staged_per_peer=128,
            ring=ring,
            handshakes_per_second=per_second,
            workers=self._workers,
            ring_slots=settings["RingSlots"] or (0, 0),
            layer2=(int(settings["ForwardPeers"]),) + (_SMALL_FRAMES if small else _LARGE_FRAMES),
            vxlan=settings.vxlan(),
        )

    def refusals(self, table):
        """What to say of what was asked for and is not used; `table`: features.rows()."""
        both = (
            features.refusal(table, self._engine),
            features.workers_refusal(table, self._workers),
        )
        return [text for text in both if text]
