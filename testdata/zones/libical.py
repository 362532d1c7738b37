#!/usr/bin/env python3
"""Asks libical (Debian's libical3) for the UTC offsets of each NAME.ics in this directory, a
VTIMEZONE that we wrote, and stores its answers in NAME.txt: local time, seconds east of UTC.
Hours from 4 on only: at night some do not exist or exist twice, and there RFC 5545 section 3.3.5
decides, which libical does not follow.

    python3 testdata/zones/libical.py
"""

import ctypes
import datetime
import pathlib


class Time(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_int)
        for name in "year month day hour minute second is_date is_daylight".split()
    ] + [("zone", ctypes.c_void_p)]


lib = ctypes.CDLL("libical.so.3")
lib.icalparser_parse_string.restype = ctypes.c_void_p
lib.icalparser_parse_string.argtypes = [ctypes.c_char_p]
lib.icalcomponent_count_errors.argtypes = [ctypes.c_void_p]
lib.icaltimezone_new.restype = ctypes.c_void_p
lib.icaltimezone_set_component.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
lib.icaltimezone_get_utc_offset.argtypes = [
    ctypes.c_void_p,
    ctypes.POINTER(Time),
    ctypes.POINTER(ctypes.c_int),
]

for path in sorted(pathlib.Path(__file__).parent.glob("*.ics")):
    component = lib.icalparser_parse_string(path.read_bytes())
    zone = lib.icaltimezone_new()
    errors = not component or lib.icalcomponent_count_errors(component)
    if errors or not lib.icaltimezone_set_component(zone, component):
        raise SystemExit(f"libical refuses {path}")
    lines = []
    for step in range(650):
        day = datetime.datetime(2020, 1, 2, 4, 17, 5) + datetime.timedelta(days=9 * step)
        at = day + datetime.timedelta(hours=step * 7 % 20)
        time = Time(at.year, at.month, at.day, at.hour, at.minute, at.second, 0, 0, None)
        daylight = ctypes.c_int(0)
        offset = lib.icaltimezone_get_utc_offset(zone, ctypes.byref(time), ctypes.byref(daylight))
        lines.append(f"{at:%Y%m%dT%H%M%S} {offset}\n")
    path.with_suffix(".txt").write_text("".join(lines))
