//! What scheduling costs, in plain PUTs measured in the same minute (RFC 6638 §3.2).

use super::calendars;
use super::connection::{Connection, question};
use super::load::{self, Client, Load, Until};
use super::measures::expect;
use super::process::{Folder, Server};
use super::{Options, Row};
use crate::conform::wire::Question;

/// People who are invited.
const GUESTS: usize = 100;

/// Meetings that each number is the middle of.
const MEETINGS: usize = 20;

/// People who want one room at one time.
const ORGANIZERS: usize = 50;

/// Plain PUTs that are measured beside it.
const PLAIN: usize = 400;

/// Inviting, answering, and a plain PUT to compare with.
pub(super) fn run(options: &Options) -> Result<Vec<Row>, String> {
    let folder = Folder::new(&options.folder, "meet")?;
    let server = Server::start(&options.program, &folder.path, GUESTS + 1)?;
    let plain = measured(&server, plain_puts())?;
    let invited = measured(&server, puts(invitation))?;
    let renamed = measured(&server, puts(renamed))?;
    let mut connection = Connection::open(&server.authority).map_err(|e| e.to_string())?;
    let copies: Result<Vec<String>, String> = (0..MEETINGS)
        .map(|number| copy(&mut connection, number))
        .collect();
    let copies = copies?;
    let answered = measured(&server, answers(copies))?;
    let row = |name: &str, cost: &Cost| {
        Row::compared(
            name,
            format!("{:.1} ms", cost.seconds * 1e3),
            format!(
                "{:.0} plain PUTs of {:.2} ms; CPU of {:.0} of {:.2} ms",
                cost.seconds / plain.seconds,
                plain.seconds * 1e3,
                cost.cpu / plain.cpu,
                plain.cpu * 1e3
            ),
        )
    };
    Ok(vec![
        row("inviting 100 people in one PUT", &invited),
        row("a new title for 100 people", &renamed),
        row("one answer, told to 99 others", &answered),
        race(options)?,
    ])
}

/// Organizers that book one room for one time, all at once: each PUT is stored and none is put off, and the room is
/// booked once.
fn race(options: &Options) -> Result<Row, String> {
    let folder = Folder::new(&options.folder, "room")?;
    let server = Server::start(&options.program, &folder.path, ORGANIZERS)?;
    Server::add_room(&options.program, &folder.path, "room")?;
    let clients = (0..ORGANIZERS).map(|organizer| {
        let put = move |connection: &mut Connection, _: usize| {
            let user = format!("b{organizer}");
            let asked = put_question(&user, &booking(organizer), booked(organizer));
            answer_of(connection.ask(&asked), "a booking")
        };
        Box::new(put) as Client<'_>
    });
    let load = load::drive(&server.authority, clients.collect(), Until::Count(1))?;
    let mut connection = Connection::open(&server.authority).map_err(|e| e.to_string())?;
    let (mut accepted, mut declined) = (0, 0);
    for organizer in 0..ORGANIZERS {
        let asked = question("GET", &booking(organizer), &format!("b{organizer}"), None);
        let text = expect(connection.ask(&asked), 200, "a booking")?.text();
        let text = text.replace("\r\n ", "");
        accepted += usize::from(text.contains("PARTSTAT=ACCEPTED"));
        declined += usize::from(text.contains("PARTSTAT=DECLINED"));
    }
    if (accepted, declined) != (1, ORGANIZERS - 1) {
        return Err(format!(
            "{ORGANIZERS} organizers of one room: {accepted} booked it, {declined} did not"
        ));
    }
    Ok(Row::compared(
        format!("{ORGANIZERS} organizers race for a room"),
        format!("{:.0} ms", load.seconds * 1e3),
        format!(
            "every PUT stored, 1 booked it, {declined} were declined; slowest answer {:.0} ms",
            load.quantile(1.0) * 1e3
        ),
    ))
}

fn booking(organizer: usize) -> String {
    format!("/dav/calendars/b{organizer}/calendar/booking.ics")
}

