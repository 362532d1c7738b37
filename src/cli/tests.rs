//! Commands, run on a store and through a server's socket.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use clap::Parser;
use tokio::sync::watch;

use super::args::{Action, Command, ImportFile, Program, User};
use super::control::{Control, Reach};
use super::failure::Code;
use super::import_files::send;
use super::open::{Missing, open};
use super::output::{Out, Printer, Reply};
use super::run::{Ground, run};
use super::settings::{Engine, Settings};
use crate::auth::password::Cost;
use crate::ical::Timestamp;
use crate::schedule::queue::{Kind, MailItem, Payload};
use crate::store::{Actor, Change, Id, LocalMessage, MailMessage};
use crate::testing::Scratch;

const NOW: Timestamp = Timestamp(1_800_000_000);

async fn ground(engine: Engine, data: PathBuf) -> Ground {
    let mut settings = Settings::default();
    settings.store.engine = engine;
    settings.store.reserve.0 = 0;
    settings.server.data = data;
    let ground = open(&settings, Missing::Make).await.unwrap();
    Ground {
        cost: Cost::LEAST,
        ..ground
    }
}

async fn in_memory() -> Ground {
    ground(Engine::Memory, PathBuf::new()).await
}

fn command(line: &str) -> Command {
    let words = std::iter::once("kalends").chain(line.split_whitespace());
    let Action::Store(mut command) = Program::try_parse_from(words).unwrap().action else {
        panic!("{line} is no command on the store");
    };
    if let Command::User(User::Add { password, .. } | User::Passwd { password, .. }) = &mut command
    {
        password.text = Some("secret".to_owned());
    }
    command
}

/// What a command says, and its exit code.
async fn say(ground: &Ground, command: Command) -> (Vec<Reply>, u8) {
    let (out, mut said) = Out::channel();
    let ground = ground.clone();
    tokio::spawn(async move {
        let result = run(command, &ground, NOW, &out).await;
        out.end(result).await;
    });
    let mut replies = Vec::new();
    let mut code = 0;
    while let Some(reply) = said.recv().await {
        if let Reply::End { code: end, .. } = &reply {
            code = *end;
        }
        replies.push(reply);
    }
    (replies, code)
}

async fn text(ground: &Ground, line: &str) -> String {
    let (replies, code) = say(ground, command(line)).await;
    assert_eq!(code, 0, "{line}: {replies:?}");
    let lines = replies.into_iter().filter_map(|reply| match reply {
        Reply::Out(text) => Some(text),
        _ => None,
    });
    lines.collect::<Vec<_>>().join("\n")
}

async fn code(ground: &Ground, line: &str) -> u8 {
    say(ground, command(line)).await.1
}

#[tokio::test]
async fn people_are_added_shown_changed_and_removed() {
    let ground = in_memory().await;
    text(
        &ground,
        "user add alice --name Alice --address alice@example.org --address a@example.net",
    )
    .await;
    text(&ground, "user add bob").await;
    text(&ground, "group add staff --member alice").await;
    let list = text(&ground, "user list").await;
    assert!(
        list.contains("alice  Alice     alice@example.org a@example.net"),
        "{list}"
    );
    text(
        &ground,
        "user set alice --address new@example.org --timezone Europe/Berlin --admin true",
    )
    .await;
    let shown: serde_json::Value =
        serde_json::from_str(&text(&ground, "user show alice --json").await).unwrap();
    assert_eq!(
        shown["addresses"],
        serde_json::json!(["mailto:new@example.org"])
    );
    assert_eq!(shown["timezone"], "Europe/Berlin");
    assert_eq!(shown["admin"], true);
    assert_eq!(shown["groups"], serde_json::json!(["staff"]));
    assert_eq!(shown["calendars"][0]["name"], "calendar");
    text(&ground, "user passwd alice").await;
    text(&ground, "user remove bob").await;
    for (line, expected) in [
        ("user show bob", Code::NotFound),
        ("user remove bob", Code::NotFound),
        ("user show staff", Code::NotFound),
        ("user add alice", Code::Refused),
        ("user add a/b", Code::Usage),
        ("user add carol --address new@example.org", Code::Refused),
        ("user set alice --address nonsense", Code::Usage),
        ("user set alice --timezone Mars/Olympus", Code::Usage),
        ("user set alice --locale de_DE", Code::Usage),
        ("group add empty --member nobody", Code::NotFound),
        ("group set staff --add staff", Code::Refused),
        ("calendar list nobody", Code::NotFound),
        ("calendar add alice tasks", Code::Refused),
        ("calendar add alice x --component VEVEN", Code::Usage),
        ("calendar remove alice inbox", Code::NotFound),
        ("calendar remove alice calendar", Code::Refused),
        ("history list alice nothing", Code::NotFound),
        ("history show alice calendar --at yesterday", Code::Usage),
        ("app-password remove alice phone", Code::NotFound),
        ("export alice out --calendar nothing", Code::NotFound),
    ] {
        assert_eq!(code(&ground, line).await, expected as u8, "{line}");
    }
    let groups = text(&ground, "group list").await;
    assert!(
        !groups.contains("empty"),
        "a typing error makes no group: {groups}"
    );
}

