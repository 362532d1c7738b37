#!/usr/bin/env bash
# vdirsyncer discovers, syncs both ways and repeats without a change; khal and todoman read what curl wrote.
. "$(dirname "$0")/lib.sh"
HOME_URL=$(home_url) || exit 1
LOCAL=$WORK/local
mkdir -p "$LOCAL"
cat >"$WORK/vds.conf" <<END
[general]
status_path = "$WORK/status"
[pair cal]
a = "local"
b = "remote"
collections = ["from a", "from b"]
metadata = ["displayname", "color"]
[storage local]
type = "filesystem"
path = "$LOCAL"
fileext = ".ics"
[storage remote]
type = "caldav"
url = "$URL"
username = "$USER_NAME"
password = "$PASSWORD"
END
vds() { vdirsyncer -v INFO -c "$WORK/vds.conf" "$@"; }
discover() { yes | vds discover; }
sync() { vds sync >"$WORK/sync.log" 2>&1 || { cat "$WORK/sync.log"; return 1; }; cat "$WORK/sync.log"; }
quiet_sync() { sync && ! grep -E 'Copying|Deleting|conflict' "$WORK/sync.log"; }
remote_has() { dav GET "$HOME_URL$1" | grep -q "$2"; }
remote_lacks() { [ "$(curl -s -o /dev/null -w '%{http_code}' -u "$USER_NAME:$PASSWORD" "$HOME_URL$1")" = 404 ]; }
file_with() { grep -lrs "$1" "$LOCAL/vds" | head -1; }
local_has() { [ -n "$(file_with "$1")" ]; }

event vds-1@clients 'Written by curl' 20300105T100000Z >"$WORK/one.ics"
todo vds-t@clients 'Task by curl' 20300106T100000Z >"$WORK/todo.ics"
step 'curl makes a calendar' mkcalendar "${HOME_URL}vds/" VEVENT
step 'curl makes a list of tasks' mkcalendar "${HOME_URL}vdstasks/" VTODO
step 'curl writes an event' put "${HOME_URL}vds/one.ics" "$WORK/one.ics"
step 'curl writes a task' put "${HOME_URL}vdstasks/todo.ics" "$WORK/todo.ics"
step 'discover finds the calendars' discover
step 'the first sync succeeds' sync
step 'the event is here' local_has 'Written by curl'
step 'the name of the calendar is synced' vds metasync
step 'a second sync changes nothing' quiet_sync

event vds-2@clients 'Written here' 20300107T100000Z >"$LOCAL/vds/two.ics"
step 'a local event is uploaded' sync
step 'the uploaded event is there' bash -c "ls '$LOCAL/vds/two.ics'"
uploaded() { curl -s -u "$USER_NAME:$PASSWORD" -X PROPFIND -H 'Depth: 1' "${HOME_URL}vds/" | grep -o '<[^>]*href>[^<]*</' | grep -c 'ics'; }
two() { [ "$(uploaded)" = 2 ]; }
step 'the calendar has two objects' two
step 'a sync after the upload changes nothing' quiet_sync

event vds-1@clients 'Changed by curl' 20300105T120000Z >"$WORK/one.ics"
step 'curl changes its event' put "${HOME_URL}vds/one.ics" "$WORK/one.ics"
step 'the change comes down' sync
step 'the changed event is here' local_has 'Changed by curl'
change_here() { sed -i 's/Changed by curl/Changed here/' "$(file_with 'Changed by curl')"; }
step 'the event is changed here' change_here
step 'the change goes up' sync
step 'the changed event is there' remote_has vds/one.ics 'Changed here'
step 'a sync after both changes nothing' quiet_sync

step 'curl deletes its event' dav DELETE "${HOME_URL}vds/one.ics"
step 'the deletion comes down' sync
gone_here() { ! local_has 'Changed here'; }
step 'the event is gone here' gone_here
rm -f "$LOCAL/vds/two.ics"
step 'a local deletion goes up' vds sync --force-delete
none() { [ "$(uploaded)" = 0 ]; }
step 'the calendar is empty' none
step 'a last sync changes nothing' quiet_sync

mkdir -p "$LOCAL/vdsnew"
event vds-3@clients 'In a new folder' 20300108T100000Z >"$LOCAL/vdsnew/three.ics"
step 'a local folder becomes a calendar' discover
step 'its event is uploaded' sync
step 'the new calendar is there' dav PROPFIND "${HOME_URL}vdsnew/" -H 'Depth: 0'

event khal-1@clients 'Seen by khal' 20300110T100000Z >"$WORK/khal.ics"
step 'curl writes an event for khal' put "${HOME_URL}vds/khal.ics" "$WORK/khal.ics"
step 'sync for khal' sync
mkdir -p "$XDG_CONFIG_HOME/khal" "$XDG_CONFIG_HOME/todoman"
cat >"$XDG_CONFIG_HOME/khal/config" <<END
[calendars]
[[vds]]
path = $LOCAL/vds
[locale]
timeformat = %H:%M
dateformat = %Y-%m-%d
longdateformat = %Y-%m-%d
datetimeformat = %Y-%m-%d %H:%M
longdatetimeformat = %Y-%m-%d %H:%M
local_timezone = UTC
default_timezone = UTC
END
khal_lists() { khal list 2030-01-10 2030-01-11 | grep -q "$1"; }
step 'khal lists the event' khal_lists 'Seen by khal'
step 'khal makes an event' khal new -a vds 2030-01-10 14:00 15:00 'Made by khal'
step 'the event of khal goes up' sync
khal_there() { dav REPORT "${HOME_URL}vds/" -H 'Depth: 1' -H 'Content-Type: application/xml' --data '<C:calendar-query xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><D:prop><C:calendar-data/></D:prop><C:filter><C:comp-filter name="VCALENDAR"><C:comp-filter name="VEVENT"><C:time-range start="20300110T130000Z" end="20300110T160000Z"/></C:comp-filter></C:comp-filter></C:filter></C:calendar-query>' | grep -q 'Made by khal'; }
step 'the event of khal is found by time' khal_there
cat >"$XDG_CONFIG_HOME/todoman/config.py" <<END
path = "$LOCAL/*"
date_format = "%Y-%m-%d"
time_format = "%H:%M"
default_list = "VTODO list"
END
todo_lists() { todo_command list | grep -q "$1"; }
todo_command() { "$(type -P todo)" "$@"; }
step 'todoman lists the task' todo_lists 'Task by curl'
step 'todoman makes a task' todo_command new -l 'VTODO list' 'Made by todoman'
step 'the task of todoman goes up' sync
task_there() { dav GET "${HOME_URL}vdstasks/todo.ics" | grep -q 'Task by curl' && [ "$(curl -s -u "$USER_NAME:$PASSWORD" -X PROPFIND -H 'Depth: 1' "${HOME_URL}vdstasks/" | grep -o '<[^>]*href>[^<]*</' | grep -c ics)" = 2 ]; }
step 'both tasks are there' task_there
finish() { todo_command done 1; }
step 'todoman completes a task' finish
step 'the completion goes up' sync
step 'a sync after all changes nothing' quiet_sync
done_with vdirsyncer
