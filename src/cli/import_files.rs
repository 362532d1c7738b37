//! `import`, where the command is given: which files there are, to which calendars they belong, and
//! how they are sent, some hundred at a time.
//!
//! In a folder, `X.ics` and `X/*.ics` belong to calendar X, as export writes them; names are
//! percent-decoded, as export encodes them.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};

use super::args::{Command, Import, ImportFile};
use super::control::Reach;
use super::failure::{Code, Failure};
use super::output::{Printer, Reply, decoded_name};
use crate::store::Component;

/// The longest file that is read.
pub(super) const MAX_FILE_BYTES: u64 = 256 << 20;

/// Files sent in one command, and their bytes.
const MOST_FILES: usize = 512;
const MOST_BYTES: u64 = 8 << 20;

/// How deep folders are looked into: calendars, and objects in them.
const MAX_DEPTH: usize = 2;

/// A file that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    path: PathBuf,
    bytes: u64,
    calendar: Option<String>,
    /// The folder of the calendar, if the file is in one: its name is then its object's.
    folder: Option<PathBuf>,
}

/// Reads the files and sends them; answers the worst exit code.
pub(super) async fn send(
    asked: Import,
    reach: &mut Reach,
    printer: &mut Printer,
) -> Result<u8, Failure> {
    let mut files = Vec::new();
    for path in &asked.from {
        find(path, asked.calendar.as_deref(), &mut files)?;
    }
    if files.is_empty() {
        let sentence = "there is no .ics file in what was named";
        return Err(Failure::new(Code::NotFound, sentence));
    }
    let components = components(&files)?;
    let mut worst = 0;
    let mut sent = 0;
    while let Some(part) = files.get(sent..).filter(|part| !part.is_empty()) {
        printer.print(Reply::Progress {
            done: sent as u64,
            of: files.len() as u64,
            what: "files".to_owned(),
        })?;
        let part = part.get(..at_once(part)).unwrap_or(part);
        sent += part.len();
        let command = Import {
            files: part
                .iter()
                .map(|file| read(file, &components))
                .collect::<Result<_, _>>()?,
            ..asked.clone()
        };
        let code = reach.run(Command::Import(command), printer).await?;
        worst = worse(worst, code);
        if code != 0 && code != Code::Findings as u8 {
            break;
        }
    }
    printer.counts()?;
    Ok(worst)
}

/// How many of the files go into one command: one at least.
fn at_once(files: &[Found]) -> usize {
    let mut bytes = 0_u64;
    let fits = files.iter().take(MOST_FILES).take_while(|file| {
        bytes = bytes.saturating_add(file.bytes);
        bytes <= MOST_BYTES
    });
    fits.count().max(1)
}

/// Findings are less bad than every failure.
fn worse(one: u8, other: u8) -> u8 {
    match (one, other) {
        (0, code) | (code, 0) => code,
        (code, findings) if findings == Code::Findings as u8 => code,
        (_, code) => code,
    }
}

fn text(file: &Found) -> Result<String, Failure> {
    let bytes = std::fs::read(&file.path)
        .map_err(|error| Failure::failed(format!("{}: {error}", file.path.display())))?;
    // Old programs write Latin-1, where every byte is a character.
    Ok(String::from_utf8(bytes)
        .unwrap_or_else(|error| error.into_bytes().into_iter().map(char::from).collect()))
}

fn read(file: &Found, components: &Components) -> Result<ImportFile, Failure> {
    let name = file.path.file_name().map(|name| name.to_string_lossy());
    let counted = file.folder.as_ref().unwrap_or(&file.path);
    let taken = components.get(&file.calendar);
    Ok(ImportFile {
        path: file.path.display().to_string(),
        counted: counted.display().to_string(),
        calendar: file.calendar.clone(),
        components: taken.into_iter().flatten().cloned().collect(),
        object: file
            .folder
            .as_ref()
            .and(name)
            .map(|name| decoded_name(&name)),
        text: text(file)?,
    })
}

/// The components in the files of each calendar.
type Components = HashMap<Option<String>, BTreeSet<String>>;

/// What the calendars must take: a calendar that is made for the first of its files has to take those
/// of the last.
fn components(files: &[Found]) -> Result<Components, Failure> {
    let mut all = Components::new();
    for file in files.iter().filter(|file| file.calendar.is_some()) {
        let text = text(file)?;
        let begins = text
            .lines()
            .filter_map(|line| line.trim_end().split_once(':'));
        let names = begins
            .filter(|(name, _)| name.eq_ignore_ascii_case("BEGIN"))
            .filter_map(|(_, component)| Component::named(component));
        let names = names.map(|component| component.name().to_owned());
        all.entry(file.calendar.clone()).or_default().extend(names);
    }
    Ok(all)
}

