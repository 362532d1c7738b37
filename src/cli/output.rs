//! What a command says, whoever runs it: the command sends replies, and they
//! are printed here, after a trip through a socket or without one.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::failure::Failure;
use crate::dav::decode;

/// One thing a command says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reply {
    /// A line for standard output.
    Out(String),
    /// A line for standard error.
    Note(String),
    /// How far a long command has come.
    Progress {
        /// What is done.
        done: u64,
        /// Of how much; 0 if that is not known.
        of: u64,
        /// Of what.
        what: String,
    },
    /// A file for the one who asked.
    File {
        /// The name, relative to the place that was asked for.
        path: String,
        /// The contents.
        text: String,
    },
    /// What became of objects that were imported. What belongs to one file or folder is added up,
    /// and printed when all is done.
    Imported {
        /// The file or folder.
        what: String,
        /// Objects that were stored.
        stored: u64,
        /// Objects that were there already.
        kept: u64,
        /// Objects that were refused.
        refused: u64,
    },
    /// The command is done.
    End {
        /// The exit code.
        code: u8,
        /// What went wrong.
        error: Option<String>,
    },
}

/// Where a command says what it has to say.
#[derive(Clone, Debug)]
pub struct Out(mpsc::Sender<Reply>);

/// Replies on their way to whoever prints them.
const WAITING: usize = 64;

impl Out {
    /// A place to say things, and the place where they come out.
    pub fn channel() -> (Out, mpsc::Receiver<Reply>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Out(sender), receiver)
    }

    /// Says something. Nobody listening any more is no reason to stop half-way.
    pub async fn say(&self, reply: Reply) {
        let _ = self.0.send(reply).await;
    }

    /// A line for standard output.
    pub async fn line(&self, text: impl Into<String>) {
        self.say(Reply::Out(text.into())).await;
    }

    /// A line for standard error.
    pub async fn note(&self, text: impl Into<String>) {
        self.say(Reply::Note(text.into())).await;
    }

    /// How far the command has come.
    pub async fn progress(&self, done: u64, of: u64, what: &str) {
        let what = what.to_owned();
        self.say(Reply::Progress { done, of, what }).await;
    }

    /// The end of the command.
    pub async fn end(&self, result: Result<(), Failure>) {
        let end = match result {
            Ok(()) => Reply::End {
                code: 0,
                error: None,
            },
            Err(failure) => Reply::End {
                code: failure.code as u8,
                error: (!failure.sentence.is_empty()).then_some(failure.sentence),
            },
        };
        self.say(end).await;
    }
}

/// Prints replies and writes their files.
#[derive(Debug)]
pub struct Printer {
    folder: Option<PathBuf>,
    terminal: bool,
    bar: bool,
    imported: Vec<(String, [u64; 3])>,
}

impl Printer {
    /// A printer; files go below `folder`, or to it if they have no name.
    pub fn new(folder: Option<PathBuf>) -> Printer {
        Printer {
            folder,
            terminal: io::stderr().is_terminal(),
            bar: false,
            imported: Vec::new(),
        }
    }

    /// Prints one reply; the exit code, if it was the last one.
    pub fn print(&mut self, reply: Reply) -> io::Result<Option<u8>> {
        match reply {
            Reply::Progress { done, of, what } => {
                self.progress(done, of, &what)?;
                return Ok(None);
            }
            Reply::End { code, error } => {
                self.clear()?;
                if let Some(error) = error {
                    writeln!(io::stderr(), "kalends: {error}")?;
                }
                return Ok(Some(code));
            }
            Reply::Out(text) => {
                self.clear()?;
                writeln!(io::stdout(), "{text}")?;
            }
            Reply::Note(text) => {
                self.clear()?;
                writeln!(io::stderr(), "{text}")?;
            }
            Reply::File { path, text } => self.file(&path, &text)?,
            Reply::Imported {
                what,
                stored,
                kept,
                refused,
            } => self.count(what, [stored, kept, refused]),
        }
        Ok(None)
    }

    fn count(&mut self, what: String, counts: [u64; 3]) {
        match self.imported.last_mut().filter(|(last, _)| *last == what) {
            Some((_, sums)) => {
                for (sum, count) in sums.iter_mut().zip(counts) {
                    *sum += count;
                }
            }
            None => self.imported.push((what, counts)),
        }
    }

    /// Prints what became of everything that was imported.
    pub fn counts(&mut self) -> io::Result<()> {
        self.clear()?;
        for (what, [stored, kept, refused]) in std::mem::take(&mut self.imported) {
            writeln!(
                io::stdout(),
                "{what}: {stored} stored, {kept} there already, {refused} refused"
            )?;
        }
        Ok(())
    }

