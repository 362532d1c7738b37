"""Prints the failures of a JSON report as known differences for a target file, to be read before they are believed.

Called as: differs.py report.json
"""

import json
import sys


def quoted(text):
    return json.dumps(text, ensure_ascii=False)


def short(text, limit=160):
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 3] + "..."


for case in json.load(open(sys.argv[1]))["cases"]:
    if case["outcome"] != "failed":
        continue
    where = ", ".join(case["spec"]) or "client " + ", ".join(case["clients"])
    detail = case["detail"].split(": ", 1)[1] if ": " in case["detail"] else case["detail"]
    print("[[differs]]")
    print(f"cases  = [{quoted(case['file'] + ': ' + case['title'])}]")
    print(f"reason = {quoted(where + ': ' + short(detail))}")
    print()
