//! `kalends bench`: what the server costs, in one run, as ratios to something bare on the same machine.
//!
//! Absolute times on a shared machine lie; a ratio measured in the same minute does not. So a CTag poll is compared with
//! a bare hyper server that returns the same bytes, a durable PUT with appending the same bytes to a file and syncing it,
//! a large calendar with a small one. CPU is what the kernel charged the server's process, divided by the requests.
//!
//! Everything runs in processes and folders of its own below the folder given, on 127.0.0.1, and is removed afterwards.
//!
//! **Gaps**: HTTP/1.1 without TLS only; one user per home; the load comes from the same machine.

pub mod calendars;
pub mod connection;
pub mod load;
pub mod measures;
mod meetings;
pub mod process;
mod pure;

use std::fmt::Write as _;
use std::path::PathBuf;

/// What to measure and for how long.
#[derive(Debug, Clone)]
pub struct Options {
    /// The server program: this one.
    pub program: PathBuf,
    /// A folder on the disk to be measured; a new folder is made in it and removed afterwards.
    pub folder: PathBuf,
    /// Seconds each rate is measured for.
    pub seconds: u32,
    /// Objects in the large calendar of the size measurements (the small one has a hundredth).
    pub large: usize,
    /// Names of measures; empty for all.
    pub only: Vec<String>,
}

/// One line of the report.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The measure and its case.
    pub name: String,
    /// The measured value with its unit.
    pub value: String,
    /// What it is compared with, and how: `62 % of the bare server's`.
    pub ratio: String,
}

impl Row {
    /// A line without a comparison.
    pub fn plain(name: impl Into<String>, value: impl Into<String>) -> Row {
        Row {
            name: name.into(),
            value: value.into(),
            ratio: String::new(),
        }
    }

    /// A line with a comparison.
    pub fn compared(
        name: impl Into<String>,
        value: impl Into<String>,
        ratio: impl Into<String>,
    ) -> Row {
        Row {
            name: name.into(),
            value: value.into(),
            ratio: ratio.into(),
        }
    }
}

/// Runs the chosen measures; `progress` hears each line as soon as it is known.
pub fn run(options: &Options, progress: &mut dyn FnMut(&Row)) -> Result<Vec<Row>, String> {
    let known: Vec<&str> = measures::MEASURES.iter().map(|m| m.name).collect();
    if let Some(name) = options.only.iter().find(|n| !known.contains(&n.as_str())) {
        return Err(format!(
            "there is no measure {name}; there are: {}",
            known.join(", ")
        ));
    }
    let mut rows = Vec::new();
    for measure in measures::MEASURES {
        if options.only.is_empty() || options.only.iter().any(|n| n == measure.name) {
            for row in (measure.run)(options)? {
                progress(&row);
                rows.push(row);
            }
        }
    }
    Ok(rows)
}

/// The rows as a table for people.
pub fn table(rows: &[Row]) -> String {
    let width = |f: fn(&Row) -> &str| rows.iter().map(|r| f(r).chars().count()).max().unwrap_or(0);
    let (name, value) = (width(|r| &r.name), width(|r| &r.value));
    let mut text = String::new();
    for row in rows {
        let _ = writeln!(
            text,
            "{:name$}  {:>value$}  {}",
            row.name, row.value, row.ratio
        );
    }
    text
}
