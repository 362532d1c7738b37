//! The real process is killed (SIGKILL) while sixteen clients write, and what was acknowledged is there.
//!
//! Each round starts the server on what the last one left, lets sixteen clients PUT, DELETE and MOVE until a number
//! of changes was acknowledged, kills it, in some rounds damages or removes sled's files, starts it again and asks:
//! every acknowledged change is there, an unanswered one is there whole or not at all, `kalends check` finds
//! nothing, and every sync token handed out before the crash gives the right difference.
//!
//! 20 rounds; `KALENDS_CRASH_ROUNDS=200 cargo test --release --test crash` for more, `KALENDS_CRASH_SEED` to repeat.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod running;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;

use fastrand::Rng;
use kalends::conform::{tree, wire::Answer};
use running::{Client, Folder, Running, check, files_below, flip_bits};

const CLIENTS: u64 = 16;
const USERS: u64 = 4;
/// With so many objects a client removes one instead of making another, so that a late round takes no longer than an early
/// one.
const OBJECTS: usize = 60;
const CALENDARS: [&str; 2] = ["calendar", "crash"];
const PASSWORD: &str = "not so secret";

/// Where an object is and which version it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    calendar: usize,
    version: u64,
}

/// What one client knows: its objects, and the change that was not answered.
#[derive(Clone, Default)]
struct Knowledge {
    objects: BTreeMap<u64, Place>,
    pending: Option<(u64, Option<Place>)>,
    next: u64,
}

fn user(client: u64) -> String {
    format!("user{}", client % USERS)
}

fn path(client: u64, calendar: usize, object: u64) -> String {
    format!("{}{}", folder(client, calendar), name(client, object))
}

fn folder(client: u64, calendar: usize) -> String {
    format!("/dav/calendars/{}/{}/", user(client), CALENDARS[calendar])
}

fn name(client: u64, object: u64) -> String {
    format!("c{client}-{object}.ics")
}

fn body(client: u64, object: u64, version: u64) -> String {
    // Long enough that a half-written one would be seen.
    let filler: String = (0..20)
        .map(|n| format!("X-FILLER-{n}:{client}/{object}/{version}\r\n"))
        .collect();
    format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Crash//EN\r\nBEGIN:VEVENT\r\nUID:{client}-{object}\r\nDTSTAMP:20300101T000000Z\r\nDTSTART:20300102T100000Z\r\nSUMMARY:{version}\r\n{filler}END:VEVENT\r\nEND:VCALENDAR\r\n"
    )
}

/// A change that a client wants: which object, and where it shall be then.
#[derive(Clone, Copy)]
struct Wish {
    object: u64,
    from: Option<Place>,
    to: Option<Place>,
}

/// The next change by chance: a new object, a new version, a removal, a move.
fn wish(known: &mut Knowledge, numbers: &mut Rng) -> Wish {
    let existing: Vec<(u64, Place)> = known.objects.iter().map(|(o, p)| (*o, *p)).collect();
    let kind = match numbers.u64(..10) {
        0..4 if existing.len() >= OBJECTS => 6,
        kind => kind,
    };
    if existing.is_empty() || kind < 4 {
        known.next += 1;
        let calendar = numbers.u64(..2) as usize;
        return Wish {
            object: known.next,
            from: None,
            to: Some(Place {
                calendar,
                version: 0,
            }),
        };
    }
    let (object, place) = existing[numbers.u64(..existing.len() as u64) as usize];
    let to = match kind {
        4 | 5 => Some(Place {
            version: place.version + 1,
            ..place
        }),
        6 | 7 => None,
        _ => Some(Place {
            calendar: 1 - place.calendar,
            ..place
        }),
    };
    Wish {
        object,
        from: Some(place),
        to,
    }
}

