//! Damaged directories: each file of a store truncated, flipped, emptied or removed.
//!
//! The store opens with everything acknowledged, or refuses with a sentence that says what to do; it
//! never panics and never loses anything silently. The images are taken of an open store, as a killed
//! process leaves it, and of a closed one.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod running;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use kalends::store::kv::{Batch, CommitError, Key, Kv, Row, Scan, UnixMillis, View};
use kalends::store::{Engine, OpenError, Options, open};
use running::{files_below, flip_bits};

/// A directory that is removed when it is dropped.
struct Scratch(PathBuf);

static NEXT: AtomicU32 = AtomicU32::new(0);

impl Scratch {
    fn new() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("kalends-damage-{}-{number}", std::process::id());
        // In memory where that is possible: these tests sync a lot and need no sync.
        let memory = Path::new("/dev/shm");
        let place = if memory.is_dir() {
            memory.to_owned()
        } else {
            std::env::temp_dir()
        };
        let path = place.join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn options() -> Options {
    Options {
        reserve_bytes: 0,
        segment_bytes: 200 * 1024,
        ..Options::default()
    }
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.build().unwrap().block_on(future)
}

async fn all(kv: &Engine) -> Vec<Row> {
    let scan = Scan::prefix(Key::new(), usize::MAX);
    kv.scan(View::Durable, scan).await.unwrap()
}

/// Commits some hundred batches of different sizes, with marks and a checkpoint between.
async fn fill(kv: &Engine) {
    for number in 0..300_u32 {
        let mut batch = Batch::new(UnixMillis(i64::from(number)));
        let size = [10, 300, 2_000, 9_000][usize::try_from(number % 4).unwrap()];
        let value = number.to_be_bytes().repeat(size / 4);
        batch.put(format!("row/{:04}", number * 7919 % 1000), value);
        batch.put("newest", number.to_string());
        if number > 10 {
            batch.remove(format!("row/{:04}", (number - 10) * 7919 % 1000 / 2));
        }
        assert_eq!(kv.commit(batch).await, Ok(()));
        match number {
            100 | 200 => kv.persist().unwrap(),
            150 => kv.checkpoint().unwrap(),
            _ => {}
        }
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Damage {
    Remove,
    Empty,
    /// Keeps this many hundredths.
    Truncate(usize),
    /// Flips a bit this many hundredths into the file.
    Flip(usize),
    /// Zeroes 4 KiB this many hundredths into the file.
    Zero(usize),
}

fn inflict(path: &Path, damage: Damage) {
    let mut bytes = fs::read(path).unwrap();
    let length = bytes.len();
    let at = |hundredths: usize| (length * hundredths / 100).min(length.saturating_sub(1));
    match damage {
        Damage::Remove => return fs::remove_file(path).unwrap(),
        Damage::Empty => bytes.clear(),
        Damage::Truncate(hundredths) => bytes.truncate(at(hundredths)),
        Damage::Flip(hundredths) => {
            let at = at(hundredths);
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 8;
            }
        }
        Damage::Zero(hundredths) => {
            let at = at(hundredths);
            bytes
                .iter_mut()
                .skip(at)
                .take(4096)
                .for_each(|byte| *byte = 0);
        }
    }
    fs::write(path, bytes).unwrap();
}

fn damages() -> Vec<Damage> {
    let mut all = vec![Damage::Remove, Damage::Empty];
    all.extend([10, 97].map(Damage::Truncate));
    all.extend([0, 20, 60, 99].map(Damage::Flip));
    all.extend([30, 95].map(Damage::Zero));
    all
}

/// Inflicts each damage on each file below `part` and tells how opening went.
fn try_all(image: &Path, rows: &[Row], part: &str) -> Vec<(String, Result<(), OpenError>)> {
    let mut outcomes = Vec::new();
    for file in files_below(&image.join(part)) {
        for damage in damages() {
            let scratch = Scratch::new();
            copy(image, &scratch.0);
            let name = file.strip_prefix(image).unwrap();
            inflict(&scratch.0.join(name), damage);
            let case = format!("{} {damage:?}", name.display());
            let outcome = open(&scratch.0, options()).map(|engine| {
                let found = wait(all(&engine));
                assert!(found == rows, "{case}: rows are lost or wrong");
                // And it takes commits, and keeps them.
                let mut batch = Batch::new(UnixMillis(1000));
                batch.put("afterwards", "1");
                assert_eq!(wait(engine.commit(batch)), Ok(()), "{case}");
                drop(engine);
                let again = open(&scratch.0, options()).unwrap();
                assert_eq!(wait(all(&again)).len(), rows.len() + 1, "{case}");
            });
            outcomes.push((case, outcome));
        }
    }
    outcomes
}

/// The images of a store that was killed and of one that was closed, and its rows.
fn images(scratch: &Scratch) -> (PathBuf, PathBuf, Vec<Row>) {
    let [home, killed, closed] = ["home", "killed", "closed"].map(|name| scratch.0.join(name));
    let engine = open(&home, options()).unwrap();
    wait(fill(&engine));
    let rows = wait(all(&engine));
    copy(&home, &killed);
    drop(engine);
    copy(&home, &closed);
    (killed, closed, rows)
}

fn all_open(outcomes: Vec<(String, Result<(), OpenError>)>) {
    assert!(outcomes.len() >= damages().len());
    for (case, outcome) in outcomes {
        if let Err(error) = outcome {
            panic!("{case}: {error}");
        }
    }
}

#[test]
fn damage_to_the_data_of_a_killed_server_is_mended() {
    let scratch = Scratch::new();
    let (killed, _, rows) = images(&scratch);
    all_open(try_all(&killed, &rows, "sled"));
}

#[test]
fn damage_to_the_data_of_a_closed_server_is_mended() {
    let scratch = Scratch::new();
    let (_, closed, rows) = images(&scratch);
    all_open(try_all(&closed, &rows, "sled"));
    all_open(try_all(&closed, &rows, "checkpoints"));
}

/// sled has no check of its own for a page whose newest part lies where damage ended the reading of its log: it
/// has that page as it was before.
#[test]
fn rows_that_damage_made_older_or_forgotten_are_noticed() {
    let mut numbers = fastrand::Rng::with_seed(1);
    let home = Scratch::new();
    for round in 0..10 {
        let engine = open(&home.0, options()).unwrap();
        wait(change_much(&engine, round));
        let rows = wait(all(&engine));
        let killed = Scratch::new();
        copy(&home.0, &killed.0);
        for _ in 0..12 {
            rotten(&killed.0, &rows, &mut numbers);
        }
        assert!(wait(all(&open(&killed.0, options()).unwrap())) == rows);
        let aside = killed.0.join("sled.damaged");
        assert!(!aside.exists(), "a kill alone made it be rebuilt");
    }
}

/// Flips some bits of the data of this image, and finds all rows.
fn rotten(image: &Path, rows: &[Row], numbers: &mut fastrand::Rng) {
    let scratch = Scratch::new();
    copy(image, &scratch.0);
    let db = scratch.0.join("sled/db");
    let length = fs::metadata(&db).unwrap().len();
    let places = flip_bits(&db, numbers);
    let engine = open(&scratch.0, options()).unwrap();
    let found = wait(all(&engine)) == rows;
    assert!(found, "flips at {places:?} of {length} were not noticed");
}

/// Commits that rewrite rows of all over the tree, made durable now and then.
async fn change_much(kv: &Engine, round: u64) {
    let mut numbers = fastrand::Rng::with_seed(round);
    for number in 0..60 {
        let mut batch = Batch::new(UnixMillis(0));
        for _ in 0..numbers.usize(1..40) {
            let key = format!("row/{:04}", numbers.u32(..2000));
            match numbers.u8(..4) {
                0 => batch.remove(key),
                _ => batch.put(key, vec![numbers.u8(..); numbers.usize(20..1500)]),
            }
        }
        assert_eq!(kv.commit(batch).await, Ok(()));
        if number % 20 == 19 {
            kv.persist().unwrap();
        }
    }
}

#[test]
fn damage_to_the_journal_of_a_closed_server_is_mended_from_the_data() {
    let scratch = Scratch::new();
    let (_, closed, rows) = images(&scratch);
    all_open(try_all(&closed, &rows, "journal"));
}

#[test]
fn damage_to_the_journal_of_a_killed_server_is_mended_or_refused() {
    let scratch = Scratch::new();
    let (killed, _, rows) = images(&scratch);
    let mut refused = Vec::new();
    for (case, outcome) in try_all(&killed, &rows, "journal") {
        if let Err(error) = outcome {
            assert!(matches!(error, OpenError::Lost(_)), "{case}: {error}");
            let sentence = error.to_string();
            assert!(sentence.starts_with("journal/"), "{case}: {sentence}");
            assert!(sentence.contains("kalends restore"), "{case}: {sentence}");
            refused.push(case);
        }
    }
    // What came after the mark may be nowhere else; the two segments before it are not needed.
    let after_mark = |case: &String| case.as_str() > "journal/0000000003";
    assert!(
        !refused.is_empty() && refused.iter().all(after_mark),
        "{refused:#?}"
    );
}

#[test]
fn data_without_a_journal_is_refused() {
    let scratch = Scratch::new();
    let (killed, closed, _) = images(&scratch);
    for image in [killed, closed] {
        fs::remove_dir_all(image.join("journal")).unwrap();
        let refused = open(&image, options()).unwrap_err();
        assert!(matches!(refused, OpenError::JournalMissing), "{refused}");
        assert_eq!(refused.to_string().lines().count(), 1);
    }
}

#[test]
fn what_sled_leaves_of_a_snapshot_does_not_keep_it_from_opening() {
    let scratch = Scratch::new();
    let (_, closed, rows) = images(&scratch);
    fs::write(closed.join("sled/snap.0000000000000040.generating"), "half").unwrap();
    fs::write(closed.join("sled/snap.00000000000000FF"), "").unwrap();
    let engine = open(&closed, options()).unwrap();
    assert!(wait(all(&engine)) == rows);
    assert!(
        !closed.join("sled.damaged").exists(),
        "it was rebuilt for that"
    );
}

/// A file system of this many MiB in memory, unmounted when it is dropped; `None` if this user may not
/// mount one.
fn small_disk(place: &Path, mebibytes: u32) -> Option<SmallDisk> {
    let size = format!("size={mebibytes}m");
    let mount = Command::new("mount")
        .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
        .arg(place)
        .stderr(Stdio::null())
        .status();
    mount
        .is_ok_and(|status| status.success())
        .then(|| SmallDisk(place.to_owned()))
}

struct SmallDisk(PathBuf);

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A sled that cannot be closed keeps files open.
        let unmounted = Command::new("umount")
            .arg("-l")
            .arg(&self.0)
            .status()
            .unwrap();
        assert!(unmounted.success());
    }
}

