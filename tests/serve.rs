//! The program itself: its first start, its signals, its exit codes.

#![allow(clippy::unwrap_used, reason = "tests")]

mod running;

use base64::Engine as _;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use running::Folder;

/// Nothing here takes longer.
const PATIENCE: Duration = Duration::from_secs(30);

impl Folder {
    /// Settings with these lines, for a server on a free port.
    fn settings(&self, more: &str) -> PathBuf {
        let file = self.0.join("server.toml");
        fs::write(
            &file,
            format!("[server]\nlisten = [\"127.0.0.1:0\"]\n{more}\n"),
        )
        .unwrap();
        file
    }
}

fn kalends(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kalends"));
    command.current_dir(folder).args(words).stdin(Stdio::null());
    command
}

fn run(folder: &Folder, words: &[&str]) -> Output {
    kalends(&folder.0, words).output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A server that runs until the test ends it.
struct Server {
    child: Option<Child>,
    /// What it printed up to the line about adding people.
    greeting: String,
    log: mpsc::Receiver<String>,
}

impl Server {
    fn start(folder: &Folder, words: &[&str]) -> Server {
        let mut child = kalends(&folder.0, words)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = lines(child.stderr.take().unwrap());
        let said = lines(child.stdout.take().unwrap());
        let mut greeting = String::new();
        while !greeting.contains("Add people") {
            let line = said.recv_timeout(PATIENCE).unwrap();
            greeting.push_str(&line);
            greeting.push('\n');
        }
        Server {
            child: Some(child),
            greeting,
            log,
        }
    }

    fn address(&self) -> &str {
        let url = self.greeting.split("http://").nth(1).unwrap();
        url.split('/').next().unwrap()
    }

    fn password(&self) -> Option<&str> {
        let line = self
            .greeting
            .lines()
            .find(|line| line.trim_start().starts_with("password "))?;
        line.split_whitespace().nth(1)
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let id = self.child.as_ref().unwrap().id();
        let id = rustix::process::Pid::from_raw(i32::try_from(id).unwrap()).unwrap();
        rustix::process::kill_process(id, signal).unwrap();
    }

    /// Waits for its end, not for ever.
    fn end(mut self) -> ExitStatus {
        let mut child = self.child.take().unwrap();
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || sender.send(child.wait().unwrap()));
        receiver.recv_timeout(PATIENCE).unwrap()
    }

    /// Whether a line of the log holds a text, before the log is silent.
    fn logs(&self, text: &str) -> bool {
        while let Ok(line) = self.log.recv_timeout(PATIENCE) {
            if line.contains(text) {
                return true;
            }
        }
        false
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn lines(from: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

fn ask(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn propfind(address: &str, user: &str, password: &str) -> String {
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    ask(
        address,
        &format!(
            "PROPFIND /dav/calendars/{user}/ HTTP/1.1\r\nHost: {address}\r\nDepth: 0\r\nConnection: close\r\nAuthorization: Basic {pair}\r\n\r\n"
        ),
    )
}

#[test]
fn the_first_start_makes_everything_and_a_signal_ends_it() {
    let folder = Folder::new("first");
    folder.settings("");
    let server = Server::start(&folder, &["serve"]);
    let mode = fs::metadata(folder.0.join("data"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700);
    let password = server.password().unwrap().to_owned();
    let address = server.address().to_owned();
    let answer = propfind(&address, "admin", &password);
    assert!(answer.starts_with("HTTP/1.1 207"), "{answer}");
    let wrong = propfind(&address, "admin", "wrong");
    assert!(wrong.starts_with("HTTP/1.1 401"), "{wrong}");
    assert!(
        wrong.contains("www-authenticate: Basic realm=\"Kalends\"\r\n"),
        "{wrong}"
    );
    // Commands reach the running server.
    let added = kalends(&folder.0, &["user", "add", "alice", "--password-stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .and_then(|mut child| {
            child.stdin.take().unwrap().write_all(b"password1\n")?;
            child.wait_with_output()
        })
        .unwrap();
    assert_eq!(code(&added), 0);
    assert!(
        stderr(&added).contains("warning"),
        "a weak password is told: {}",
        stderr(&added)
    );
    assert!(propfind(&address, "alice", "password1").starts_with("HTTP/1.1 207"));
    server.signal(rustix::process::Signal::TERM);
    assert_eq!(server.end().code(), Some(0));
    assert!(!folder.0.join("data/control.sock").exists());
    // The next start makes no account and knows the old one; commands work between.
    let list = run(&folder, &["user", "list", "--json"]);
    assert!(String::from_utf8_lossy(&list.stdout).contains("alice"));
    let server = Server::start(&folder, &["serve"]);
    assert_eq!(server.password(), None);
    assert!(propfind(server.address(), "admin", &password).starts_with("HTTP/1.1 207"));
    server.signal(rustix::process::Signal::INT);
    assert_eq!(server.end().code(), Some(0));
}

#[test]
fn who_adds_people_first_gets_no_account_beside_them() {
    let folder = Folder::new("people-first");
    folder.settings("");
    let add = ["user", "add", "alice", "--admin", "--password-stdin"];
    let added = kalends(&folder.0, &add)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .and_then(|mut child| {
            let password = b"a long enough password\n";
            child.stdin.take().unwrap().write_all(password)?;
            child.wait()
        });
    assert_eq!(added.unwrap().code(), Some(0));
    let server = Server::start(&folder, &["serve"]);
    assert_eq!(server.password(), None);
    let list = run(&folder, &["user", "list"]);
    assert!(!String::from_utf8_lossy(&list.stdout).contains("\nadmin "));
    assert!(
        propfind(server.address(), "alice", "a long enough password").starts_with("HTTP/1.1 207")
    );
    server.signal(rustix::process::Signal::TERM);
    assert_eq!(server.end().code(), Some(0));
}

#[test]
fn a_stuck_client_does_not_hold_up_the_end() {
    let folder = Folder::new("stuck");
    folder.settings("[http]\nshutdown = \"1 s\"");
    let server = Server::start(&folder, &["serve"]);
    let mut stuck = TcpStream::connect(server.address()).unwrap();
    stuck
        .write_all(b"PUT /dav/x HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
        .unwrap();
    // An answer to somebody else shows that the server goes on.
    assert!(propfind(server.address(), "admin", "x").starts_with("HTTP/1.1 401"));
    server.signal(rustix::process::Signal::TERM);
    assert_eq!(server.end().code(), Some(0));
}

#[test]
fn a_second_server_on_the_same_data_gets_one_clear_line() {
    let folder = Folder::new("second");
    folder.settings("");
    let server = Server::start(&folder, &["serve"]);
    let second = run(&folder, &["serve"]);
    assert_eq!(code(&second), 5);
    let said = stderr(&second);
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("is used by another server"), "{said}");
    let taken = format!("http://{}", server.address());
    let other = run(&folder, &["serve", "--data", "other", "--listen", &taken]);
    assert_eq!(code(&other), 1);
    assert_eq!(stderr(&other).lines().count(), 1, "{}", stderr(&other));
}

#[test]
fn a_hangup_reads_the_log_level_and_certificate_again() {
    let folder = Folder::new("hangup");
    let tls = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/tls");
    for (from, to) in [("one.pem", "pem"), ("one.key.pem", "key")] {
        fs::copy(tls.join(from), folder.0.join(to)).unwrap();
    }
    let file = folder.settings("certificate = \"pem\"\nkey = \"key\"\n[log]\nlevel = \"info\"");
    // Clear text, so that a test without a TLS client can ask.
    let text = fs::read_to_string(&file)
        .unwrap()
        .replace("127", "http://127");
    fs::write(&file, &text).unwrap();
    let server = Server::start(&folder, &["serve"]);
    propfind(server.address(), "admin", "one");
    fs::write(&file, text.replace("\"info\"", "\"debug\"")).unwrap();
    server.signal(rustix::process::Signal::HUP);
    assert!(server.logs("the certificate was read again"));
    assert!(server.logs("reloaded"));
    propfind(server.address(), "admin", "two");
    assert!(server.logs("answered"));
    // What is wrong leaves things as they are.
    fs::write(&file, "nonsense").unwrap();
    fs::write(folder.0.join("pem"), "nonsense").unwrap();
    server.signal(rustix::process::Signal::HUP);
    assert!(server.logs("the settings stay"));
    assert!(server.logs("the certificate stays"));
    assert!(propfind(server.address(), "admin", "three").starts_with("HTTP/1.1 401"));
}

#[test]
fn backups_are_made_on_schedule_and_the_newest_kept() {
    let folder = Folder::new("schedule");
    folder.settings("[backup]\nfolder = \"backups\"\nkeep = 1");
    fs::create_dir(folder.0.join("backups")).unwrap();
    let old = folder.0.join("backups/kalends-20200101T000000Z.backup");
    fs::write(&old, "old").unwrap();
    let server = Server::start(&folder, &["serve"]);
    assert!(server.logs("a backup was written"));
    let made: Vec<PathBuf> = fs::read_dir(folder.0.join("backups"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(made.len(), 1, "{made:?}");
    assert_ne!(made[0], old);
}

#[test]
fn mistakes_have_a_sentence_and_a_code() {
    let folder = Folder::new("mistakes");
    let file = folder.settings("[http]\nidel = \"3 s\"");
    let output = run(&folder, &["serve"]);
    assert_eq!(code(&output), 2);
    assert!(
        stderr(&output).contains("server.toml, line 4, http.idel: unknown field"),
        "{}",
        stderr(&output)
    );
    fs::remove_file(file).unwrap();
    for (words, expected) in [
        (&["frobnicate"][..], 2),
        (&["user", "add"], 2),
        (&["serve", "--listen", "nowhere"], 2),
        (&["serve", "--config", "missing.toml"], 2),
        (&["user", "list"], 5),
        (&["user", "add", "alice"], 2),
        (&["backup", "verify", "missing"], 3),
        (&["dns", "not a domain"], 2),
        (&["dns", "example.org"], 0),
        (&["--help"], 0),
        (&["--version"], 0),
    ] {
        let output = run(&folder, words);
        assert_eq!(code(&output), expected, "{words:?} {}", stderr(&output));
        assert_eq!(stderr(&output).is_empty(), expected == 0, "{words:?}");
    }
    for command in [
        "check",
        "serve",
        "user",
        "group",
        "resource",
        "app-password",
        "calendar",
        "export",
        "import",
        "history",
        "backup",
        "restore",
        "dns",
    ] {
        let help = run(&folder, &[command, "--help"]);
        let text = String::from_utf8(help.stdout).unwrap();
        assert!(text.contains("Usage: kalends"), "{command}: {text}");
    }
}

#[test]
fn a_backup_becomes_a_store_again() {
    let folder = Folder::new("backup");
    folder.settings("");
    let server = Server::start(&folder, &["serve"]);
    assert_eq!(code(&run(&folder, &["backup", "one.backup"])), 0);
    assert_eq!(
        code(&run(&folder, &["backup", "one.backup"])),
        4,
        "no file is replaced"
    );
    server.signal(rustix::process::Signal::TERM);
    assert_eq!(server.end().code(), Some(0));
    assert_eq!(code(&run(&folder, &["backup", "verify", "one.backup"])), 0);
    assert_eq!(
        code(&run(&folder, &["restore", "one.backup", "--data", "data"])),
        5,
        "not over a store"
    );
    assert_eq!(
        code(&run(&folder, &["restore", "one.backup", "--data", "new"])),
        0
    );
    let list = run(&folder, &["user", "list", "--data", "new"]);
    assert!(String::from_utf8_lossy(&list.stdout).contains("admin"));
    let mut damaged = fs::read(folder.0.join("one.backup")).unwrap();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    fs::write(folder.0.join("bad.backup"), damaged).unwrap();
    let verified = run(&folder, &["backup", "verify", "bad.backup"]);
    assert_eq!(code(&verified), 6);
    assert!(
        stderr(&verified).contains("bad.backup"),
        "{}",
        stderr(&verified)
    );
}
