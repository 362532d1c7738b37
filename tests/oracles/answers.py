"""Writes testdata/recur/oracles.txt: generated rules and windows with the answers of three libraries.

    python3 answers.py RECURRENCE_ORACLE [COUNT [SEED]] > ../../testdata/recur/oracles.txt

RECURRENCE_ORACLE is the program built in ical-rs. python-dateutil and libical 3 are taken from the
system. The same seed makes the same questions. A line is

    start rule from to answer

where the answer is the number of instances and a hash of them when all three agree; else it is what
each says: `d` python-dateutil, `l` libical, `i` ical-rs; `-` is a refusal or no answer in time.
"""

import random
import select
import subprocess
import sys
from datetime import datetime, timedelta

FORM = "%Y%m%dT%H%M%S"
DAYS = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]
SECONDS = 5
# Days from the start to a far window, and the length of a window in days, by frequency.
REACH = {
    "SECONDLY": (0.3, 0.002), "MINUTELY": (7, 0.1), "HOURLY": (200, 3), "DAILY": (5000, 40),
    "WEEKLY": (12000, 150), "MONTHLY": (15000, 700), "YEARLY": (18000, 2500),
}


def some(rng, values, most):
    return sorted(rng.sample(values, rng.randint(1, most)))


def signed(rng, highest, most):
    values = [n for n in range(-highest, highest + 1) if n != 0]
    return some(rng, values, most)


def by_day(rng, highest):
    days = some(rng, DAYS, 4)
    if highest == 0:
        return days
    ordinals = [n for n in range(-highest, highest + 1)]
    return [f"{n or ''}{day}" for day in days for n in [rng.choice(ordinals)]]


def day_parts(rng, freq):
    parts = {}
    if rng.random() < 0.3:
        parts["BYMONTH"] = some(rng, list(range(1, 13)), 4)
    if freq == "WEEKLY":
        if rng.random() < 0.6:
            parts["BYDAY"] = by_day(rng, 0)
        return parts
    roll = rng.random()
    if freq == "YEARLY" and roll < 0.15:
        parts["BYWEEKNO"] = signed(rng, 53, 3)
        if rng.random() < 0.8:
            parts["BYDAY"] = by_day(rng, 0)
    elif freq not in ("DAILY", "MONTHLY") and roll < 0.3:
        parts["BYYEARDAY"] = signed(rng, 366, 5)
    elif roll < 0.55:
        parts["BYMONTHDAY"] = signed(rng, 31, 4)
    if "BYDAY" not in parts and "BYWEEKNO" not in parts and rng.random() < 0.4:
        if freq == "MONTHLY":
            highest = rng.choice([0, 5])
        elif freq == "YEARLY":
            highest = rng.choice([0, 5 if "BYMONTH" in parts else 53])
        else:
            highest = 0
        parts["BYDAY"] = by_day(rng, highest)
    return parts


def time_parts(rng, freq):
    often = {"SECONDLY": 0.4, "MINUTELY": 0.35, "HOURLY": 0.3}.get(freq, 0.12)
    parts = {}
    for name, highest, most in [("BYHOUR", 23, 3), ("BYMINUTE", 59, 3), ("BYSECOND", 59, 2)]:
        if rng.random() < often:
            parts[name] = some(rng, list(range(highest + 1)), most)
    return parts


def question(rng):
    freq = rng.choices(list(REACH), [4, 6, 8, 18, 20, 24, 20])[0]
    parts = {**day_parts(rng, freq), **time_parts(rng, freq)}
    if parts and rng.random() < 0.25:
        parts["BYSETPOS"] = signed(rng, rng.choice([2, 5, 20]), 2)
    rule = f"FREQ={freq}"
    interval = 1 if rng.random() < 0.5 else rng.choice([2, 2, 2, 3, 3, 4, 5, 6, 7, 10, 13, 26, 45])
    if interval > 1:
        rule += f";INTERVAL={interval}"
    for name, values in parts.items():
        rule += f";{name}=" + ",".join(str(value) for value in values)
    if rng.random() < 0.3:
        rule += ";WKST=" + rng.choice(DAYS)
    start = datetime(1975, 1, 1) + timedelta(seconds=rng.randrange(55 * 365 * 86400))
    if rng.random() < 0.7:
        start = start.replace(minute=0, second=0)
    return freq, rule, start


def first_hit(oracle, rule, start):
    """The first instance of the rule: a start that the rule hits has a defined series."""
    oracle.send(f"{start.strftime(FORM)} {rule} {start.strftime(FORM)} first")
    text = oracle.line()
    return datetime.strptime(text, FORM) if text and not text.startswith("!") else None


def bounded(rng, rule, start, reach):
    roll = rng.random()
    if roll < 0.2:
        return rule + f";COUNT={rng.choice([1, 2, 3, 7, 10, 25, 60, 200])}"
    if roll < 0.35:
        until = start + timedelta(days=rng.random() * reach)
        return rule + ";UNTIL=" + until.strftime(FORM) + "Z"
    return rule


def questions(oracle, seed, count):
    rng = random.Random(seed)
    for _ in range(count):
        hit = None
        for _ in range(5):  # Rules that never fire are slow to ask about; some are enough.
            freq, rule, start = question(rng)
            hit = first_hit(oracle, rule, start)
            if hit is not None:
                break
        reach, length = REACH[freq]
        rule = bounded(rng, rule, hit or start, reach)
        begin = hit or start + timedelta(seconds=1)
        if rng.random() < 0.5:
            begin += timedelta(seconds=int(rng.random() * reach * 86400))
        end = begin + timedelta(seconds=int(max(1, length * 86400 * rng.choice([0.2, 1, 2]))))
        times = (hit or start, begin, end)
        start, begin, end = (time.strftime(FORM) for time in times)
        yield f"{start} {rule} {begin} {end}"


class Worker:
    def __init__(self, command):
        self.command = command
        self.start()

    def start(self):
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            self.command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, bufsize=0
        )
        self.send("20260101T000000 FREQ=DAILY 20260101T000000 20260101T000001")
        self.process.stdout.readline()

    def send(self, line):
        self.process.stdin.write(line.encode() + b"\n")

    def line(self):
        text = b""
        while not text.endswith(b"\n"):
            ready, _, _ = select.select([self.process.stdout], [], [], SECONDS)
            chunk = self.process.stdout.read(65536) if ready else b""
            if not chunk:
                self.process.kill()
                self.process.wait()
                self.start()
                return "!no answer in time"
            text += chunk
        return text.decode().strip()

    def answer(self):
        text = self.line()
        return "-" if text.startswith("!") else digest(text)


def digest(text):
    """The number of the times and the 32-bit FNV-1a hash of their text."""
    value = 0x811C9DC5
    for byte in text.encode():
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return f"{len(text.split())}:{value:x}"


def main():
    oracle = sys.argv[1]
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 20_500
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 5545
    workers = {
        "d": Worker([sys.executable, "dateutil_worker.py"]),
        "l": Worker([sys.executable, "libical_worker.py"]),
        "i": Worker([oracle]),
    }
    print(f"# {count} questions of seed {seed}: start, rule, from, to, answer; see tests/oracles/answers.py.")
    for line in questions(workers["i"], seed, count):
        for worker in workers.values():
            worker.send(line)
        answers = {name: worker.answer() for name, worker in workers.items()}
        if len(set(answers.values())) == 1 and answers["d"] != "-":
            said = answers["d"]
        else:
            said = " ".join(f"{name}={answer}" for name, answer in answers.items())
        print(line, said, flush=True)
    for worker in workers.values():
        worker.process.kill()


main()