/// Commits until there is no room; answers what was acknowledged.
async fn fill_up(kv: &Engine) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for number in 0..10_000 {
        let key = format!("full/{number:05}");
        let mut batch = Batch::new(UnixMillis(0));
        batch.put(key.clone(), vec![1; 60_000]);
        match kv.commit(batch).await {
            Ok(()) => acknowledged.push(key),
            Err(CommitError::Full) => return acknowledged,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the disk is not as small as it should be");
}

async fn still_there(kv: &Engine, keys: &[String]) {
    for key in keys {
        let found = kv.get(View::Durable, key.as_bytes()).await;
        assert!(found.unwrap().is_some(), "{key}");
    }
}

/// On a real full disk; where this user may not mount one, the simulated disk is what tests this.
#[test]
fn a_full_disk_refuses_writes_and_loses_nothing() {
    assert!((0..3).any(|_| a_full_disk_stops_sled()));
}

/// Whether sled had something left to write when the room was gone; if so, everything holds.
fn a_full_disk_stops_sled() -> bool {
    let scratch = Scratch::new();
    let Some(_disk) = small_disk(&scratch.0, 60) else {
        return true;
    };
    let filler = scratch.0.join("filler");
    fs::write(&filler, vec![1; 25 * 1024 * 1024]).unwrap();
    let place = scratch.0.join("store");
    let engine = open(&place, options()).unwrap();
    let acknowledged = wait(fill_up(&engine));
    assert!(acknowledged.len() > 10);
    wait(still_there(&engine, &acknowledged));
    assert!(wait(fill_up(&engine)).is_empty());
    // Somebody else takes the reserve too, so that sled finds no room for what it must write.
    let mut rest = fs::File::create(scratch.0.join("rest")).unwrap();
    while rest.write_all(&[1; 4096]).is_ok() {}
    if engine.persist().is_ok() {
        // sled had written everything before the room was gone.
        return false;
    }
    assert!(wait(fill_up(&engine)).is_empty());
    fs::remove_file(&filler).unwrap();
    fs::remove_file(scratch.0.join("rest")).unwrap();
    drop(rest);
    let mut batch = Batch::new(UnixMillis(0));
    batch.put("afterwards", "1");
    assert_eq!(wait(engine.commit(batch)), Ok(()), "without a restart");
    wait(still_there(&engine, &acknowledged));
    engine.persist().unwrap();
    drop(engine);
    let engine = open(&place, options()).unwrap();
    wait(still_there(&engine, &acknowledged));
    wait(still_there(&engine, &["afterwards".to_owned()]));
    true
}

/// Damage while the server runs: pages that sled has not read yet.
#[test]
fn a_page_that_rots_while_the_server_runs_is_had_back() {
    let scratch = Scratch::new();
    let options = Options {
        cache_bytes: 64 * 1024,
        segment_bytes: 64 * 1024 * 1024,
        ..options()
    };
    let engine = open(&scratch.0, options.clone()).unwrap();
    // Far more than the cache takes, because opening reads it all.
    for thousand in 0..20 {
        let mut batch = Batch::new(UnixMillis(0));
        for row in 0..1000 {
            batch.put(format!("row/{thousand:02}{row:03}"), [1; 900].as_slice());
        }
        assert_eq!(wait(engine.commit(batch)), Ok(()));
    }
    let rows = wait(all(&engine));
    drop(engine);
    let engine = open(&scratch.0, options).unwrap();
    let db = scratch.0.join("sled/db");
    let mut bytes = fs::read(&db).unwrap();
    for byte in bytes.iter_mut().skip(5_000).step_by(10_000) {
        *byte ^= 1;
    }
    let file = fs::OpenOptions::new().write(true).open(&db).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &bytes, 0).unwrap();
    assert!(wait(all(&engine)) == rows);
    assert!(
        scratch.0.join("sled.damaged").exists(),
        "nothing was read from the disk"
    );
}