const STREAM: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\n\
    BEGIN:VEVENT\r\nUID:one\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:20260105T100000Z\r\nEND:VEVENT\r\n\
    BEGIN:VTODO\r\nUID:two\r\nDTSTAMP:20260101T000000Z\r\nEND:VTODO\r\n\
    BEGIN:VJOURNAL\r\nUID:three\r\nDTSTAMP:20260101T000000Z\r\nEND:VJOURNAL\r\n\
    END:VCALENDAR\r\n";

fn import(line: &str, stream: &str) -> Command {
    let Command::Import(mut import) = command(line) else {
        panic!("{line} imports nothing");
    };
    import.files = vec![ImportFile {
        counted: "file".to_owned(),
        calendar: import.calendar.clone(),
        text: stream.to_owned(),
        ..ImportFile::default()
    }];
    Command::Import(import)
}

/// How many objects were stored, there already and refused, and the exit code.
async fn imported(ground: &Ground, line: &str, stream: &str) -> ([u64; 3], u8) {
    let (replies, code) = say(ground, import(line, stream)).await;
    let last = replies.iter().rev().find_map(|reply| match reply {
        Reply::Imported {
            stored,
            kept,
            refused,
            ..
        } => Some([*stored, *kept, *refused]),
        _ => None,
    });
    (last.unwrap(), code)
}

#[tokio::test]
async fn what_is_imported_keeps_its_uid_and_is_exported_again() {
    let ground = in_memory().await;
    text(&ground, "user add alice").await;
    let findings = Code::Findings as u8;
    let first = imported(&ground, "import alice x", STREAM).await;
    assert_eq!(first, ([2, 0, 1], findings));
    let again = imported(&ground, "import alice x", STREAM).await;
    assert_eq!(again, ([0, 2, 1], findings));
    let changed = STREAM.replace("T100000Z", "T110000Z");
    let replaced = imported(&ground, "import alice x --replace", &changed).await;
    assert_eq!(replaced.0, [2, 0, 1]);
    let named = imported(&ground, "import alice x --calendar all", STREAM).await;
    assert_eq!(named, ([3, 0, 0], 0));
    let (files, _) = say(&ground, command("export alice out")).await;
    let files: Vec<(&str, &str)> = files
        .iter()
        .filter_map(|reply| match reply {
            Reply::File { path, text } => Some((path.as_str(), text.as_str())),
            _ => None,
        })
        .collect();
    let names: Vec<&str> = files.iter().map(|(path, _)| *path).collect();
    assert_eq!(names, ["all.ics", "calendar.ics", "tasks.ics"]);
    assert!(
        files[1].1.contains("UID:one") && files[1].1.contains("T110000Z"),
        "{files:?}"
    );
    assert!(files[0].1.contains("UID:three"));
    let split = text_files(&ground, "export alice out --split").await;
    assert_eq!(split.len(), 5, "{split:?}");
    assert!(split.contains(&"all/three.ics".to_owned()), "{split:?}");
}

