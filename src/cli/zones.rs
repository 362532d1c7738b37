//! The system's time zone data, where it is newer than what is built in.
//!
//! Governments change their clocks between two releases of a program. A TZif
//! directory (RFC 8536) that the system or an administrator keeps up to date is
//! used when its version is newer; names that it lacks come from the data built
//! in.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::recur::{install_tzdata, tzdata_version};

/// The longest file that is taken for a zone.
const MAX_FILE_BYTES: u64 = 64 << 10;

/// The most files of a directory that are taken.
const MAX_FILES: usize = 2000;

/// How deep zones lie: `America/Argentina/Ushuaia`.
const MAX_DEPTH: usize = 3;

/// Zones with other rules about leap seconds, or doubles of others.
const PASSED_OVER: &[&str] = &["posix", "right"];

/// Uses the zones of a directory if they are newer than those built in, before
/// any zone is asked for.
pub(super) fn install(directory: &Path) {
    if directory.as_os_str().is_empty() {
        return;
    }
    let Some(version) = version(directory) else {
        tracing::debug!(directory = %directory.display(), "no version of time zone data found");
        return;
    };
    let files = || {
        let mut found = Vec::new();
        collect(directory, "", 1, &mut found);
        found
            .into_iter()
            .filter_map(|(name, path)| Some((name, zone(&path)?)))
    };
    // Read only if they are wanted: the iterator is lazy.
    if install_tzdata(&version, std::iter::once_with(files).flatten()) {
        tracing::info!(version, directory = %directory.display(), "newer time zone data is used");
    } else {
        tracing::debug!(
            version,
            used = tzdata_version(),
            "the time zone data built in is as new"
        );
    }
}

/// The version of a directory, such as `2026e`, as the tz database's own files
/// and those of some systems tell it.
fn version(directory: &Path) -> Option<String> {
    ["tzdata.zi", "+VERSION", "version"]
        .iter()
        .find_map(|name| {
            let file = File::open(directory.join(name)).ok()?;
            let mut line = String::new();
            BufReader::new(file.take(200)).read_line(&mut line).ok()?;
            let version = line.trim().trim_start_matches("# version ").to_owned();
            let digits = version.bytes().take_while(u8::is_ascii_digit).count();
            (digits == 4 && (4..=6).contains(&version.len())).then_some(version)
        })
}

fn collect(directory: &Path, prefix: &str, depth: usize, found: &mut Vec<(String, PathBuf)>) {
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    for entry in entries.flatten() {
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let path = entry.path();
        let full = format!("{prefix}{name}");
        if path.is_dir() {
            if depth < MAX_DEPTH && !PASSED_OVER.contains(&full.as_str()) {
                collect(&path, &format!("{full}/"), depth + 1, found);
            }
        } else if found.len() < MAX_FILES && name.starts_with(|c: char| c.is_ascii_uppercase()) {
            found.push((full, path));
        }
    }
}

/// The bytes of a file if it is a TZif file. RFC 8536 §3.1
fn zone(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)
        .ok()?
        .take(MAX_FILE_BYTES)
        .read_to_end(&mut bytes)
        .ok()?;
    bytes.starts_with(b"TZif").then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_and_their_version_are_found() {
        let root = std::env::temp_dir().join(format!("kalends-zones-{}", std::process::id()));
        fs::create_dir_all(root.join("America/Argentina")).unwrap();
        fs::create_dir_all(root.join("posix/Europe")).unwrap();
        assert_eq!(version(&root), None);
        fs::write(root.join("tzdata.zi"), "# version 2031a\nR A 1 2\n").unwrap();
        for (file, text) in [
            ("UTC", "TZif2..."),
            ("America/Argentina/Ushuaia", "TZif2..."),
            ("posix/Europe/Berlin", "TZif2..."),
            ("Readme", "text"),
            ("zone.tab", "TZif"),
        ] {
            fs::write(root.join(file), text).unwrap();
        }
        assert_eq!(version(&root).as_deref(), Some("2031a"));
        let mut found = Vec::new();
        collect(&root, "", 1, &mut found);
        let mut names: Vec<String> = found
            .into_iter()
            .filter(|(_, path)| zone(path).is_some())
            .map(|(name, _)| name)
            .collect();
        names.sort();
        assert_eq!(names, ["America/Argentina/Ushuaia", "UTC"]);
        for bad in [
            "# version x\n",
            "20\n",
            "202a\n",
            "# version 2026e and more\n",
        ] {
            fs::write(root.join("tzdata.zi"), bad).unwrap();
            assert_eq!(version(&root), None, "{bad}");
        }
        fs::remove_dir_all(&root).unwrap();
    }
}
