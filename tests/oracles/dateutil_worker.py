"""Answers one question a line by python-dateutil: `start rule from to`, see ical-rs/src/main.rs."""

import re
import signal
import sys
from datetime import datetime

from dateutil.rrule import rrulestr

FORM = "%Y%m%dT%H%M%S"


def answer(line):
    start, rule, begin, end = line.split(" ")
    start, begin, end = (datetime.strptime(text, FORM) for text in (start, begin, end))
    found = []
    # A start without a zone wants an UNTIL without one.
    for time in rrulestr(re.sub(r"(UNTIL=\w+)Z", r"\1", rule), dtstart=start):
        if time >= end:
            break
        if time >= begin:
            found.append(time.strftime(FORM))
    return " ".join(found)


def expire(*_):
    raise TimeoutError("no answer in time")


signal.signal(signal.SIGALRM, expire)
for line in sys.stdin:
    signal.setitimer(signal.ITIMER_REAL, 0.4)
    try:
        text = answer(line.rstrip("\n"))
    except Exception as error:  # The answer of a library that refuses the rule.
        text = "!" + str(error).replace("\n", " ")
    signal.setitimer(signal.ITIMER_REAL, 0)
    print(text, flush=True)