async fn text_files(ground: &Ground, line: &str) -> Vec<String> {
    let (replies, _) = say(ground, command(line)).await;
    let paths = replies.into_iter().filter_map(|reply| match reply {
        Reply::File { path, .. } => Some(path),
        _ => None,
    });
    paths.collect()
}

/// Exports somebody's calendars to a folder, with the program's own printer.
async fn export_to(reach: &mut Reach, line: &str, folder: PathBuf) -> BTreeMap<PathBuf, String> {
    let mut printer = Printer::new(Some(folder.clone()));
    assert_eq!(reach.run(command(line), &mut printer).await.unwrap(), 0);
    let mut files = BTreeMap::new();
    for calendar in std::fs::read_dir(&folder).unwrap() {
        for file in std::fs::read_dir(calendar.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            files.insert(path.strip_prefix(&folder).unwrap().to_owned(), text);
        }
    }
    files
}

#[tokio::test]
async fn what_is_exported_and_imported_is_the_same_with_its_names() {
    let folder = Scratch::new();
    let mut ground = in_memory().await;
    ground.limits.resource_bytes = 2_000;
    text(&ground, "user add alice").await;
    text(&ground, "user add bob").await;
    let odd = ["plain.ics", ".hidden", "a?b/ü 100%41.ics", "other"];
    let object = |name: &str, number: usize, kind: &str| {
        let uid = format!("{number}@example.org");
        let note = "x".repeat(if number == 700 { 2_000 } else { 500 });
        ImportFile {
            calendar: Some("my.work/1".to_owned()),
            components: vec!["VEVENT".to_owned(), "VTODO".to_owned()],
            object: Some(name.to_owned()),
            text: format!(
                "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:p{number}\r\nBEGIN:{kind}\r\n\
                 UID:{uid}\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:20260105T100000Z\r\n\
                 X-NOTE:{note}\r\nEND:{kind}\r\nEND:VCALENDAR\r\n"
            ),
            ..ImportFile::default()
        }
    };
    let many: Vec<String> = (4..1_000).map(|number| format!("{number}.ics")).collect();
    let names = odd.into_iter().chain(many.iter().map(String::as_str));
    let files = names.enumerate().map(|(number, name)| match number {
        2 => object(name, number, "VTODO"),
        _ => object(name, number, "VEVENT"),
    });
    // The same UID again, as two files of one folder may have it.
    let mut files: Vec<ImportFile> = files.collect();
    files.push(object("again.ics", 3, "VEVENT"));
    let Command::Import(mut asked) = command("import alice x") else {
        panic!("it imports nothing");
    };
    asked.files = files;
    let (replies, code) = say(&ground, Command::Import(asked)).await;
    assert_eq!(code, Code::Findings as u8);
    let refused: Vec<&Reply> = replies
        .iter()
        .filter(|reply| matches!(reply, Reply::Note(note) if note.contains("refused")))
        .collect();
    assert_eq!(refused.len(), 1, "the one that is too long: {refused:?}");
    let mut reach = Reach::Store(Box::new(ground.clone()));
    let [one, two] = ["one", "two"].map(|name| folder.path().join(name));
    let import = format!("import bob {}", one.display());
    let first = export_to(&mut reach, "export alice x --split", one).await;
    assert_eq!(first.len(), 999);
    let Command::Import(asked) = command(&import) else {
        panic!("it imports nothing");
    };
    let mut printer = Printer::new(None);
    assert_eq!(send(asked, &mut reach, &mut printer).await.unwrap(), 0);
    let second = export_to(&mut reach, "export bob x --split", two).await;
    assert!(first == second, "not the same files");
    let bob = ground.store.directory().await.unwrap();
    let bob = bob.by_name("bob").unwrap().id;
    let home = ground.store.home(bob).await.unwrap();
    let calendar = home.collection("my.work/1").unwrap();
    for name in ["plain.ics", ".hidden.ics", "a?b/ü 100%41.ics"] {
        assert!(
            home.header(calendar, name).await.unwrap().is_some(),
            "{name}"
        );
    }
    assert!(home.revision() < 10, "an object is no commit of its own");
}