/// The .ics files below a path, each with its calendar.
fn find(path: &Path, calendar: Option<&str>, files: &mut Vec<Found>) -> Result<(), Failure> {
    let fault = |error: io::Error| {
        let code = if error.kind() == io::ErrorKind::NotFound {
            Code::NotFound
        } else {
            Code::Failed
        };
        Failure::new(code, format!("{}: {error}", path.display()))
    };
    let meta = std::fs::metadata(path).map_err(fault)?;
    if meta.is_dir() {
        folder(path, (calendar, calendar), 1, files).map_err(fault)?;
    } else {
        files.push(Found {
            path: path.to_owned(),
            bytes: meta.len(),
            calendar: calendar.map(str::to_owned),
            folder: None,
        });
    }
    match files.iter().find(|file| file.bytes > MAX_FILE_BYTES) {
        None => Ok(()),
        Some(long) => {
            let most = MAX_FILE_BYTES >> 20;
            let sentence = format!("{} has more than {most} MiB; split it", long.path.display());
            Err(Failure::new(Code::Refused, sentence))
        }
    }
}

/// The files in a folder: of the calendar that was asked for, or of that whose folder it is, or each
/// of its own.
fn folder(
    path: &Path,
    (asked, own): (Option<&str>, Option<&str>),
    depth: usize,
    files: &mut Vec<Found>,
) -> io::Result<()> {
    let entries = std::fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path()));
    let mut entries = entries.collect::<io::Result<Vec<PathBuf>>>()?;
    entries.sort();
    for entry in entries {
        let Some(name) = entry.file_name().map(|name| name.to_string_lossy()) else {
            continue;
        };
        // Export writes no such name; other programs keep notes of their own in them.
        if name.starts_with('.') {
            continue;
        }
        let meta = std::fs::metadata(&entry)?;
        if meta.is_dir() {
            if depth < MAX_DEPTH {
                let calendar = decoded_name(&name);
                let calendar = asked.unwrap_or(&calendar);
                folder(&entry, (asked, Some(calendar)), depth + 1, files)?;
            }
        } else if let Some(stem) = stem(&name) {
            let within = depth == MAX_DEPTH || own.is_some();
            files.push(Found {
                bytes: meta.len(),
                calendar: own.map_or_else(|| Some(decoded_name(stem)), |own| Some(own.to_owned())),
                folder: within.then(|| path.to_owned()),
                path: entry,
            });
        }
    }
    Ok(())
}

/// The name of a file of iCalendar text without its end.
fn stem(name: &str) -> Option<&str> {
    let (stem, end) = name.rsplit_once('.')?;
    end.eq_ignore_ascii_case("ics").then_some(stem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_belong_to_calendars_as_export_writes_them() {
        let root = std::env::temp_dir().join(format!("kalends-import-{}", std::process::id()));
        std::fs::create_dir_all(root.join("my.work%2F/deep/deeper")).unwrap();
        let written = [
            "home.ics",
            "notes.txt",
            "._home.ics",
            "my.work%2F/a%3F.ICS",
            "my.work%2F/deep/b.ics",
        ];
        for file in written {
            std::fs::write(root.join(file), "BEGIN:VCALENDAR\r\nBegin:Vtodo\r\n").unwrap();
        }
        let mut files = Vec::new();
        find(&root, None, &mut files).unwrap();
        let components = components(&files).unwrap();
        let read = |file| read(file, &components).unwrap();
        let found: Vec<ImportFile> = files.iter().map(read).collect();
        let shown = found.iter().map(|file| {
            let counted = Path::new(&file.counted).strip_prefix(&root).unwrap();
            (
                counted.to_str().unwrap(),
                file.calendar.as_deref(),
                file.object.as_deref(),
            )
        });
        assert_eq!(
            shown.collect::<Vec<_>>(),
            [
                ("home.ics", Some("home"), None),
                ("my.work%2F", Some("my.work/"), Some("a?.ICS"))
            ]
        );
        assert_eq!(found[0].components, ["VTODO"]);
        files.clear();
        find(&root, Some("all"), &mut files).unwrap();
        let all = files
            .iter()
            .all(|file| file.calendar.as_deref() == Some("all"));
        assert!(all && files.len() == 2, "{files:?}");
        files.clear();
        find(&root.join("my.work%2F/a%3F.ICS"), None, &mut files).unwrap();
        assert_eq!(
            (files[0].calendar.as_deref(), &files[0].folder),
            (None, &None)
        );
        assert!(find(&root.join("nothing"), None, &mut files).is_err());
        std::fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn a_command_takes_many_small_files_or_one_long_one() {
        let file = |bytes| Found {
            path: PathBuf::new(),
            bytes,
            calendar: None,
            folder: None,
        };
        assert_eq!(at_once(&vec![file(10); 600]), MOST_FILES);
        assert_eq!(at_once(&[file(MOST_BYTES * 2), file(1)]), 1);
        assert_eq!(at_once(&[file(MOST_BYTES - 1), file(1), file(1)]), 2);
    }

    #[test]
    fn findings_are_less_bad_than_failures() {
        for (one, other, expected) in [
            (0, 0, 0),
            (0, 6, 6),
            (6, 0, 6),
            (6, 3, 3),
            (3, 6, 3),
            (1, 0, 1),
        ] {
            assert_eq!(worse(one, other), expected, "{one} {other}");
        }
    }
}
