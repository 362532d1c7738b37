"""python-caldav: makes, lists, edits and deletes events and tasks in two calendars, and syncs by token.

Called as: python_caldav.py URL USER PASSWORD
"""

import datetime
import sys

import caldav

url, user, password = sys.argv[1:4]
passed, failed = 0, 0


def step(claim, holds, seen=""):
    global passed, failed
    if holds:
        passed += 1
        print(f"ok    {claim}")
    else:
        failed += 1
        print(f"FAIL  {claim}: {seen!r}")


def at(day, hour):
    return datetime.datetime(2030, 1, day, hour, tzinfo=datetime.timezone.utc)


def names(objects):
    return sorted(str(o.icalendar_component.get("SUMMARY")) for o in objects)


client = caldav.DAVClient(url, username=user, password=password)
principal = client.principal()
step("the principal is found", principal.url is not None)
before = len(principal.calendars())
work = principal.make_calendar(name="Work äöü", cal_id="pycal-work")
chores = principal.make_calendar(name="Chores", cal_id="pycal-chores", supported_calendar_component_set=["VTODO"])
step("two calendars are made", len(principal.calendars()) == before + 2, principal.calendars())
step("a calendar has its name", work.get_display_name() == "Work äöü", work.get_display_name())

one = work.save_event(dtstart=at(2, 10), dtend=at(2, 11), summary="One")
two = work.save_event(dtstart=at(3, 10), dtend=at(3, 11), summary="Two", rrule={"FREQ": "DAILY", "COUNT": 5})
step("events are listed", names(work.events()) == ["One", "Two"], names(work.events()))
step(
    "an event is found by time",
    names(work.search(start=at(2, 0), end=at(2, 12), event=True)) == ["One"],
)
found = work.search(start=at(4, 0), end=at(6, 0), event=True, expand=True)
step("a recurring event is expanded", len(found) == 2, [o.data for o in found])
step("an event is found by its UID", work.event_by_uid(one.icalendar_component["UID"]).url == one.url)
step("an event is found by its text", names(work.search(event=True, summary="Two")) == ["Two"])

one.icalendar_component["SUMMARY"] = "One edited"
one.save()
again = work.event_by_url(one.url)
step("an event is edited", str(again.icalendar_component["SUMMARY"]) == "One edited", again.data)
two.delete()
step("an event is deleted", names(work.events()) == ["One edited"], names(work.events()))

task = chores.save_todo(summary="Sweep", due=at(5, 12))
chores.save_todo(summary="Dust", due=at(6, 12))
step("tasks are listed", names(chores.todos()) == ["Dust", "Sweep"], names(chores.todos()))
task.complete()
step("a completed task is no longer pending", names(chores.todos()) == ["Dust"], names(chores.todos()))
step(
    "a completed task is there",
    names(chores.todos(include_completed=True)) == ["Dust", "Sweep"],
    names(chores.todos(include_completed=True)),
)
try:
    chores.save_event(dtstart=at(2, 10), dtend=at(2, 11), summary="No")
    step("an event among the tasks is refused", False)
except caldav.lib.error.DAVError as error:
    step("an event among the tasks is refused", True)

state = work.objects_by_sync_token(load_objects=True)
step("a first sync lists all", names(state) == ["One edited"], names(state))
three = work.save_event(dtstart=at(7, 10), dtend=at(7, 11), summary="Three")
changes = work.objects_by_sync_token(sync_token=state.sync_token, load_objects=True)
step("a sync by token lists what is new", names(changes) == ["Three"], [o.url for o in changes])
quiet = work.objects_by_sync_token(sync_token=changes.sync_token)
step("a sync without a change is empty", len(list(quiet)) == 0, [o.url for o in quiet])
one.delete()
updated, deleted = state.sync()
step("a sync tells what is deleted", [str(o.url) for o in deleted] == [str(one.url)], deleted)

busy = work.freebusy_request(at(7, 0), at(8, 0))
step("free-busy is reported", "20300107T100000Z" in busy.data, busy.data)
journal = principal.make_calendar(name="Diary", cal_id="pycal-diary", supported_calendar_component_set=["VJOURNAL"])
journal.save_journal(dtstart=at(2, 10), summary="Dear diary")
step("a journal entry is listed", len(journal.journals()) == 1)
for calendar in (work, chores, journal):
    calendar.delete()
step("the calendars are deleted", len(principal.calendars()) == before, principal.calendars())
print(f"python-caldav: {passed} passed, {failed} failed")
sys.exit(1 if failed else 0)
