//! Reading server.toml: unknown keys, wrong types and impossible values are
//! errors that name the key and the line.

use std::fmt;
use std::path::{Path, PathBuf};

use super::settings::Settings;

/// The server.toml that is shipped, used where none is found.
pub const SHIPPED: &str = include_str!("../../server.toml");

/// What is wrong with a settings file, and where.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The file, as it was named.
    pub file: PathBuf,
    /// The line, counted from one, where one is to blame.
    pub line: Option<usize>,
    /// The key with its table, such as `http.idle`.
    pub key: Option<String>,
    /// What is wrong with it.
    pub message: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        if let Some(key) = &self.key {
            write!(f, ", {key}")?;
        }
        write!(f, ": {}", self.message)
    }
}

/// Reads the settings: the file named, else `server.toml` where the command
/// runs, else the shipped one. Relative paths in it count from its folder.
pub fn load(named: Option<&Path>) -> Result<Settings, ConfigError> {
    let usual = Path::new("server.toml");
    let file = match named {
        Some(file) => file,
        None if usual.exists() => usual,
        None => return parse(SHIPPED, usual),
    };
    let text = std::fs::read_to_string(file).map_err(|error| ConfigError {
        file: file.to_owned(),
        line: None,
        key: None,
        message: format!("cannot be read: {error}"),
    })?;
    parse(&text, file)
}

/// Reads settings from their text.
pub fn parse(text: &str, file: &Path) -> Result<Settings, ConfigError> {
    let mut settings: Settings = toml::from_str(text).map_err(|error| {
        let line = error.span().map(|span| line_at(text, span.start));
        ConfigError {
            file: file.to_owned(),
            line,
            key: line.and_then(|line| key_at(text, line)),
            message: error.message().to_owned(),
        }
    })?;
    if let Some((key, message)) = super::check::first_fault(&settings) {
        return Err(ConfigError {
            file: file.to_owned(),
            line: line_of(text, key),
            key: Some(key.to_owned()),
            message,
        });
    }
    let folder = file.parent().unwrap_or(Path::new(""));
    let server = &mut settings.server;
    for path in [
        &mut server.data,
        &mut server.certificate,
        &mut server.key,
        &mut settings.backup.folder,
        &mut settings.calendars.zoneinfo,
        &mut settings.mail.password_file,
        &mut settings.mail.imap.password_file,
        &mut settings.mail.certificates,
        &mut settings.mail.dkim_key,
    ] {
        if !path.as_os_str().is_empty() {
            *path = folder.join(&*path);
        }
    }
    Ok(settings)
}

fn line_at(text: &str, offset: usize) -> usize {
    1 + text
        .bytes()
        .take(offset)
        .filter(|byte| *byte == b'\n')
        .count()
}

/// The key set on a line or, in a value of several lines, before it.
fn key_at(text: &str, line: usize) -> Option<String> {
    let mut table = "";
    let mut key = None;
    for row in text.lines().take(line) {
        if let Some(name) = table_in(row) {
            table = name;
            key = None;
        } else if let Some(name) = key_in(row) {
            key = Some(name);
        }
    }
    match (table, key) {
        ("", key) => key.map(str::to_owned),
        (table, None) => Some(table.to_owned()),
        (table, Some(key)) => Some(format!("{table}.{key}")),
    }
}

/// The line a key is set on, or its table's.
fn line_of(text: &str, wanted: &str) -> Option<usize> {
    let (table, key) = wanted.rsplit_once('.')?;
    let mut current = "";
    let mut head = None;
    for (number, row) in (1..).zip(text.lines()) {
        if let Some(name) = table_in(row) {
            current = name;
            if name == table {
                head = Some(number);
            }
        } else if current == table && key_in(row) == Some(key) {
            return Some(number);
        }
    }
    head
}

fn table_in(row: &str) -> Option<&str> {
    let name = row
        .trim_start()
        .strip_prefix('[')?
        .split(']')
        .next()?
        .trim();
    name.chars()
        .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.')
        .then_some(name)
}

fn key_in(row: &str) -> Option<&str> {
    let name = row.split_once('=')?.0.trim();
    let plain = !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    plain.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> String {
        parse(text, Path::new("server.toml"))
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn the_shipped_file_says_every_key_with_its_default() {
        let read = parse(SHIPPED, Path::new("server.toml")).unwrap();
        assert_eq!(read, Settings::default());
    }

    #[test]
    fn every_key_of_the_shipped_file_is_commented_and_names_its_default() {
        let mut comment = String::new();
        for row in SHIPPED.lines() {
            if let Some(text) = row.strip_prefix('#') {
                comment.push_str(text);
            } else if let Some(key) = key_in(row) {
                assert!(
                    comment.contains("Default:"),
                    "{key} has no default in its comment: {comment}"
                );
                comment.clear();
            } else {
                comment.clear();
            }
        }
    }

    #[test]
    fn every_key_there_is_stands_in_the_shipped_file() {
        let mut expected: Vec<(String, String)> = Vec::new();
        let shown = format!("{:#?}", Settings::default());
        let mut table = String::new();
        for row in shown.lines() {
            let indent = row.len() - row.trim_start().len();
            let Some(name) = row
                .trim_start()
                .split(':')
                .next()
                .filter(|_| row.contains(": "))
            else {
                continue;
            };
            match indent {
                4 => table = name.to_owned(),
                // A table in a table, such as [mail.imap], ends like the tables do.
                8 if row.ends_with('{') => {
                    let outer = table.split('.').next().unwrap_or_default();
                    table = format!("{outer}.{name}");
                }
                8 => {
                    let outer = table.split('.').next().unwrap_or_default().to_owned();
                    table.clone_from(&outer);
                    expected.push((outer, name.to_owned()));
                }
                12 if table.contains('.') => expected.push((table.clone(), name.to_owned())),
                _ => {}
            }
        }
        assert!(expected.len() > 30, "{expected:?}");
        for (table, key) in expected {
            let wanted = format!("{table}.{key}");
            let line = line_of(SHIPPED, &wanted).unwrap_or_else(|| panic!("no table {table}"));
            assert_eq!(key_at(SHIPPED, line), Some(wanted));
        }
    }

    #[test]
    fn a_fault_names_key_and_line() {
        let cases = include_str!("../../testdata/config/faults.txt");
        let mut text = String::new();
        let mut count = 0;
        for line in cases.lines().skip(2) {
            let Some(expected) = line.strip_prefix("=> ") else {
                text.push_str(line);
                text.push('\n');
                continue;
            };
            let said = fault(text.trim_start());
            assert!(
                said.starts_with(expected),
                "{text}\n said {said}\n not  {expected}"
            );
            text.clear();
            count += 1;
        }
        assert!(count > 15, "{count}");
    }

    #[test]
    fn relative_paths_count_from_the_folder_of_the_file() {
        let read = parse(
            "[server]\ndata = \"d\"\n",
            Path::new("/etc/kalends/server.toml"),
        )
        .unwrap();
        assert_eq!(read.server.data, Path::new("/etc/kalends/d"));
        assert_eq!(read.server.certificate, Path::new(""));
    }
}
