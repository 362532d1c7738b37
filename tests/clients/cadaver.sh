#!/usr/bin/env bash
# cadaver: ls, get, put, copy, move, delete, propset and propget on calendars.
. "$(dirname "$0")/lib.sh"
HOME_URL=$(home_url) || exit 1
HOST=$(python3 -c 'import sys,urllib.parse;print(urllib.parse.urlsplit(sys.argv[1]).hostname)' "$URL")
printf 'machine %s\nlogin %s\npassword %s\n' "$HOST" "$USER_NAME" "$PASSWORD" >"$WORK/.netrc"
chmod 600 "$WORK/.netrc"
mkcalendar "${HOME_URL}cad-a/" VEVENT >/dev/null
mkcalendar "${HOME_URL}cad-b/" VEVENT >/dev/null
event cad-1@clients 'By cadaver' 20300105T100000Z >"$WORK/one.ics"
event cad-2@clients 'Second' 20300106T100000Z >"$WORK/two.ics"
cd "$WORK" || exit 1

# cad COMMANDS: runs them in the first calendar and fails if cadaver reports a failure.
cad() {
    printf '%s\n' "$@" quit | cadaver "${HOME_URL}cad-a/" >"$WORK/cad.log" 2>&1
    cat "$WORK/cad.log"
    grep -q "^dav:" "$WORK/cad.log" || return 1
    ! grep -qiE 'failed|error|could not|denied' "$WORK/cad.log"
}
shows() { grep -q "$1" "$WORK/cad.log"; }
ls_shows() { cad "ls $1" && shows "$2"; }
ls_lacks() { cad "ls $1" && ! shows "$2"; }
get_it() { rm -f got.ics; cad 'get one.ics got.ics' && cmp one.ics got.ics; }

step 'cadaver opens a calendar' cad ls
step 'put uploads an event' cad 'put one.ics'
step 'ls lists it' ls_shows . one.ics
step 'get returns the same bytes' get_it
step 'put uploads a second event' cad 'put two.ics'
step 'copy copies it to another calendar' cad "copy one.ics ../cad-b/copied.ics"
step 'the copy is there' ls_shows ../cad-b/ copied.ics
step 'the original is there' ls_shows . one.ics
step 'move renames an event' cad 'move two.ics renamed.ics'
step 'the new name is there' ls_shows . renamed.ics
step 'the old name is gone' ls_lacks . two.ics
step 'move moves it to another calendar' cad 'move renamed.ics ../cad-b/moved.ics'
step 'it is in the other calendar' ls_shows ../cad-b/ moved.ics
step 'it is gone from the first' ls_lacks . renamed.ics
step 'propset sets a property' cad 'set namespace urn:clients' 'propset one.ics note remembered'
propget() { cad 'set namespace urn:clients' 'propget one.ics note' && shows remembered; }
step 'propget returns it' propget
step 'propnames lists properties' cad 'propnames one.ics'
step 'delete deletes an event' cad 'delete one.ics'
step 'it is gone' ls_lacks . one.ics
step 'rmcol deletes a calendar' cad 'rmcol ../cad-b/'
done_with cadaver
