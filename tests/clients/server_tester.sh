#!/usr/bin/env bash
# caldav-server-tester: prints what it finds supported, and what it does not.
. "$(dirname "$0")/lib.sh"
mkdir -p "$HOME/.config/caldav"
section() { printf '"%s": {"caldav_url": "%s", "caldav_username": "%s", "caldav_password": "%s"}' "$1" "$URL" "$2" "$PASSWORD"; }
printf '{%s, %s}\n' "$(section default "$USER_NAME")" "$(section second "${USER_NAME}2")" >"$HOME/.config/caldav/calendar.conf"
timeout 600 caldav-server-tester --config-section default --config-section second --format json >"$WORK/found.json" 2>"$WORK/log" || { tail -20 "$WORK/log"; cat "$WORK/found.json" | tail -20; exit 1; }
python3 - "$WORK/found.json" <<'END'
import json, sys
text = open(sys.argv[1]).read()
found = json.loads(text[text.index("{"):])
features = found.get("features", found)
rows = {}
for name, value in sorted(features.items()):
    level = value.get("support", "full") if isinstance(value, dict) else str(value)
    rows.setdefault(level, []).append(name)
for level, names in sorted(rows.items()):
    if level != "full":
        for name in names:
            print(f"{level:12} {name}")
print("caldav-server-tester:", ", ".join(f"{len(n)} {level}" for level, n in sorted(rows.items())))
END