/// Asks for a change.
fn attempt(client: u64, http: &Client, wish: Wish) -> std::io::Result<Answer> {
    let at = |place: Place| path(client, place.calendar, wish.object);
    match (wish.from, wish.to) {
        (Some(from), Some(to)) if from.calendar != to.calendar => {
            let destination = format!("{}{}", http.origin.url(), at(to));
            http.try_ask("MOVE", &at(from), &[("Destination", &destination)], "")
        }
        (_, Some(to)) => http.try_ask("PUT", &at(to), &[], &body(client, wish.object, to.version)),
        (Some(from), None) => http.try_ask("DELETE", &at(from), &[], ""),
        (None, None) => unreachable!("a wish is for something"),
    }
}

/// One client: changes its own objects until the server is gone.
fn work(
    client: u64,
    http: &Client,
    mut known: Knowledge,
    mut numbers: Rng,
    acks: &mpsc::Sender<()>,
) -> Knowledge {
    loop {
        let wish = wish(&mut known, &mut numbers);
        known.pending = Some((wish.object, wish.to));
        let Ok(answer) = attempt(client, http, wish) else {
            return known;
        };
        known.pending = None;
        if answer.status == 503 {
            // Not done, and said so.
            continue;
        }
        assert!(
            (200..300).contains(&answer.status),
            "client {client}: {} {}",
            answer.status,
            answer.text()
        );
        match wish.to {
            Some(place) => known.objects.insert(wish.object, place),
            None => known.objects.remove(&wish.object),
        };
        if acks.send(()).is_err() {
            return known;
        }
    }
}

/// A calendar as a sync lists it: ETags by name, and the token.
#[derive(Clone, Debug)]
struct Listing {
    user: u64,
    calendar: usize,
    tags: BTreeMap<String, String>,
    token: String,
}

const SYNC: &str = "<D:sync-collection xmlns:D='DAV:'><D:sync-token>TOKEN</D:sync-token><D:sync-level>1</D:sync-level><D:prop><D:getetag/></D:prop></D:sync-collection>";

/// The entries of a sync, `None` for what is removed, and the new token; `None` if the server is gone.
fn sync(
    http: &Client,
    at: &str,
    token: &str,
) -> Option<(BTreeMap<String, Option<String>>, String)> {
    let answer = http
        .try_ask(
            "REPORT",
            at,
            &[("Depth", "0")],
            &SYNC.replace("TOKEN", token),
        )
        .ok()?;
    assert_eq!(
        answer.status,
        207,
        "sync of {at} from {token:?}: {}",
        answer.text()
    );
    let root = tree::parse(&answer.text()).unwrap();
    let mut entries = BTreeMap::new();
    for response in root.all("D:response") {
        let href = response.child("D:href").unwrap().text.clone();
        let name = href.rsplit('/').next().unwrap().to_owned();
        let removed = response
            .child("D:status")
            .is_some_and(|s| s.text.contains("404"));
        let tag = response
            .at("D:propstat/D:prop/D:getetag")
            .first()
            .map(|n| n.text.clone());
        assert!(
            removed || tag.is_some(),
            "{href} has neither 404 nor an ETag"
        );
        let twice = entries.insert(name, if removed { None } else { tag });
        assert!(twice.is_none(), "{href} is listed twice");
    }
    let token = root.child("D:sync-token").unwrap().text.trim().to_owned();
    Some((entries, token))
}

fn listing(http: &Client, user: u64, calendar: usize) -> Option<Listing> {
    let (entries, token) = sync(http, &folder(user, calendar), "")?;
    let tags = entries
        .into_iter()
        .map(|(name, tag)| (name, tag.expect("an initial sync lists no removed member")));
    Some(Listing {
        user,
        calendar,
        tags: tags.collect(),
        token,
    })
}

/// What a token from before must give, now that the calendar is as `now`.
fn difference_is_right(http: &Client, before: &Listing, now: &Listing) {
    let at = folder(before.user, before.calendar);
    let (entries, _) = sync(http, &at, &before.token).expect("the server runs");
    for (name, tag) in &entries {
        assert_eq!(
            tag.as_ref(),
            now.tags.get(name),
            "{at}{name}: the difference says what is not so"
        );
    }
    let names = before.tags.keys().chain(now.tags.keys());
    for name in names.filter(|n| before.tags.get(*n) != now.tags.get(*n)) {
        assert!(
            entries.contains_key(name),
            "{at}{name} was {:?} at {}, is {:?}, and the difference says nothing of it: {entries:?}",
            before.tags.get(name),
            before.token,
            now.tags.get(name)
        );
    }
}

