# SPDX-License-Identifier: MIT
"""The system's log: one datagram to /dev/log a line, as syslog(3) sends them (RFC 3164).

The stamp and the newline are no ornaments. logd of OpenWrt cuts 16 bytes off every line that has a
blank where a stamp ends, and takes lines that it reads together apart by their newlines.
"""

from tunlite.system import port

_PATH = "/dev/log"
_DAEMON = 3 << 3
_SEVERITIES = (3, 6, 6, 7)  # of log.ERROR, INFO, EVENTS and DEBUG
_MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec"
_LINE_MAX = 1000  # RFC 3164: 1024 with everything
_DAY = 86400


def _month_and_day(days):
    """Of days since 1970, by the Gregorian calendar; a year begins in March here, so that a leap
    day ends it, and an era of 400 years on 1 March 2000."""
    of_era = (days - 11017) % 146097
    year = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    return (month + 2) % 12, of_year - (153 * month + 2) // 5 + 1


def stamp(seconds):
    """ "Nov  7 09:05:00" of seconds since 1970."""
    month, day = _month_and_day(seconds // _DAY)
    time = seconds % _DAY
    name = _MONTHS[3 * month : 3 * month + 3]
    return f"{name} {day:2d} {time // 3600:02d}:{time // 60 % 60:02d}:{time % 60:02d}"


def write(level, text):
    """One line of one of log.py's levels; nothing where no system log takes it."""
    priority = _DAEMON | _SEVERITIES[level]
    line = f"<{priority}>{stamp(port.local_seconds())} tunlite[{port.getpid()}]: {text}".encode()
    try:
        port.unix_send(_PATH, line[:_LINE_MAX] + b"\n")
    except OSError:
        pass  # it is not there, or so full that we would have to wait
