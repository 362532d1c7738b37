//! Build script: puts the files of this folder into the binary, for `src/conform/suite.rs`.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "how cargo and its scripts speak"
)]

use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root =
        Path::new(&env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?).join("conformance");
    let mut files = Vec::new();
    find(&root, &mut files)?;
    files.sort();
    let mut list = String::from("&[\n");
    for path in files {
        let name = path.strip_prefix(&root).map_err(io::Error::other)?;
        list.push_str(&format!(
            "({:?}, include_str!({:?})),\n",
            name.display().to_string(),
            path.display().to_string()
        ));
    }
    list.push_str("]\n");
    println!("cargo::rerun-if-changed=conformance");
    fs::write(
        Path::new(&env::var("OUT_DIR").map_err(io::Error::other)?).join("conformance.rs"),
        list,
    )
}

fn find(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        // These are what coverage.md is made of; a run needs none of them.
        let lists = ["sentences", "left-out"].map(Some);
        if path.is_dir() && !lists.contains(&path.file_name().and_then(|name| name.to_str())) {
            find(&path, found)?;
        } else if path.extension().is_some_and(|e| e == "dav" || e == "txt") {
            found.push(path);
        }
    }
    Ok(())
}