/// Every object of a client is as it was acknowledged; the unanswered change happened wholly or not at all.
fn verify(client: u64, http: &Client, known: &mut Knowledge, now: &[Listing]) {
    let here = |object: u64| -> Vec<usize> {
        let listed =
            |l: &&Listing| l.user == client % USERS && l.tags.contains_key(&name(client, object));
        now.iter().filter(listed).map(|l| l.calendar).collect()
    };
    if let Some((object, to)) = known.pending.take() {
        let from = known.objects.get(&object).copied();
        let found = here(object);
        assert!(
            found.len() <= 1,
            "client {client}, object {object}: a move left it in both calendars"
        );
        let place = found.first().map(|calendar| {
            let text = http
                .ask("GET", &path(client, *calendar, object), &[], "")
                .text();
            let whole = [from, to]
                .into_iter()
                .flatten()
                .find(|p| text == body(client, object, p.version));
            let version = whole
                .unwrap_or_else(|| {
                    panic!("client {client}, object {object}: half written:\n{text}")
                })
                .version;
            Place {
                calendar: *calendar,
                version,
            }
        });
        assert!(
            place == from || place == to,
            "client {client}, object {object}: {place:?} is neither {from:?} nor {to:?}"
        );
        match place {
            Some(place) => known.objects.insert(object, place),
            None => known.objects.remove(&object),
        };
    }
    for (object, place) in &known.objects {
        assert_eq!(
            here(*object),
            [place.calendar],
            "client {client}, object {object} was acknowledged as {place:?}"
        );
        let answer = http.ask("GET", &path(client, place.calendar, *object), &[], "");
        assert_eq!(
            answer.text(),
            body(client, *object, place.version),
            "client {client}, object {object}"
        );
    }
    let mine = format!("c{client}-");
    let listed = now
        .iter()
        .filter(|l| l.user == client % USERS)
        .flat_map(|l| l.tags.keys());
    let surplus: Vec<&String> = listed.filter(|n| n.starts_with(&mine)).collect();
    assert_eq!(
        surplus.len(),
        known.objects.len(),
        "client {client}: deleted objects came back among {surplus:?}"
    );
}

/// Damages sled's files in a way that the numbers choose; the journal is left alone.
fn damage(data: &Path, numbers: &mut Rng) -> &'static str {
    // A tree rebuilt while the server ran lies in `sled.N` until the next start.
    let Some(folder) = tree_folder(&data.join("store")) else {
        return "no tree of sled to damage";
    };
    match numbers.u64(..8) {
        0 => {
            fs::remove_dir_all(&folder).unwrap();
            "sled's folder removed"
        }
        1 => {
            let files = files_below(&folder);
            fs::remove_file(&files[numbers.u64(..files.len() as u64) as usize]).unwrap();
            "one of sled's files removed"
        }
        2 => {
            let files = files_below(&folder);
            let file = &files[numbers.u64(..files.len() as u64) as usize];
            let length = fs::metadata(file).unwrap().len();
            let file = fs::OpenOptions::new().write(true).open(file).unwrap();
            file.set_len(numbers.u64(..length + 1)).unwrap();
            "one of sled's files cut"
        }
        3 => {
            for file in files_below(&folder) {
                flip_bits(&file, numbers);
            }
            "bits flipped in sled's files"
        }
        // sled does not notice all of these by itself.
        4 => {
            flip_bits(&folder.join("db"), numbers);
            "bits flipped in sled's log"
        }
        _ => "nothing damaged",
    }
}

/// Where sled's tree is: the newest `sled` or `sled.N`, not one that was set aside.
fn tree_folder(store: &Path) -> Option<PathBuf> {
    let number = |name: &str| match name.strip_prefix("sled") {
        Some("") => Some(0),
        Some(rest) => rest.strip_prefix('.')?.parse::<u64>().ok(),
        None => None,
    };
    let entries = fs::read_dir(store).unwrap().map(|entry| entry.unwrap());
    entries
        .filter_map(|e| Some((number(e.file_name().to_str()?)?, e.path())))
        .max()
        .map(|(_, path)| path)
}

