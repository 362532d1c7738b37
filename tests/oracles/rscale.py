"""Writes testdata/recur/rscale.txt: rules of several calendars with the answers of libical 3.

    python3 rscale.py [COUNT [SEED]] > ../../testdata/recur/rscale.txt

libical must be built with ICU. A line is `start rule from to` and the instances.
"""

import random
import subprocess
import sys
from datetime import datetime, timedelta

FORM = "%Y%m%dT%H%M%S"
MONTHS = {"GREGORIAN": 12, "CHINESE": 12, "HEBREW": 12, "ETHIOPIC": 13, "ISLAMIC-CIVIL": 12}


def question(rng):
    scale = rng.choice(list(MONTHS))
    freq = rng.choice(["YEARLY", "YEARLY", "MONTHLY"])
    rule = f"RSCALE={scale};FREQ={freq}"
    if rng.random() < 0.4:
        rule += f";INTERVAL={rng.randint(2, 7)}"
    parts = []
    if freq == "YEARLY" and rng.random() < 0.6:
        months = [str(n) for n in range(1, MONTHS[scale] + 1)]
        if scale == "HEBREW":
            months += ["5L", "5L"]
        if scale == "CHINESE":
            months += ["4L", "6L"]
        parts.append("BYMONTH=" + ",".join(rng.sample(months, rng.randint(1, 2))))
    if parts or freq == "MONTHLY":
        if rng.random() < 0.5:
            days = rng.sample([1, 2, 10, 15, 28, 29, 30], rng.randint(1, 2))
            parts.append("BYMONTHDAY=" + ",".join(str(day) for day in days))
    rng.shuffle(parts)
    skip = rng.choice(["", ";SKIP=FORWARD", ";SKIP=BACKWARD", ";SKIP=OMIT"])
    rule += "".join(";" + part for part in parts) + skip
    start = datetime(1990, 1, 1) + timedelta(days=rng.randrange(40 * 365))
    return rule, start


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    rng = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 7529)
    worker = subprocess.Popen(
        [sys.executable, "libical_worker.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    )

    def ask(line):
        worker.stdin.write(line.encode() + b"\n")
        return worker.stdout.readline().decode().strip()

    print(f"# {count} questions of seed {sys.argv[2:] or 7529} to libical 3; see tests/oracles/rscale.py.")
    while count:
        rule, start = question(rng)
        end = start + timedelta(days=12 * 365)
        begin, last = start.strftime(FORM), end.strftime(FORM)
        hits = ask(f"{begin} {rule} {begin} {last}")
        if not hits or hits.startswith("!"):
            continue
        # The first instance of the rule is the start of a series that is defined.
        begin = hits.split(" ")[0]
        times = ask(f"{begin} {rule} {begin} {last}")
        if times.startswith("!"):
            continue
        days = " ".join(time[:8] for time in times.split(" "))
        print(f"{begin[:8]} {rule} {last[:8]} {days}")
        count -= 1
    worker.kill()


main()
