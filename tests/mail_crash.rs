//! The real process, an SMTP server that fails half of the time, and SIGKILL: every mail arrives at least once, and what
//! arrives again is the same mail under the same Message-ID. It comes again only where the connection broke or the process
//! died before the answer to its last byte was kept.
//!
//! The SMTP server is a thread of the test. It refuses connections, answers 4xx, takes a mail and breaks the connection
//! before it says so, by the numbers of a seed (`KALENDS_CRASH_SEED`). The process is killed each time it has mailed a
//! few and started again on what it left.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod running;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use fastrand::Rng;
use running::{Client, Folder, Running, check};

const PASSWORD: &str = "not so secret";
const MEETINGS: usize = 12;
const GUESTS: usize = 3;
/// Mails after which the process is killed, as often as there are numbers.
const KILLS: [usize; 4] = [5, 4, 6, 5];
/// How long nothing may arrive.
const PATIENCE: Duration = Duration::from_secs(90);

/// How many mails are missing when the SMTP server gets well: each failure doubles the wait, and bad luck may make one
/// mail fail for ever.
const LAST: usize = 6;

/// What the SMTP server is in the mood for.
struct Moods {
    numbers: Rng,
    well: bool,
}

/// What the SMTP server does with a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Takes,
    Hangs,
    RefusesRecipient,
    RefusesContent,
    TakesAndBreaks,
}

/// How often the process was killed.
static LIVES: AtomicUsize = AtomicUsize::new(0);

/// A mail that was taken: the recipient and the bytes.
struct Taken {
    to: String,
    mail: String,
    /// Whether nobody was told that it was.
    untold: bool,
    /// How often the process had been killed before.
    life: usize,
}

/// Takes mails until the test ends.
fn smtp(seed: u64) -> (u16, Receiver<Taken>, Arc<Mutex<Moods>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (send, taken) = mpsc::channel();
    let moods = Arc::new(Mutex::new(Moods {
        numbers: Rng::with_seed(seed),
        well: false,
    }));
    let kept = moods.clone();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (send, moods) = (send.clone(), moods.clone());
            thread::spawn(move || {
                // The other side was killed, or we broke the connection ourselves.
                let _ = session(stream, &send, &moods);
            });
        }
    });
    (port, taken, kept)
}

fn mood(moods: &Mutex<Moods>) -> Mood {
    let mut moods = moods.lock().unwrap();
    match moods.numbers.u8(..8) {
        _ if moods.well => Mood::Takes,
        0 => Mood::Hangs,
        1 => Mood::RefusesRecipient,
        2 => Mood::RefusesContent,
        3 => Mood::TakesAndBreaks,
        _ => Mood::Takes,
    }
}

fn session(stream: TcpStream, taken: &Sender<Taken>, moods: &Mutex<Moods>) -> std::io::Result<()> {
    let life = LIVES.load(Ordering::Relaxed);
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    let mut say = |text: &str| writer.write_all(format!("{text}\r\n").as_bytes());
    say("220 sink")?;
    let mut to = String::new();
    let mut now = mood(moods);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let verb = line.trim_end().to_ascii_uppercase();
        if verb.starts_with("MAIL FROM") {
            now = mood(moods);
            if now == Mood::Hangs {
                return Ok(());
            }
            say("250 ok")?;
        } else if verb.starts_with("RCPT TO") {
            to = line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
            let refuses = now == Mood::RefusesRecipient;
            say(if refuses { "451 not now" } else { "250 ok" })?;
        } else if verb == "DATA" {
            say("354 go on")?;
            let mut mail = String::new();
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line)? == 0 {
                    return Ok(());
                }
                if line == ".\r\n" {
                    break;
                }
                mail.push_str(line.strip_prefix('.').unwrap_or(&line));
            }
            if now == Mood::RefusesContent {
                say("452 no room")?;
                continue;
            }
            let to = to.clone();
            let untold = now == Mood::TakesAndBreaks;
            let _ = taken.send(Taken {
                to,
                mail,
                untold,
                life,
            });
            if untold {
                return Ok(());
            }
            say("250 taken")?;
        } else if verb == "QUIT" {
            return say("221 bye");
        } else {
            say("250 sink")?;
        }
    }
}

