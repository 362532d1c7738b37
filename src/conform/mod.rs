//! The conformance suite's runner: plays the cases of `conformance/` against any CalDAV server.
//!
//! The cases are text (`case`, `words`) from a folder or the binary (`suite`), the server is found like a client finds
//! it (`target`, `people`), each case is played over a small client of its own (`wire`, `tls`, `run`), judged (`expect`, `tree`, `meaning`) and reported (`report`).
//! The format is documented in `conformance/README.md`.

pub mod case;
pub mod expect;
pub mod meaning;
mod people;
pub mod report;
pub mod run;
pub mod suite;
pub mod target;
pub mod tls;
pub mod tree;
pub mod wire;
pub mod words;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// What a run is asked to do.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder of cases; without one, those that the binary carries.
    pub cases: Option<PathBuf>,
    /// The target file.
    pub target: PathBuf,
    /// Only cases whose file, title or section contains this text, without regard to case, spaces and `§`.
    pub only: Option<String>,
    /// Where the report goes: a name ending in `.html` or `.json`, or `-` for JSON on standard output.
    pub report: Option<PathBuf>,
}

/// Why there was no run.
#[derive(Debug)]
pub enum Error {
    /// A case, the target file or the server cannot be used.
    Unusable(String),
    /// The report or the progress cannot be written.
    Write(io::Error),
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Error::Unusable(text) => f.write_str(text),
            Error::Write(error) => write!(f, "cannot write: {error}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Error::Write(error)
    }
}

/// Reads the cases and the target, plays them, writes the report; progress and failures go to `log`, a JSON report
/// for `-` to `out`.
pub fn run(
    options: &Options,
    out: &mut dyn Write,
    log: &mut dyn Write,
) -> Result<report::Totals, Error> {
    let cases = match &options.cases {
        Some(folder) => suite::folder(folder),
        None => suite::embedded(),
    };
    let cases = cases.map_err(|e| Error::Unusable(e.to_string()))?;
    let target = target::Target::read(&options.target).map_err(Error::Unusable)?;
    let played = play(target, &cases, options.only.as_deref(), log)?;
    let name = played.name;
    match &options.report {
        Some(path) if path.as_os_str() == "-" => {
            writeln!(out, "{:#}", report::json(&name, &played.cases))?
        }
        Some(path) => std::fs::write(path, rendered(path, &name, &played.cases))?,
        None => {}
    }
    Ok(report::Totals::of(&played.cases))
}

fn rendered(path: &Path, name: &str, played: &[run::Played]) -> String {
    if path.extension().is_some_and(|e| e == "html") {
        report::html(name, played)
    } else {
        format!("{:#}\n", report::json(name, played))
    }
}

/// A finished run.
#[derive(Debug)]
pub struct Run {
    /// The server's name.
    pub name: String,
    /// The cases in order.
    pub cases: Vec<run::Played>,
}

/// Plays `cases` against `target`, as far as `only` chooses them.
pub fn play(
    target: target::Target,
    cases: &[case::Case],
    only: Option<&str>,
    log: &mut dyn Write,
) -> Result<Run, Error> {
    let name = target.name.clone();
    unknown_differences(&target, cases)?;
    let server = target::Server::discover(target).map_err(Error::Unusable)?;
    let chosen: Vec<&case::Case> = cases
        .iter()
        .filter(|c| only.is_none_or(|o| chooses(o, c)))
        .collect();
    if chosen.is_empty() {
        return Err(Error::Unusable("no case is chosen".to_owned()));
    }
    let mut player = run::Player::new(server);
    let mut played = Vec::with_capacity(chosen.len());
    for case in &chosen {
        let one = player.play(case);
        if one.is_bad() {
            writeln!(log, "{}", report::failure_text(&one))?;
        }
        played.push(one);
        if played.len() % 100 == 0 {
            writeln!(log, "{} of {} cases", played.len(), chosen.len())?;
        }
    }
    writeln!(log, "{name}: {}", report::Totals::of(&played))?;
    Ok(Run {
        name,
        cases: played,
    })
}

/// A known difference must name a case that exists, or it hides a renamed one.
fn unknown_differences(target: &target::Target, cases: &[case::Case]) -> Result<(), Error> {
    for name in target.differs.iter().flat_map(|d| &d.cases) {
        if !cases.iter().any(|c| c.id() == *name) {
            return Err(Error::Unusable(format!(
                "the target file names a case that does not exist: {name}"
            )));
        }
    }
    Ok(())
}

fn chooses(only: &str, case: &case::Case) -> bool {
    let squeeze = |text: &str| text.to_lowercase().replace([' ', '§'], "");
    let only = squeeze(only);
    std::iter::once(case.id())
        .chain(case.spec.iter().cloned())
        .chain(case.clients.iter().cloned())
        .any(|t| squeeze(&t).contains(&only))
}
