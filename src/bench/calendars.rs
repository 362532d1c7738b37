//! The calendars that are measured: the same for everybody who runs it.
//!
//! Objects are spread over three years around the asked month; a tenth recurs (weekly, daily with an end, monthly, an
//! endless rule begun long ago, one with an override), in several zones.

use super::connection::{Connection, question};
use super::load::{self, Client, Until};
use super::process::Server;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The month that queries ask for.
pub const MONTH: (&str, &str) = ("20260901T000000Z", "20261001T000000Z");

/// Clients that fill a calendar at once.
const FILLERS: usize = 8;

const ZONES: [&str; 4] = [
    "Europe/Berlin",
    "America/New_York",
    "Asia/Tokyo",
    "Australia/Sydney",
];

/// The text of the object with this number, in a calendar whose month of interest holds `busy` objects.
///
/// Numbers below `busy` lie in September 2026, all others elsewhere, so that calendars of every size give answers of
/// equal size.
pub fn object(number: usize, busy: usize) -> String {
    let zone = ZONES.get(number % ZONES.len()).copied().unwrap_or("UTC");
    let day = 1 + number % 28;
    let hour = 8 + number % 10;
    let (year, month) = if number < busy {
        (2026, 9)
    } else {
        elsewhere(number)
    };
    let rule = if number % 10 == 3 {
        rule(number, number < busy)
    } else {
        ""
    };
    format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Kalends//bench//EN\r\nBEGIN:VEVENT\r\nUID:{uid}\r\n\
         DTSTAMP:20260101T120000Z\r\nDTSTART;TZID={zone}:{year:04}{month:02}{day:02}T{hour:02}0000\r\n\
         DTEND;TZID={zone}:{year:04}{month:02}{day:02}T{hour:02}4500\r\n{rule}SUMMARY:Meeting number {number}\r\n\
         LOCATION:Room {room}\r\nDESCRIPTION:What was said about item {number}\\, and what was decided: nothing\r\n  that \
         would not fit into two folded lines of text.\r\nCATEGORIES:WORK,PLANNING\r\nSTATUS:CONFIRMED\r\n\
         BEGIN:VALARM\r\nACTION:DISPLAY\r\nDESCRIPTION:Soon\r\nTRIGGER:-PT15M\r\nEND:VALARM\r\nEND:VEVENT\r\n\
         END:VCALENDAR\r\n",
        uid = uid(number),
        room = number % 17,
    )
}

/// The UID of the object with this number, shaped as clients make them.
pub fn uid(number: usize) -> String {
    format!("6f1ed002-ab5c-4c3e-9f2a-{number:012x}")
}

/// The name of the object with this number.
pub fn name(number: usize) -> String {
    format!("{}.ics", uid(number))
}

fn elsewhere(number: usize) -> (usize, usize) {
    let month = 1 + (number / 7) % 8;
    (2023 + (number / 3) % 3, month)
}

fn rule(number: usize, in_month: bool) -> &'static str {
    if !in_month {
        return "RRULE:FREQ=WEEKLY;COUNT=10\r\n";
    }
    match (number / 10) % 4 {
        0 => "RRULE:FREQ=WEEKLY\r\n",
        1 => "RRULE:FREQ=DAILY;COUNT=5\r\n",
        2 => "RRULE:FREQ=MONTHLY;BYDAY=2TU\r\n",
        _ => "RRULE:FREQ=WEEKLY;UNTIL=20261231T000000Z\r\nEXDATE:20260915T080000Z\r\n",
    }
}

/// Puts `count` objects into the calendar `path` (with a slash at its end) of `user`.
pub fn fill(
    server: &Server,
    user: &str,
    path: &str,
    (count, busy): (usize, usize),
) -> Result<(), String> {
    let next = AtomicUsize::new(0);
    let clients: Vec<Client<'_>> = (0..FILLERS.min(count))
        .map(|_| {
            let next = &next;
            let client = move |connection: &mut Connection, _| {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return Ok(());
                }
                put(connection, user, path, (number, busy))
            };
            Box::new(client) as Client<'_>
        })
        .collect();
    let each = count.div_ceil(FILLERS.min(count).max(1)) + 1;
    load::drive(&server.authority, clients, Until::Count(each)).map(|_| ())
}

/// Puts the object with this number under its name.
pub fn put(
    connection: &mut Connection,
    user: &str,
    path: &str,
    (number, busy): (usize, usize),
) -> Result<(), String> {
    let target = format!("{path}{}", name(number));
    let body = object(number, busy).into_bytes();
    let asked = super::connection::with(
        question("PUT", &target, user, Some(body)),
        "Content-Type",
        "text/calendar; charset=utf-8",
    );
    let answer = connection.ask(&asked).map_err(|e| e.to_string())?;
    match answer.status {
        201 | 204 => Ok(()),
        status => Err(format!("PUT {target}: {status} {}", answer.text())),
    }
}

/// Makes an empty calendar at `path`.
pub fn make(connection: &mut Connection, user: &str, path: &str) -> Result<(), String> {
    let answer = connection
        .ask(&question("MKCALENDAR", path, user, None))
        .map_err(|e| e.to_string())?;
    if answer.status == 201 {
        Ok(())
    } else {
        Err(format!(
            "MKCALENDAR {path}: {} {}",
            answer.status,
            answer.text()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::object;

    #[test]
    fn every_object_of_the_benchmark_may_be_stored() {
        for number in 0..200 {
            let text = object(number, 100);
            let parsed = crate::ical::parse(text.as_bytes(), &crate::ical::Limits::default());
            assert!(parsed.problems.is_empty(), "{text}\n{:?}", parsed.problems);
        }
    }
}
