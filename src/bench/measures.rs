//! What is measured: one function a subject, listed in one table.

use super::calendars::{self, MONTH};
use super::connection::{Connection, question, with};
use super::load::{self, Client, Load, Until};
use super::process::{Folder, Server};
use super::{Options, Row};
use crate::conform::wire::{Answer, Question};
use std::fs::File;
use std::io::Write;
use std::time::Duration;

/// A subject of the benchmark.
#[derive(Debug)]
pub struct Measure {
    /// The name on the command line.
    pub name: &'static str,
    /// What it answers.
    pub about: &'static str,
    /// Measures it.
    pub run: fn(&Options) -> Result<Vec<Row>, String>,
}

/// All subjects, in the order they are measured.
pub const MEASURES: &[Measure] = &[
    Measure {
        name: "poll",
        about: "CTag poll: requests a second and p99 against a bare hyper server returning the same bytes",
        run: poll,
    },
    Measure {
        name: "put",
        about: "durable PUTs a second against appending the same bytes to a file and syncing it",
        run: put,
    },
    Measure {
        name: "size",
        about: "one PUT, and one-change sync, in a small and in a large calendar",
        run: size,
    },
    Measure {
        name: "read",
        about: "CPU of GET, multiget, PROPFIND and sync-collection over 10,000 objects",
        run: read,
    },
    Measure {
        name: "query",
        about: "CPU of a month's calendar-query and free-busy-query in calendars of three sizes",
        run: query,
    },
    Measure {
        name: "meet",
        about: "inviting 100 people in one PUT, and one answer told to them, against plain PUTs",
        run: super::meetings::run,
    },
    Measure {
        name: "memory",
        about: "resident bytes an object, of open calendars",
        run: memory,
    },
    Measure {
        name: "restart",
        about: "time from SIGKILL with 64 MiB of journal to the first answered poll",
        run: restart,
    },
    Measure {
        name: "pure",
        about: "parse and print against a bare pass, a month of an old rule against a bare loop",
        run: super::pure::run,
    },
];

const POLL: &str = r#"<?xml version="1.0" encoding="utf-8"?><D:propfind xmlns:D="DAV:" xmlns:CS="http://calendarserver.org/ns/"><D:prop><CS:getctag/><D:sync-token/></D:prop></D:propfind>"#;
const LIST: &str = r#"<?xml version="1.0" encoding="utf-8"?><D:propfind xmlns:D="DAV:"><D:prop><D:getetag/><D:getcontenttype/></D:prop></D:propfind>"#;
const CALENDAR: &str = "/dav/calendars/b0/calendar/";
const LISTED: usize = 10_000;
const BUSY: usize = 150;
const JOURNAL_BYTES: usize = 64 * 1024 * 1024;

fn poll_question(path: &str, user: &str) -> Question {
    with(
        with(
            question("PROPFIND", path, user, Some(POLL.into())),
            "Depth",
            "0",
        ),
        "Content-Type",
        "application/xml",
    )
}

fn report(path: &str, depth: &str, body: String) -> Question {
    with(
        with(
            question("REPORT", path, "b0", Some(body.into_bytes())),
            "Depth",
            depth,
        ),
        "Content-Type",
        "application/xml",
    )
}

fn sync(token: &str) -> Question {
    report(
        CALENDAR,
        "0",
        format!(
            r#"<?xml version="1.0" encoding="utf-8"?><D:sync-collection xmlns:D="DAV:"><D:sync-token>{token}</D:sync-token><D:sync-level>1</D:sync-level><D:prop><D:getetag/></D:prop></D:sync-collection>"#
        ),
    )
}

pub(super) fn expect(
    answer: std::io::Result<Answer>,
    status: u16,
    what: &str,
) -> Result<Answer, String> {
    let answer = answer.map_err(|e| format!("{what}: {e}"))?;
    if answer.status == status {
        return Ok(answer);
    }
    let text: String = answer.text().chars().take(400).collect();
    Err(format!(
        "{what}: {} instead of {status}: {text}",
        answer.status
    ))
}

