//! Where the cases come from: a folder, or the binary itself, which carries those of `conformance/`.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use super::case::{self, BadCase, Case};

/// The files of `conformance/` as they were at build time, by their names below it.
const EMBEDDED: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/conformance.rs"));

/// Every case that the binary carries, in the order of file names and lines.
pub fn embedded() -> Result<Vec<Case>, BadCase> {
    let own = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
    cases(&EMBEDDED.iter().map(own).collect())
}

/// Every case below `folder`, in the order of file names and lines.
pub fn folder(folder: &Path) -> Result<Vec<Case>, BadCase> {
    let mut files = BTreeMap::new();
    find(folder, folder, &mut files).map_err(|error| BadCase {
        file: folder.display().to_string(),
        line: 0,
        problem: error.to_string(),
    })?;
    cases(&files)
}

fn cases(files: &BTreeMap<String, String>) -> Result<Vec<Case>, BadCase> {
    let include = |wanted: &str| {
        let text = files.get(wanted);
        text.cloned()
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    };
    let mut cases = Vec::new();
    for (name, text) in files.iter().filter(|(name, _)| name.ends_with(".dav")) {
        cases.extend(case::parse(name, text, &include)?);
    }
    Ok(cases)
}

/// The `.dav` and `.txt` files below `folder`, by their names below `root`.
fn find(root: &Path, folder: &Path, files: &mut BTreeMap<String, String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            find(root, &path, files)?;
        } else if path.extension().is_some_and(|e| e == "dav" || e == "txt") {
            let name = path.strip_prefix(root).unwrap_or(&path);
            let text = fs::read_to_string(&path)
                .map_err(|error| io::Error::other(format!("{}: {error}", path.display())))?;
            files.insert(name.display().to_string(), text);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binary_carries_the_cases_of_the_folder() {
        let ids = |cases: Vec<Case>| cases.iter().map(Case::id).collect::<Vec<_>>();
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance");
        let of_folder = ids(folder(&here).expect("reads"));
        assert!(of_folder.len() > 700, "{}", of_folder.len());
        assert_eq!(ids(embedded().expect("reads")), of_folder);
    }
}