#[tokio::test]
async fn a_removed_calendar_comes_back() {
    let ground = in_memory().await;
    text(&ground, "user add alice").await;
    imported(&ground, "import alice x --calendar all", STREAM).await;
    text(&ground, "calendar remove alice all").await;
    assert!(!text(&ground, "calendar list alice").await.contains("all"));
    let shown = text(&ground, "history show alice").await;
    assert!(shown.contains("removed at"), "{shown}");
    let at = "--at 2027-01-15T08:00:00Z";
    text(&ground, &format!("history restore alice all {at}")).await;
    let list = text(&ground, "calendar list alice --json").await;
    assert!(
        list.contains("\"name\":\"all\"") && list.contains("\"objects\":3"),
        "{list}"
    );
    let history = text(&ground, "history list alice all/one.ics").await;
    assert!(history.contains("import"), "{history}");
    let object = text(&ground, &format!("history show alice all/one.ics {at}")).await;
    assert!(object.contains("UID:one"), "{object}");
}

#[tokio::test]
async fn the_last_change_is_taken_back_also_one_of_the_same_second() {
    let ground = in_memory().await;
    text(&ground, "user add alice").await;
    imported(&ground, "import alice x --calendar all", STREAM).await;
    let one = "alice all/one.ics";
    let gone = text(&ground, &format!("history restore {one}")).await;
    assert!(gone.contains("0 objects written, 1 removed"), "{gone}");
    let shown = text(&ground, &format!("history show {one}")).await;
    assert!(shown.contains("UID:one"), "{shown}");
    let back = text(&ground, &format!("history restore {one}")).await;
    assert!(back.contains("1 objects written, 0 removed"), "{back}");
    text(&ground, "calendar remove alice all").await;
    for (place, wanted) in [("all", true), ("", false), ("", true)] {
        let done = text(&ground, &format!("history restore alice {place}")).await;
        assert!(done.contains("As it was before the last change"), "{done}");
        let list = text(&ground, "calendar list alice --json").await;
        let there = list.contains("\"name\":\"all\"") && list.contains("\"objects\":3");
        assert_eq!(there, wanted, "{list}");
    }
}