fn repeat<'a>(bytes: &'a [u8], method: &'a str, status: u16) -> Client<'a> {
    Box::new(move |connection: &mut Connection, _| {
        expect(connection.send(bytes, method), status, method).map(|_| ())
    })
}

fn seconds(options: &Options) -> Until {
    Until::Time(Duration::from_secs(u64::from(options.seconds)))
}

fn percent(part: f64, whole: f64) -> String {
    format!("{:.0} %", 100.0 * part / whole.max(1e-9))
}

fn poll(options: &Options) -> Result<Vec<Row>, String> {
    let folder = Folder::new(&options.folder, "poll")?;
    let server = Server::start(&options.program, &folder.path, 1)?;
    let mut connection = Connection::open(&server.authority).map_err(|e| e.to_string())?;
    let asked = poll_question(CALENDAR, "b0");
    let bytes = connection.prepare(&asked);
    let answer = expect(connection.send(&bytes, "PROPFIND"), 207, "poll")?;
    let bare = Server::bare(&options.program, &answer.body)?;
    let mut rows = Vec::new();
    for clients in [1, 8] {
        let of = |authority: &str| -> Result<Load, String> {
            let clients = (0..clients).map(|_| repeat(&bytes, "PROPFIND", 207));
            load::drive(authority, clients.collect(), seconds(options))
        };
        let floor = of(&bare.authority)?;
        let before = server.cpu_seconds()?;
        let ours = of(&server.authority)?;
        let cpu = (server.cpu_seconds()? - before) / ours.count.max(1) as f64;
        rows.push(Row::compared(
            format!("CTag poll, {clients} clients"),
            format!("{:.0}/s", ours.rate()),
            format!(
                "{} of a bare hyper server's {:.0}/s; p99 {:.2} ms to {:.2} ms; {:.3} ms CPU",
                percent(ours.rate(), floor.rate()),
                floor.rate(),
                ours.quantile(0.99) * 1e3,
                floor.quantile(0.99) * 1e3,
                cpu * 1e3
            ),
        ));
    }
    Ok(rows)
}

fn put(options: &Options) -> Result<Vec<Row>, String> {
    let folder = Folder::new(&options.folder, "put")?;
    let server = Server::start(&options.program, &folder.path, 16)?;
    let mut rows = Vec::new();
    let cases: [Writers; 3] = [
        ("durable PUT, 1 client", 1, |_| 0),
        ("durable PUT, 16 clients in 16 homes", 16, |client| client),
        ("durable PUT, 16 clients in one home", 16, |_| 0),
    ];
    for (case, (name, clients, home)) in cases.into_iter().enumerate() {
        let floor = appends(&folder, clients, options)?;
        let before = server.cpu_seconds()?;
        let ours = puts(&server, (case, clients), home, options)?;
        let cpu = (server.cpu_seconds()? - before) / ours.count.max(1) as f64;
        rows.push(Row::compared(
            name,
            format!("{:.0}/s", ours.rate()),
            format!(
                "{} of {floor:.0}/s appended and synced {}; p99 {:.2} ms; {:.3} ms CPU",
                percent(ours.rate(), floor),
                if clients == 1 {
                    "one by one"
                } else {
                    "in groups of 16"
                },
                ours.quantile(0.99) * 1e3,
                cpu * 1e3
            ),
        ));
    }
    Ok(rows)
}