    /// Progress is for people who look at a terminal.
    fn progress(&mut self, done: u64, of: u64, what: &str) -> io::Result<()> {
        if !self.terminal {
            return Ok(());
        }
        self.bar = true;
        let mut stderr = io::stderr();
        match done.saturating_mul(100).checked_div(of) {
            None => write!(stderr, "\r\x1b[K{done} {what}")?,
            Some(percent) => write!(stderr, "\r\x1b[K{done} of {of} {what} ({percent} %)")?,
        }
        stderr.flush()
    }

    fn clear(&mut self) -> io::Result<()> {
        if self.bar {
            self.bar = false;
            write!(io::stderr(), "\r\x1b[K")?;
        }
        Ok(())
    }

    fn file(&self, path: &str, text: &str) -> io::Result<()> {
        let Some(folder) = &self.folder else {
            return io::stdout().write_all(text.as_bytes());
        };
        let target = if path.is_empty() {
            folder.clone()
        } else {
            folder.join(below(path)?)
        };
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        // Calendars are nobody else's business.
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&target)
            .map_err(|error| {
                io::Error::new(error.kind(), format!("{}: {error}", target.display()))
            })?;
        file.write_all(text.as_bytes())
    }
}

/// A path that stays below where it is put.
fn below(path: &str) -> io::Result<&Path> {
    let path = Path::new(path);
    if path
        .components()
        .all(|part| matches!(part, Component::Normal(_)))
    {
        Ok(path)
    } else {
        Err(io::Error::other(format!(
            "{} is no name for a file",
            path.display()
        )))
    }
}

/// A name as a part of a file's name: what file systems and shells dislike is
/// percent-encoded.
pub fn file_name(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        let plain = c.is_alphanumeric() || "-_@+ ".contains(c) || (c == '.' && !out.is_empty());
        if plain {
            out.push(c);
        } else {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                out.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    out
}

/// The name that a part of a file's name stands for.
pub fn decoded_name(file_name: &str) -> String {
    decode(file_name).unwrap_or_else(|| file_name.to_owned())
}

/// Rows in columns as wide as their widest cell.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let mut widths: Vec<usize> = head.iter().map(|cell| cell.len()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: Vec<&str>| {
        let mut line = String::new();
        for (cell, width) in cells.iter().zip(&widths) {
            line.push_str(&format!("{cell:<width$}  "));
        }
        line.trim_end().to_owned()
    };
    let head = line(head.to_vec());
    let rows = rows
        .iter()
        .map(|row| line(row.iter().map(String::as_str).collect()));
    std::iter::once(head).chain(rows).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_must_be() {
        let rows = [
            vec!["alice".to_owned(), "Ä".to_owned()],
            vec!["b".to_owned(), String::new()],
        ];
        assert_eq!(table(&["NAME", "X"], &rows), ["NAME   X", "alice  Ä", "b"]);
    }

    #[test]
    fn files_stay_where_they_are_asked_for() {
        assert!(below("calendar/a.ics").is_ok());
        for bad in ["../a", "/etc/passwd", "a/../../b", "./a"] {
            assert!(below(bad).is_err(), "{bad}");
        }
        assert_eq!(file_name("../a b.ics"), "%2E.%2Fa b.ics");
        assert_eq!(file_name("Zürich.ics"), "Zürich.ics");
        for name in ["../a b.ics", "100%25/ü?.ics", ".x"] {
            assert_eq!(decoded_name(&file_name(name)), name);
        }
        assert_eq!(decoded_name("100%.ics"), "100%.ics");
    }

    #[tokio::test]
    async fn what_is_said_comes_out_in_order_also_as_json() {
        let (out, mut said) = Out::channel();
        out.line("a").await;
        out.progress(1, 2, "objects").await;
        out.end(Err(Failure::new(
            super::super::failure::Code::NotFound,
            "no",
        )))
        .await;
        let mut all = Vec::new();
        drop(out);
        while let Some(reply) = said.recv().await {
            let sent = serde_json::to_string(&reply).unwrap();
            assert_eq!(serde_json::from_str::<Reply>(&sent).unwrap(), reply);
            all.push(reply);
        }
        let end = Reply::End {
            code: 3,
            error: Some("no".to_owned()),
        };
        assert_eq!(all.last(), Some(&end));
        assert_eq!(all.len(), 3);
    }
}
