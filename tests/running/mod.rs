//! The real binary, started on a directory of its own and asked over HTTP.

#![allow(dead_code, unreachable_pub, reason = "each test uses a part")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use kalends::conform::wire::{self, Answer, Origin, Question};

/// How long a server may take to say where it listens.
const START: Duration = Duration::from_secs(60);

/// A directory that is removed at the end of a test that passed.
pub struct Folder(pub PathBuf);

impl Folder {
    /// An empty directory for the test of this name.
    pub fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("kalends-{name}-{}", std::process::id()));
        if path.exists() {
            fs::remove_dir_all(&path).unwrap();
        }
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    /// The data directory in it.
    pub fn data(&self) -> PathBuf {
        self.0.join("data")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("left for inspection: {}", self.0.display());
        } else {
            // What cannot be removed does no harm in a folder for temporary files.
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

/// A server that runs.
pub struct Running {
    child: Child,
    /// What it printed up to its URL.
    pub greeting: String,
    /// Where it listens.
    pub origin: Origin,
    data: PathBuf,
}

impl Running {
    /// Starts `kalends serve` on a free port of the loopback.
    pub fn start(data: &Path) -> Running {
        Running::start_with(data, &[])
    }

    /// As `start`, with more arguments.
    pub fn start_with(data: &Path, more: &[&str]) -> Running {
        Running::spawn(kalends(data).args(["serve"]).args(more), data)
    }

    /// README's command in an empty directory: nothing but `serve`, and a port that is free.
    pub fn start_in(folder: &Folder) -> Running {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kalends"));
        Running::spawn(command.arg("serve").current_dir(&folder.0), &folder.data())
    }

    fn spawn(command: &mut Command, data: &Path) -> Running {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(data.with_extension("log"))
            .unwrap();
        let mut child = command
            .args(["--listen", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (send, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    break;
                }
            }
        });
        let mut greeting = String::new();
        loop {
            let Ok(line) = lines.recv_timeout(START) else {
                // It may have ended already.
                let _ = child.kill();
                let _ = child.wait();
                let log = fs::read_to_string(data.with_extension("log")).unwrap_or_default();
                panic!("the server did not say where it listens; it said: {greeting}\n{log}");
            };
            greeting.push_str(&line);
            greeting.push('\n');
            let url = line
                .split_whitespace()
                .find(|word| word.starts_with("http://127.0.0.1:"));
            if let Some(url) = url {
                let origin = Origin::parse(url).unwrap();
                // The rest of what it prints is read, so that it is never blocked by a full pipe.
                thread::spawn(move || lines.iter().for_each(drop));
                return Running {
                    child,
                    greeting,
                    origin,
                    data: data.to_path_buf(),
                };
            }
        }
    }

    /// The URL a person would type.
    pub fn url(&self) -> String {
        format!("{}{}", self.origin.url(), self.origin.path)
    }

    /// Makes a user with a password and the address `NAME@example.org`.
    pub fn add_user(&self, name: &str, password: &str) {
        let address = format!("{name}@example.org");
        let output = run_with_input(
            kalends(&self.data).args([
                "user",
                "add",
                name,
                "--address",
                &address,
                "--password-stdin",
            ]),
            &format!("{password}\n"),
        );
        assert!(
            output.status.success(),
            "user add {name}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// The arguments that make a user, for the suite's target.
    pub fn make_user(&self) -> Vec<String> {
        self.words(
            "user add {name} --name Person_{name} --address {name}@example.org --password-stdin",
        )
    }

    /// The arguments that make a room with somebody in charge.
    pub fn make_room(&self) -> Vec<String> {
        self.words("resource add {name} --type room --address {address} --in-charge {bob}")
    }

    /// The arguments that make a group of two.
    pub fn make_group(&self) -> Vec<String> {
        self.words("group add {name} --address {address} --member {bob} --member {carol}")
    }

    /// The program on the data directory, with these words; `_` in a word is a space.
    fn words(&self, words: &str) -> Vec<String> {
        let start = [env!("CARGO_BIN_EXE_kalends"), "--data"].map(str::to_owned);
        let data = self.data.display().to_string();
        let words = words.split(' ').map(|word| word.replace('_', " "));
        start.into_iter().chain([data]).chain(words).collect()
    }

    /// Kills the process at once, as a crash does (SIGKILL).
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to stop (SIGTERM) and returns its exit code.
    pub fn stop(mut self) -> Option<i32> {
        let id = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &id])
                .status()
                .unwrap()
                .success()
        );
        self.child.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail where it was stopped already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program on a data directory.
pub fn kalends(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kalends"));
    command.arg("--data").arg(data);
    command
}

/// Runs a command to its end with something to read.
pub fn run_with_input(command: &mut Command, input: &str) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    child.wait_with_output().unwrap()
}

/// `kalends check`, which must find nothing.
pub fn check(data: &Path) {
    let output = kalends(data).arg("check").output().unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(output.status.code(), Some(0), "kalends check: {said}");
}

/// A user's way to ask a server.
#[derive(Clone)]
pub struct Client {
    /// Where the server is.
    pub origin: Origin,
    /// The `Authorization` value.
    pub authorization: Option<String>,
}

impl Client {
    /// A client with Basic credentials.
    pub fn new(origin: &Origin, name: &str, password: &str) -> Client {
        Client {
            origin: origin.clone(),
            authorization: Some(wire::basic(name, password)),
        }
    }

    /// Sends a request; the connection may break when the server dies.
    pub fn try_ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> std::io::Result<Answer> {
        let mut all: Vec<(String, String)> = headers
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect();
        if let Some(authorization) = &self.authorization {
            all.push(("Authorization".to_owned(), authorization.clone()));
        }
        let typed = all
            .iter()
            .any(|(n, _)| n.eq_ignore_ascii_case("content-type"));
        if !body.is_empty() && !typed {
            let kind = if body.starts_with("BEGIN:") {
                "text/calendar; charset=utf-8"
            } else {
                "application/xml"
            };
            all.push(("Content-Type".to_owned(), kind.to_owned()));
        }
        let body = (!body.is_empty()).then(|| body.as_bytes().to_vec());
        let question = Question {
            method: method.to_owned(),
            target: path.to_owned(),
            headers: all,
            body,
        };
        wire::ask(&self.origin, &question)
    }

    /// Sends a request to a server that is there.
    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        self.try_ask(method, path, headers, body)
            .unwrap_or_else(|e| panic!("{method} {path}: {e}"))
    }
}

/// All files below a folder, in order.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path))
        } else {
            files.push(path)
        }
    }
    files.sort();
    files
}

/// Flips eight bits of a file, unless it is empty; answers in which bytes.
pub fn flip_bits(file: &Path, numbers: &mut fastrand::Rng) -> Vec<usize> {
    let mut bytes = fs::read(file).unwrap();
    let mut places = Vec::new();
    for _ in 0..8 {
        let at = numbers.usize(..bytes.len().max(1));
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 1 << numbers.u32(..8);
            places.push(at);
        }
    }
    fs::write(file, bytes).unwrap();
    places
}