fn booked(organizer: usize) -> String {
    format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Kalends//bench//EN\r\nBEGIN:VEVENT\r\nUID:booking-{organizer}\r\n\
         DTSTAMP:20260101T120000Z\r\nDTSTART:20300102T100000Z\r\nDTEND:20300102T110000Z\r\nSUMMARY:Booking\r\n\
         ORGANIZER:/dav/principals/users/b{organizer}/\r\n\
         ATTENDEE;CUTYPE=ROOM;RSVP=TRUE:/dav/principals/resources/room/\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    )
}

/// What one request costs: wall time in the middle, CPU on average.
struct Cost {
    seconds: f64,
    cpu: f64,
}

fn measured(server: &Server, (client, count): (Client<'_>, usize)) -> Result<Cost, String> {
    let before = server.cpu_seconds()?;
    let load: Load = load::drive(&server.authority, vec![client], Until::Count(count))?;
    let cpu = server.cpu_seconds()? - before;
    Ok(Cost {
        seconds: load.quantile(0.5).max(1e-9),
        cpu: (cpu / load.count.max(1) as f64).max(1e-9),
    })
}

fn plain_puts<'a>() -> (Client<'a>, usize) {
    let put = |connection: &mut Connection, n: usize| {
        calendars::put(connection, "b0", "/dav/calendars/b0/calendar/", (n, 0))
    };
    (Box::new(put), PLAIN)
}

fn puts<'a>(text: fn(usize) -> String) -> (Client<'a>, usize) {
    let put = move |connection: &mut Connection, n: usize| {
        let answer = connection.ask(&put_question("b0", &own(n), text(n)));
        answer_of(answer, "a meeting")
    };
    (Box::new(put), MEETINGS)
}

fn answers<'a>(copies: Vec<String>) -> (Client<'a>, usize) {
    let put = move |connection: &mut Connection, n: usize| {
        let text = copies.get(n).cloned().unwrap_or_default();
        let answer = connection.ask(&put_question("b1", &guest(n), text));
        answer_of(answer, "an answer")
    };
    (Box::new(put), MEETINGS)
}

fn answer_of(
    answer: std::io::Result<crate::conform::wire::Answer>,
    what: &str,
) -> Result<(), String> {
    let answer = answer.map_err(|e| format!("{what}: {e}"))?;
    match answer.status {
        201 | 204 => Ok(()),
        status => Err(format!("{what}: {status}: {}", answer.text())),
    }
}

fn put_question(user: &str, path: &str, text: String) -> Question {
    super::connection::with(
        question("PUT", path, user, Some(text.into_bytes())),
        "Content-Type",
        "text/calendar",
    )
}

fn own(number: usize) -> String {
    format!("/dav/calendars/b0/calendar/meeting-{number}.ics")
}

fn guest(number: usize) -> String {
    format!("/dav/calendars/b1/calendar/meeting-{number}.ics")
}

/// A guest's copy with their answer.
fn copy(connection: &mut Connection, number: usize) -> Result<String, String> {
    let asked = question("GET", &guest(number), "b1", None);
    let text = expect(connection.ask(&asked), 200, "a guest's copy")?.text();
    let unfolded = text.replace("\r\n ", "");
    let lines = unfolded.lines().map(|line| {
        if line.starts_with("ATTENDEE") && line.ends_with("/users/b1/") {
            "ATTENDEE;PARTSTAT=ACCEPTED:/dav/principals/users/b1/"
        } else {
            line
        }
    });
    Ok(lines.map(|line| format!("{line}\r\n")).collect())
}

fn invitation(number: usize) -> String {
    meeting(number, "Everybody")
}

fn renamed(number: usize) -> String {
    meeting(number, "Everybody together")
}

fn meeting(number: usize, title: &str) -> String {
    let guests: String = (1..=GUESTS)
        .map(|guest| {
            format!(
                "ATTENDEE;CN=Guest {guest};PARTSTAT=NEEDS-ACTION;RSVP=TRUE:/dav/principals/users/b{guest}/\r\n"
            )
        })
        .collect();
    format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Kalends//bench//EN\r\nBEGIN:VEVENT\r\nUID:meeting-{number}\r\n\
         DTSTAMP:20260101T120000Z\r\nDTSTART:20300102T100000Z\r\nDTEND:20300102T110000Z\r\nSUMMARY:{title}\r\n\
         ORGANIZER:/dav/principals/users/b0/\r\n{guests}END:VEVENT\r\nEND:VCALENDAR\r\n"
    )
}