/// What is measured, how many clients write, and the home each writes to.
type Writers = (&'static str, usize, fn(usize) -> usize);

fn puts(
    server: &Server,
    (case, clients): (usize, usize),
    home: fn(usize) -> usize,
    options: &Options,
) -> Result<Load, String> {
    let clients = (0..clients).map(|client| {
        let user = format!("b{}", home(client));
        let path = format!("/dav/calendars/{user}/calendar/");
        let from = (case * 100 + client) * 1_000_000;
        let put = move |connection: &mut Connection, n: usize| {
            calendars::put(connection, &user, &path, (from + n, 0))
        };
        Box::new(put) as Client<'_>
    });
    load::drive(&server.authority, clients.collect(), seconds(options))
}

/// Appends an object's bytes to a file and syncs it after each `group` of them; how many a second.
fn appends(folder: &Folder, group: usize, options: &Options) -> Result<f64, String> {
    let path = folder.path.join("appended");
    let mut file = File::create(&path).map_err(|e| e.to_string())?;
    let bytes = calendars::object(1, 0).into_bytes();
    let mut count = 0;
    let mut spent = 0.0;
    while spent < f64::from(options.seconds) {
        let (took, result) = load::time(|| {
            for _ in 0..group {
                file.write_all(&bytes)?;
            }
            file.sync_data()
        });
        result.map_err(|e| e.to_string())?;
        count += group;
        spent += took;
    }
    Ok(count as f64 / spent)
}

fn size(options: &Options) -> Result<Vec<Row>, String> {
    let folder = Folder::new(&options.folder, "size")?;
    let server = Server::start(&options.program, &folder.path, 1)?;
    let mut rows: Vec<Row> = Vec::new();
    let mut first: Option<(f64, f64)> = None;
    for count in [options.large / 100, options.large] {
        let path = format!("/dav/calendars/b0/of{count}/");
        let mut connection = Connection::open(&server.authority).map_err(|e| e.to_string())?;
        calendars::make(&mut connection, "b0", &path)?;
        calendars::fill(&server, "b0", &path, (count, 0))?;
        let before = server.cpu_seconds_at_rest()?;
        let target = path.clone();
        let client = move |connection: &mut Connection, n: usize| {
            calendars::put(connection, "b0", &target, (10_000_000 + n, 0))
        };
        let puts = load::drive(&server.authority, vec![Box::new(client)], seconds(options))?;
        let after = server.cpu_seconds_at_rest()?;
        let put_cpu = (after - before) / puts.count.max(1) as f64;
        let sync_cpu = one_change(&server, &path, options)?;
        let ratio = first.map_or(String::new(), |(put, sync)| {
            format!(
                "{:.2} and {:.2} times the small calendar's",
                put_cpu / put,
                sync_cpu / sync
            )
        });
        first.get_or_insert((put_cpu, sync_cpu));
        rows.push(Row::compared(
            format!("PUT, one-change sync, {count} objects"),
            format!("{:.3}, {:.3} ms CPU", put_cpu * 1e3, sync_cpu * 1e3),
            ratio,
        ));
    }
    Ok(rows)
}

/// CPU of a sync-collection that has one change to tell.
fn one_change(server: &Server, path: &str, options: &Options) -> Result<f64, String> {
    let mut connection = Connection::open(&server.authority).map_err(|e| e.to_string())?;
    let answer = expect(connection.ask(&poll_question(path, "b0")), 207, "token")?;
    let token = between(&answer.text(), "sync-token>", "<").ok_or("no sync-token")?;
    calendars::put(&mut connection, "b0", path, (5, 0))?;
    server.cpu_seconds_at_rest()?;
    let mut asked = sync(&token);
    path.clone_into(&mut asked.target);
    Ok(cpu_of(server, &asked, 207, options)?.0)
}

/// CPU and wall seconds of one such request, and the size of its answer in bytes.
fn cpu_of(
    server: &Server,
    asked: &Question,
    status: u16,
    options: &Options,
) -> Result<(f64, f64, usize), String> {
    let mut connection = Connection::open(&server.authority).map_err(|e| e.to_string())?;
    let bytes = connection.prepare(asked);
    let answer = expect(
        connection.send(&bytes, &asked.method),
        status,
        &asked.method,
    )?;
    let before = server.cpu_seconds()?;
    let client = repeat(&bytes, &asked.method, status);
    let load = load::drive(&server.authority, vec![client], seconds(options))?;
    let cpu = (server.cpu_seconds()? - before) / load.count.max(1) as f64;
    Ok((
        cpu,
        load.seconds / load.count.max(1) as f64,
        answer.body.len(),
    ))
}

fn read(options: &Options) -> Result<Vec<Row>, String> {
    let folder = Folder::new(&options.folder, "read")?;
    let server = Server::start(&options.program, &folder.path, 1)?;
    calendars::fill(&server, "b0", CALENDAR, (LISTED, BUSY))?;
    server.cpu_seconds_at_rest()?;
    let get = question(
        "GET",
        &format!("{CALENDAR}{}", calendars::name(77)),
        "b0",
        None,
    );
    let list = with(
        with(
            question("PROPFIND", CALENDAR, "b0", Some(LIST.into())),
            "Depth",
            "1",
        ),
        "Content-Type",
        "application/xml",
    );
    // The best of six known servers on such a machine, in ms of CPU.
    let known: [(&str, Question, u16, f64); 4] = [
        ("GET", get, 200, 0.14),
        ("multiget of 100", multiget(), 207, 5.6),
        ("PROPFIND Depth 1", list, 207, 40.0),
        ("initial sync-collection", sync(""), 207, 46.0),
    ];
    let mut rows = Vec::new();
    for (name, asked, status, best) in known {
        let (cpu, wall, bytes) = cpu_of(&server, &asked, status, options)?;
        rows.push(against(name, (cpu, wall), bytes, best));
    }
    let cpu = one_change(&server, CALENDAR, options)?;
    rows.push(Row::compared(
        "one-change sync-collection of 10000",
        format!("{:.3} ms CPU", cpu * 1e3),
        format!("best known 1.5 ms: {:.2} of it", cpu * 1e3 / 1.5),
    ));
    Ok(rows)
}

fn against(name: &str, (cpu, wall): (f64, f64), bytes: usize, best: f64) -> Row {
    Row::compared(
        format!("{name} of 10000"),
        format!("{:.3} ms CPU", cpu * 1e3),
        format!(
            "best known {best} ms: {:.2} of it; {:.2} ms wall, {bytes} bytes",
            cpu * 1e3 / best,
            wall * 1e3
        ),
    )
}

fn multiget() -> Question {
    let hrefs: String = (0..100)
        .map(|n| {
            let name = calendars::name(n * 97);
            format!("<D:href>{CALENDAR}{name}</D:href>")
        })
        .collect();
    report(
        CALENDAR,
        "0",
        format!(
            r#"<?xml version="1.0" encoding="utf-8"?><C:calendar-multiget xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><D:prop><D:getetag/><C:calendar-data/></D:prop>{hrefs}</C:calendar-multiget>"#
        ),
    )
}

fn month(path: &str, data: &str) -> Question {
    let (start, end) = MONTH;
    report(
        path,
        "1",
        format!(
            r#"<?xml version="1.0" encoding="utf-8"?><C:calendar-query xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><D:prop><D:getetag/>{data}</D:prop><C:filter><C:comp-filter name="VCALENDAR"><C:comp-filter name="VEVENT"><C:time-range start="{start}" end="{end}"/></C:comp-filter></C:comp-filter></C:filter></C:calendar-query>"#
        ),
    )
}

fn query(options: &Options) -> Result<Vec<Row>, String> {
    let folder = Folder::new(&options.folder, "query")?;
    let server = Server::start(&options.program, &folder.path, 1)?;
    let (start, end) = MONTH;
    let expand =
        format!(r#"<C:calendar-data><C:expand start="{start}" end="{end}"/></C:calendar-data>"#);
    let free_busy = format!(
        r#"<?xml version="1.0" encoding="utf-8"?><C:free-busy-query xmlns:C="urn:ietf:params:xml:ns:caldav"><C:time-range start="{start}" end="{end}"/></C:free-busy-query>"#
    );
    let mut rows = Vec::new();
    let mut first: Vec<f64> = Vec::new();
    for count in [options.large / 100, options.large / 10, options.large] {
        let path = format!("/dav/calendars/b0/of{count}/");
        let mut connection = Connection::open(&server.authority).map_err(|e| e.to_string())?;
        calendars::make(&mut connection, "b0", &path)?;
        calendars::fill(&server, "b0", &path, (count, BUSY))?;
        server.cpu_seconds_at_rest()?;
        let asked: [(&str, Question, u16); 4] = [
            ("month, ETags", month(&path, ""), 207),
            ("month, data", month(&path, "<C:calendar-data/>"), 207),
            ("month, expand", month(&path, &expand), 207),
            (
                "month, free-busy",
                report(&path, "1", free_busy.clone()),
                200,
            ),
        ];
        for (case, (name, asked, status)) in asked.into_iter().enumerate() {
            let (cpu, _, bytes) = cpu_of(&server, &asked, status, options)?;
            let ratio = match first.get(case) {
                Some(small) => format!(
                    "{:.2} times the small calendar's; {bytes} bytes",
                    cpu / small
                ),
                None => format!("{bytes} bytes"),
            };
            if first.len() == case {
                first.push(cpu);
            }
            rows.push(Row::compared(
                format!("{name}, {count} objects"),
                format!("{:.3} ms CPU", cpu * 1e3),
                ratio,
            ));
        }
    }
    Ok(rows)
}

fn memory(options: &Options) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    for count in [options.large / 10, options.large] {
        let folder = Folder::new(&options.folder, "memory")?;
        let server = Server::start(&options.program, &folder.path, 1)?;
        calendars::fill(&server, "b0", CALENDAR, (count, BUSY))?;
        server.kill();
        let server = Server::start(&options.program, &folder.path, 1)?;
        let mut connection = Connection::open(&server.authority).map_err(|e| e.to_string())?;
        let empty = poll_question("/dav/calendars/b0/tasks/", "b0");
        expect(connection.ask(&empty), 207, "poll")?;
        let idle = server.resident_bytes()?;
        expect(connection.ask(&month(CALENDAR, "")), 207, "query")?;
        expect(connection.ask(&sync("")), 207, "sync")?;
        let open = server.resident_bytes()?;
        rows.push(Row::compared(
            format!("memory, {count} objects open"),
            format!("{:.1} MiB", open as f64 / 1_048_576.0),
            format!(
                "{:.0} bytes an object above {:.1} MiB idle",
                open.saturating_sub(idle) as f64 / count as f64,
                idle as f64 / 1_048_576.0
            ),
        ));
    }
    Ok(rows)
}

fn restart(options: &Options) -> Result<Vec<Row>, String> {
    let folder = Folder::new(&options.folder, "restart")?;
    let server = Server::start(&options.program, &folder.path, 1)?;
    // An object's commit writes about three times its text to the journal.
    let count = JOURNAL_BYTES / (3 * calendars::object(1, 0).len());
    calendars::fill(&server, "b0", CALENDAR, (count, BUSY))?;
    server.kill();
    let journal = folder_bytes(&folder.path.join("data/store/journal"))?;
    let (took, result) = load::time(|| -> Result<(), String> {
        let server = Server::start(&options.program, &folder.path, 1)?;
        let mut connection = Connection::open(&server.authority).map_err(|e| e.to_string())?;
        expect(
            connection.ask(&poll_question(CALENDAR, "b0")),
            207,
            "first poll",
        )?;
        Ok(())
    });
    result?;
    Ok(vec![Row::plain(
        format!(
            "SIGKILL to first poll, {:.0} MiB of journal",
            journal as f64 / 1_048_576.0
        ),
        format!("{took:.2} s"),
    )])
}

/// Bytes of the files in a folder.
fn folder_bytes(path: &std::path::Path) -> Result<u64, String> {
    let entries = std::fs::read_dir(path).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(entries
        .filter_map(|entry| entry.ok()?.metadata().ok())
        .map(|file| file.len())
        .sum())
}

fn between(text: &str, start: &str, end: &str) -> Option<String> {
    let rest = text.split_once(start)?.1;
    Some(rest.split_once(end)?.0.to_owned())
}
