# What the scripts in this folder share. Each is called as SCRIPT URL USER PASSWORD, with the client's programs in PATH.
set -u
URL=$1 USER_NAME=$2 PASSWORD=$3
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
PASSED=0 FAILED=0
export HOME=$WORK LC_ALL=C.UTF-8 TZ=UTC
export XDG_CONFIG_HOME=$WORK/config XDG_DATA_HOME=$WORK/share XDG_CACHE_HOME=$WORK/cache
mkdir -p "$XDG_CONFIG_HOME" "$XDG_DATA_HOME" "$XDG_CACHE_HOME"

# step CLAIM COMMAND...: runs the command and prints a row of the table.
step() {
    local claim=$1
    shift
    if "$@" >"$WORK/step.log" 2>&1; then
        printf 'ok    %s\n' "$claim"
        PASSED=$((PASSED + 1))
    else
        printf 'FAIL  %s\n' "$claim"
        sed 's/^/      | /' "$WORK/step.log" | tail -40
        FAILED=$((FAILED + 1))
    fi
}

# done_with NAME: the last line of the table, and the exit code.
done_with() {
    printf '%s: %d passed, %d failed\n' "$1" "$PASSED" "$FAILED"
    [ "$FAILED" -eq 0 ]
}

# The calendar home as a URL, found as clients find it.
home_url() { python3 "$HERE/home.py" "$URL" "$USER_NAME" "$PASSWORD"; }

# dav METHOD URL [curl arguments]: fails on 4xx and 5xx.
dav() {
    local method=$1 url=$2
    shift 2
    curl -sS --fail-with-body -u "$USER_NAME:$PASSWORD" -X "$method" "$@" "$url"
}

# event UID SUMMARY START [more lines]
event() {
    printf 'BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Clients//EN\r\nBEGIN:VEVENT\r\nUID:%s\r\nDTSTAMP:20300101T000000Z\r\nDTSTART:%s\r\nDURATION:PT1H\r\nSUMMARY:%s\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n' "$1" "$3" "$2"
}

# todo UID SUMMARY DUE
todo() {
    printf 'BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Clients//EN\r\nBEGIN:VTODO\r\nUID:%s\r\nDTSTAMP:20300101T000000Z\r\nDUE:%s\r\nSUMMARY:%s\r\nSTATUS:NEEDS-ACTION\r\nEND:VTODO\r\nEND:VCALENDAR\r\n' "$1" "$3" "$2"
}

# put URL FILE
put() { dav PUT "$1" -H 'Content-Type: text/calendar; charset=utf-8' --data-binary "@$2"; }

# mkcalendar URL COMPONENT
mkcalendar() {
    dav MKCALENDAR "$1" -H 'Content-Type: application/xml' --data "<C:mkcalendar xmlns:D='DAV:' xmlns:C='urn:ietf:params:xml:ns:caldav'><D:set><D:prop><D:displayname>$2 list</D:displayname><C:supported-calendar-component-set><C:comp name='$2'/></C:supported-calendar-component-set></D:prop></D:set></C:mkcalendar>"
}