#[tokio::test]
async fn a_running_server_runs_the_same_commands() {
    let folder = Scratch::new();
    // Deep enough that the socket's path would be too long for the system.
    let data = folder.path().join("d".repeat(60)).join("e".repeat(60));
    let ground = ground(Engine::Sled, data.clone()).await;
    assert!(Reach::server(&data).await.is_none());
    let (stop, stopped) = watch::channel(false);
    let control = Control::open(&data).unwrap();
    let serving = tokio::spawn(control.serve(ground.clone(), stopped));
    let mut printer = Printer::new(Some(folder.path().join("out")));
    let mut reach = Reach::server(&data).await.unwrap();
    for (line, expected) in [
        ("user add alice", 0),
        ("user add alice", Code::Refused as u8),
        ("user show bob", Code::NotFound as u8),
        ("app-password add alice phone", 0),
    ] {
        assert_eq!(
            reach.run(command(line), &mut printer).await.unwrap(),
            expected,
            "{line}"
        );
    }
    let stored = reach
        .run(
            import("import alice x --calendar all", STREAM),
            &mut printer,
        )
        .await;
    assert_eq!(stored.unwrap(), 0);
    assert_eq!(
        reach
            .run(command("export alice x"), &mut printer)
            .await
            .unwrap(),
        0
    );
    let exported = std::fs::read_to_string(folder.path().join("out/all.ics")).unwrap();
    assert!(exported.contains("UID:two"), "{exported}");
    let file = folder.path().join("backup");
    let backup = Command::BackUp { file: file.clone() };
    assert_eq!(reach.run(backup.clone(), &mut printer).await.unwrap(), 0);
    assert_eq!(
        reach.run(backup, &mut printer).await.unwrap(),
        Code::Refused as u8,
        "no file is replaced"
    );
    assert_eq!(
        text(&ground, "user list --json")
            .await
            .matches("\"name\"")
            .count(),
        1
    );
    stop.send(true).unwrap();
    serving.await.unwrap();
    assert!(Reach::server(&data).await.is_none());
    let engine = ground.engine.clone().unwrap();
    tokio::task::spawn_blocking(move || engine.close())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_store_is_checked() {
    let ground = in_memory().await;
    text(&ground, "user add alice").await;
    imported(&ground, "import alice x", STREAM).await;
    let said = text(&ground, "check").await;
    assert!(said.ends_with("all is well."), "{said}");
    let json: serde_json::Value =
        serde_json::from_str(&text(&ground, "check --repair --json").await).unwrap();
    assert_eq!(json["objects"], 2);
    assert_eq!(json["findings"], serde_json::json!([]));
}

#[tokio::test]
async fn a_store_that_is_not_there_is_not_made_by_looking() {
    let folder = Scratch::new();
    let mut settings = Settings::default();
    settings.server.data = folder.path().join("data");
    let failure = open(&settings, Missing::Refuse).await.err().unwrap();
    assert_eq!(failure.code, Code::Store);
    assert!(!settings.server.data.exists());
}

#[tokio::test]
async fn a_store_in_use_is_refused_with_a_sentence() {
    let folder = Scratch::new();
    let ground = ground(Engine::Sled, folder.path().to_owned()).await;
    let mut settings = Settings::default();
    settings.server.data = folder.path().to_owned();
    let failure = open(&settings, Missing::Make).await.err().unwrap();
    assert_eq!(failure.code, Code::Store);
    assert!(
        failure.sentence.contains("is used by another server"),
        "{failure}"
    );
    assert!(!failure.sentence.contains('\n'));
    let engine = ground.engine.clone().unwrap();
    tokio::task::spawn_blocking(move || engine.close())
        .await
        .unwrap();
}

#[tokio::test]
async fn the_data_is_its_owners_alone() {
    let folder = Scratch::new();
    let data = folder.path().join("data");
    let ground = ground(Engine::Sled, data.clone()).await;
    let control = Control::open(&data).unwrap();
    let mode = |path: PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(data.clone()), 0o700);
    assert_eq!(mode(data.join("control.sock")), 0o600);
    drop(control);
    let engine = ground.engine.clone().unwrap();
    tokio::task::spawn_blocking(move || engine.close())
        .await
        .unwrap();
}

#[tokio::test]
async fn nobody_is_removed_while_mails_to_their_guests_wait() {
    let ground = in_memory().await;
    text(&ground, "user add alice --address alice@example.org").await;
    let directory = ground.store.directory().await.unwrap();
    let alice = directory.by_name("alice").unwrap().id;
    let source = LocalMessage {
        to: alice,
        from: alice,
        uid: "1".to_owned(),
        revision: 1,
        collection: alice,
        name: "1.ics".to_owned(),
        old: None,
        new: None,
        payload: Payload {
            kind: Kind::Change,
            at: NOW,
        }
        .encode(),
    };
    let item = MailItem {
        source,
        to: "mailto:bob@example.com".to_owned(),
        note: String::new(),
    };
    let mut change = Change::new(NOW, Actor::default(), "a mail that waits");
    change.queue_mail(&MailMessage {
        id: Id::from_bytes([7; 16]),
        due: NOW.add_seconds(30),
        payload: item.encode(),
    });
    let turn = ground.store.turn(&[]).await.unwrap();
    ground.store.commit(change, turn).await.unwrap();

    let (replies, refused) = say(&ground, command("user remove alice")).await;
    assert_eq!(refused, Code::Refused as u8);
    let sentence = format!("{replies:?}");
    assert!(
        sentence.contains("mails about their meetings wait (1)"),
        "{sentence}"
    );
    let list = text(&ground, "mail list --json").await;
    assert!(list.contains("bob@example.com"), "it is lost: {list}");
    let due = ground.store.mail_due(NOW, 9).await.unwrap();
    assert_eq!(due.len(), 1, "it does not wait for more edits");
    text(&ground, "user show alice").await;
    text(&ground, "mail drop 0707").await;
    text(&ground, "user remove alice").await;
    assert_eq!(code(&ground, "user show alice").await, Code::NotFound as u8);
}
