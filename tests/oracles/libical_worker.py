"""Answers one question a line by libical 3: `start rule from to`, see ical-rs/src/main.rs."""

import calendar
import ctypes
import os
import select
import signal
import sys
from datetime import datetime, timezone

FORM = "%Y%m%dT%H%M%S"
LIBRARY = ctypes.CDLL("libical.so.3")
LIBRARY.icalerror_set_errors_are_fatal(0)
EXPAND = LIBRARY.icalrecur_expand_recurrence
EXPAND.argtypes = [ctypes.c_char_p, ctypes.c_int64, ctypes.c_int, ctypes.POINTER(ctypes.c_int64)]


def seconds(text):
    return calendar.timegm(datetime.strptime(text, FORM).timetuple())


def answer(line):
    start, rule, begin, end = line.split(" ")
    start, begin, end = seconds(start), seconds(begin), seconds(end)
    count = 256
    while True:
        times = (ctypes.c_int64 * count)()
        if not EXPAND(rule.encode(), start, count, times):
            return "!refused"
        if times[count - 1] == 0 or times[count - 1] >= end:
            break
        count *= 4
    found = [time for time in times if time != 0 and begin <= time < end]
    return " ".join(datetime.fromtimestamp(time, timezone.utc).strftime(FORM) for time in found)


def in_time(line, seconds):
    """The answer of a child: libical knows no end to some rules."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        with os.fdopen(writing, "w") as pipe:
            pipe.write(answer(line) + "\n")
        os._exit(0)
    os.close(writing)
    text = b""
    while not text.endswith(b"\n"):
        ready, _, _ = select.select([reading], [], [], seconds)
        chunk = os.read(reading, 65536) if ready else b""
        if not chunk:
            text = b"!no answer in time\n"
            os.kill(child, signal.SIGKILL)
        text += chunk
    os.close(reading)
    os.waitpid(child, 0)
    return text.decode().strip()


for line in sys.stdin:
    print(in_time(line.rstrip("\n"), 0.4), flush=True)