#[allow(
    clippy::disallowed_methods,
    reason = "how long a test runs is no setting of the server"
)]
fn number_from_environment(name: &str, otherwise: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|v| v.parse().ok())
        .unwrap_or(otherwise)
}

fn clients_of(server: &Running) -> Vec<Client> {
    (0..CLIENTS)
        .map(|c| Client::new(&server.origin, &user(c), PASSWORD))
        .collect()
}

fn listings(clients: &[Client]) -> Vec<Listing> {
    let of = |u: u64, c: usize| listing(&clients[u as usize], u, c).expect("the server runs");
    (0..USERS)
        .flat_map(|u| (0..CALENDARS.len()).map(move |c| (u, c)))
        .map(|(u, c)| of(u, c))
        .collect()
}

/// Lets all clients work until `enough` changes were acknowledged, then kills the server. Returns what the clients
/// know, and listings taken while they worked.
fn round(
    server: Running,
    known: Vec<Knowledge>,
    numbers: &mut Rng,
) -> (Vec<Knowledge>, Vec<Listing>) {
    let enough = 100 + numbers.u64(..400);
    let clients = clients_of(&server);
    let (send, acks) = mpsc::channel();
    let mut threads = Vec::new();
    for (client, known) in (0..CLIENTS).zip(known) {
        let (http, send, numbers) = (
            clients[client as usize].clone(),
            send.clone(),
            numbers.fork(),
        );
        threads.push(thread::spawn(move || {
            work(client, &http, known, numbers, &send)
        }));
    }
    drop(send);
    let mut seen = Vec::new();
    for done in 0..enough {
        acks.recv().expect("a client ended early");
        if done % 40 == 0 {
            let (user, calendar) = (numbers.u64(..USERS), numbers.u64(..2) as usize);
            seen.extend(listing(&clients[user as usize], user, calendar));
        }
    }
    server.kill();
    let known = threads
        .into_iter()
        .map(|t| t.join().expect("a client failed"))
        .collect();
    (known, seen)
}

#[test]
fn what_was_acknowledged_survives_the_death_of_the_process() {
    let rounds = number_from_environment("KALENDS_CRASH_ROUNDS", 20);
    let seed = number_from_environment("KALENDS_CRASH_SEED", 20_261_120);
    eprintln!("{rounds} rounds, seed {seed}");
    let folder = Folder::new("crash");
    let data = folder.data();
    let mut numbers = Rng::with_seed(seed);
    let mut server = Running::start(&data);
    for u in 0..USERS {
        server.add_user(&user(u), PASSWORD);
        let http = Client::new(&server.origin, &user(u), PASSWORD);
        assert_eq!(
            http.ask(
                "MKCALENDAR",
                &format!("/dav/calendars/{}/crash/", user(u)),
                &[],
                ""
            )
            .status,
            201
        );
    }
    let mut known: Vec<Knowledge> = (0..CLIENTS).map(|_| Knowledge::default()).collect();
    for number in 0..rounds {
        let mut before = listings(&clients_of(&server));
        let (now_known, seen) = round(server, known, &mut numbers);
        known = now_known;
        before.extend(seen);
        let how = damage(&data, &mut numbers);
        server = Running::start(&data);
        let clients = clients_of(&server);
        let now = listings(&clients);
        for client in 0..CLIENTS {
            verify(
                client,
                &clients[client as usize],
                &mut known[client as usize],
                &now,
            );
        }
        for old in &before {
            let current = now
                .iter()
                .find(|l| l.user == old.user && l.calendar == old.calendar)
                .unwrap();
            difference_is_right(&clients[old.user as usize], old, current);
        }
        check(&data);
        let objects: usize = known.iter().map(|k| k.objects.len()).sum();
        eprintln!(
            "round {number}: {how}; {objects} objects, {} tokens",
            before.len()
        );
    }
    assert_eq!(server.stop(), Some(0));
    check(&data);
}