fn meeting(number: usize) -> String {
    let guests: String = (0..GUESTS)
        .map(|guest| format!("ATTENDEE;RSVP=TRUE:mailto:guest{guest}@host{guest}.example\r\n"))
        .collect();
    format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Crash//EN\r\nBEGIN:VEVENT\r\nUID:meeting-{number}\r\n\
         DTSTAMP:20300101T000000Z\r\nDTSTART:20300102T100000Z\r\nDTEND:20300102T110000Z\r\nSUMMARY:Meeting {number}.\r\n\
         ORGANIZER:mailto:alice@example.org\r\nATTENDEE;PARTSTAT=ACCEPTED:mailto:alice@example.org\r\n{guests}\
         END:VEVENT\r\nEND:VCALENDAR\r\n"
    )
}

fn header<'a>(mail: &'a str, name: &str) -> &'a str {
    let line = mail.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no {name} in {mail}")).trim()
}

/// What arrived for each recipient and meeting.
#[derive(Default)]
struct Arrived {
    mails: BTreeMap<(String, String), Vec<String>>,
    /// Those whose server was told that they were taken, and lived on.
    told: BTreeMap<(String, String), usize>,
    /// Those that came again in the life in which they were told of.
    without_cause: Vec<String>,
}

impl Arrived {
    fn note(&mut self, taken: Taken) {
        let subject = header(&taken.mail, "Subject:").to_owned();
        let key = (taken.to, subject);
        if self.told.get(&key) == Some(&taken.life) {
            self.without_cause.push(format!("{}: {}", key.0, key.1));
        }
        match taken.untold {
            true => self.told.remove(&key),
            false => self.told.insert(key.clone(), taken.life),
        };
        self.mails.entry(key).or_default().push(taken.mail);
    }

    fn is_complete(&self) -> bool {
        self.mails.len() == MEETINGS * GUESTS
    }
}

#[allow(clippy::disallowed_methods, reason = "a run is repeated by its seed")]
fn seed() -> u64 {
    let asked = std::env::var("KALENDS_CRASH_SEED").ok();
    asked
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(20_261_120)
}

#[test]
fn every_mail_arrives_and_what_arrives_again_is_the_same() {
    let seed = seed();
    eprintln!("seed {seed}");
    let (port, taken, moods) = smtp(seed);
    let folder = Folder::new("mail-crash");
    let config = folder.0.join("mail.toml");
    let text = format!(
        "[server]\ndata = \"data\"\n[mail]\nfrom = \"calendar@cal.example\"\nhost = \"127.0.0.1\"\nport = {port}\n\
         security = \"none\"\nreply = \"calendar+{{token}}@cal.example\"\nsettle = \"0 s\"\nretry = \"1 s\"\n\
         per_domain_minute = 100000\ntimeout = \"5 s\"\n"
    );
    fs::write(&config, text).unwrap();
    let start = || {
        let config = config.display().to_string();
        Running::start_with(&folder.data(), &["--config", &config])
    };
    let server = start();
    server.add_user("alice", PASSWORD);
    let client = Client::new(&server.origin, "alice", PASSWORD);
    for number in 0..MEETINGS {
        let path = format!("/dav/calendars/alice/calendar/{number}.ics");
        let headers = [("Content-Type", "text/calendar")];
        let answer = client
            .try_ask("PUT", &path, &headers, &meeting(number))
            .unwrap();
        assert!(answer.status < 300, "{}", answer.status);
    }
    let mut arrived = Arrived::default();
    let mut server = Some(server);
    for kill in KILLS {
        for _ in 0..kill {
            let mail = taken.recv_timeout(PATIENCE);
            arrived.note(mail.expect("mails arrive between two crashes"));
        }
        server.take().unwrap().kill();
        LIVES.fetch_add(1, Ordering::Relaxed);
        server = Some(start());
    }
    while !arrived.is_complete() {
        moods.lock().unwrap().well = MEETINGS * GUESTS - arrived.mails.len() <= LAST;
        let mail = taken.recv_timeout(PATIENCE);
        arrived.note(mail.unwrap_or_else(|_| {
            let missing = MEETINGS * GUESTS - arrived.mails.len();
            panic!("{missing} mails did not arrive")
        }));
    }
    let mut again = 0;
    for ((to, subject), mails) in &arrived.mails {
        let id = header(&mails[0], "Message-ID:");
        for mail in &mails[1..] {
            assert_eq!(header(mail, "Message-ID:"), id, "{to}: {subject}");
            assert_eq!(mail, &mails[0], "{to}: {subject}");
            again += 1;
        }
    }
    eprintln!("{again} mails arrived again");
    assert_eq!(arrived.without_cause, Vec::<String>::new());
    assert_eq!(server.take().unwrap().stop(), Some(0));
    check(&folder.data());
}
