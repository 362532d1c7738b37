#!/usr/bin/env bash
# calcurse-caldav: init by keep-remote, two-way sync, deletion on each side.
. "$(dirname "$0")/lib.sh"
HOME_URL=$(home_url) || exit 1
mkcalendar "${HOME_URL}calcurse/" VEVENT >/dev/null
DATA=$WORK/data CONF=$WORK/conf
mkdir -p "$DATA/caldav" "$CONF"
python3 - "$HOME_URL" "$USER_NAME" "$PASSWORD" "$CONF/config" <<'END'
import sys, urllib.parse
home, user, password, to = sys.argv[1:5]
parts = urllib.parse.urlsplit(home)
open(to, "w").write(f"""[General]
Hostname = {parts.netloc}
Path = {parts.path}calcurse/
AuthMethod = basic
InsecureSSL = Yes
HTTPS = No
DryRun = No
Verbose = Yes
[Auth]
Username = {user}
Password = {password}
""")
END
# Some versions take the option HTTPS from [General], others only speak TLS: their script is run with http instead.
SCRIPT=$(command -v calcurse-caldav)
cc() { python3 "$SCRIPT" --config "$CONF/config" --datadir "$DATA" --syncdb "$DATA/caldav/sync.db" --lockfile "$DATA/caldav/lock" --hookdir "$DATA/caldav/hooks" "$@"; }
apts() { calcurse -D "$DATA" -C "$CONF" -Q --filter-type cal --from 01/01/2030 --days 60 --format-apt '%m\n' --format-recur-apt '%m\n'; }
has() { apts >"$WORK/apts.log" && grep -qx "$1" "$WORK/apts.log"; }
lacks() { apts >"$WORK/apts.log" && ! grep -qx "$1" "$WORK/apts.log"; }
all_there() { dav REPORT "${HOME_URL}calcurse/" -H 'Depth: 1' -H 'Content-Type: application/xml' --data '<C:calendar-query xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><D:prop><C:calendar-data/></D:prop><C:filter><C:comp-filter name="VCALENDAR"/></C:filter></C:calendar-query>' >"$WORK/there.xml"; }
there() { all_there && grep -q "$1" "$WORK/there.xml"; }
not_there() { all_there && ! grep -q "$1" "$WORK/there.xml"; }

event cc-1@clients Remote-event 20300105T100000Z >"$WORK/one.ics"
step 'curl writes an event' put "${HOME_URL}calcurse/one.ics" "$WORK/one.ics"
step 'init keep-remote' cc --init keep-remote
step 'the event is in calcurse' has Remote-event
add_here() { printf '01/10/2030 @ 10:00 -> 01/10/2030 @ 11:00 |Local-event\n' >>"$DATA/apts"; }
step 'an event is added in calcurse' add_here
step 'sync goes up' cc
step 'the event of calcurse is on the server' there Local-event
event cc-2@clients Second-remote 20300106T100000Z >"$WORK/two.ics"
step 'curl writes another event' put "${HOME_URL}calcurse/two.ics" "$WORK/two.ics"
step 'sync comes down' cc
step 'the other event is in calcurse' has Second-remote
quiet() { cc >"$WORK/cc.log" 2>&1 || { cat "$WORK/cc.log"; return 1; }; cat "$WORK/cc.log"; ! grep -qE 'Importing|Pushing|Removing|Deleting' "$WORK/cc.log"; }
step 'a further sync changes nothing' quiet
delete_here() { sed -i '/Local-event/d' "$DATA/apts"; }
step 'an event is deleted in calcurse' delete_here
step 'the deletion goes up' cc
step 'it is gone on the server' not_there Local-event
step 'curl deletes an event' dav DELETE "${HOME_URL}calcurse/one.ics"
step 'the deletion comes down' cc
step 'it is gone in calcurse' lacks Remote-event
edit() { sed -i 's/Second-remote/Edited-here/' "$DATA/apts"; }
step 'an event is edited in calcurse' edit
step 'the edit goes up' cc
step 'the edited event is on the server' there Edited-here
step 'the event before the edit is gone' not_there Second-remote
done_with calcurse-caldav
