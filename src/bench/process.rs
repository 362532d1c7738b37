//! The processes that are measured, and what the kernel says of them.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The password of every account of a benchmark; its servers listen on loopback and live for minutes.
pub const PASSWORD: &str = "benchmark-only";

/// A server that uses a fiftieth of a core for this long is at rest; how often that is waited for.
const REST: Duration = Duration::from_secs(1);
const RESTS: u32 = 120;

/// A folder that is removed with its owner.
#[derive(Debug)]
pub struct Folder {
    /// Where it is.
    pub path: PathBuf,
}

impl Folder {
    /// A new folder in `parent`.
    pub fn new(parent: &Path, name: &str) -> Result<Folder, String> {
        let path = parent.join(format!("kalends-bench-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(Folder { path })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// A server in a process of its own, killed with its owner.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Host and port it listens on.
    pub authority: String,
}

impl Server {
    /// The CalDAV server on the data in `folder`, with accounts `b0` to `b<users - 1>` made if they are missing.
    pub fn start(program: &Path, folder: &Path, users: usize) -> Result<Server, String> {
        let data = folder.join("data");
        let settings = folder.join("server.toml");
        fs::write(&settings, SETTINGS).map_err(|e| e.to_string())?;
        if !data.exists() {
            for user in 0..users {
                add_user(program, &settings, &data, &format!("b{user}"))?;
            }
        }
        let mut command = Command::new(program);
        command.arg("serve").arg("--config").arg(&settings);
        command.arg("--data").arg(&data);
        command.args(["--listen", "127.0.0.1:0"]);
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        Server::spawn(command, None)
    }

    /// Adds a room to the running server on the data in `folder`; it books itself when it is free.
    pub fn add_room(program: &Path, folder: &Path, name: &str) -> Result<(), String> {
        let mut command = Command::new(program);
        command.args(["resource", "add", name, "--type", "room", "--config"]);
        command.arg(folder.join("server.toml"));
        command.arg("--data").arg(folder.join("data"));
        let output = command.output().map_err(|e| e.to_string())?;
        match output.status.success() {
            true => Ok(()),
            false => {
                let said = String::from_utf8_lossy(&output.stderr);
                Err(format!("resource add {name}: {said}"))
            }
        }
    }

    /// A bare hyper server that answers everything with these bytes: a status, a content type and a body.
    pub fn bare(program: &Path, body: &[u8]) -> Result<Server, String> {
        let mut command = Command::new(program);
        command.args(["bench", "--bare"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command.stderr(Stdio::null());
        Server::spawn(command, Some(body))
    }

    fn spawn(mut command: Command, input: Option<&[u8]>) -> Result<Server, String> {
        let mut child = command.spawn().map_err(|e| format!("{command:?}: {e}"))?;
        if let (Some(input), Some(mut stdin)) = (input, child.stdin.take()) {
            stdin.write_all(input).map_err(|e| e.to_string())?;
        }
        let stdout = child.stdout.take().ok_or("no standard output")?;
        let mut reader = BufReader::new(stdout);
        let mut said = String::new();
        loop {
            let start = said.len();
            let read = reader.read_line(&mut said).map_err(|e| e.to_string())?;
            if read == 0 {
                let _ = child.kill();
                return Err(format!("the server ended before it listened: {said}"));
            }
            let line = said.get(start..).unwrap_or_default();
            if let Some(authority) = authority(line) {
                // What it prints later must not block it.
                std::thread::spawn(move || {
                    let mut rest = Vec::new();
                    let _ = reader.read_to_end(&mut rest);
                });
                return Ok(Server { child, authority });
            }
        }
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Seconds of CPU the kernel charged the process so far.
    pub fn cpu_seconds(&self) -> Result<f64, String> {
        let path = format!("/proc/{}/stat", self.pid());
        let stat = fs::read_to_string(&path).map_err(|e| format!("{path}: {e}"))?;
        let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
        let ticks: u64 = after_name
            .split(' ')
            .skip(11)
            .take(2)
            .filter_map(|f| f.parse::<u64>().ok())
            .sum();
        Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
    }

    /// The same, once the process has nothing left to do: what was written before is also written to the
    /// data and its checkpoints, which goes on behind the answers.
    pub fn cpu_seconds_at_rest(&self) -> Result<f64, String> {
        let mut before = self.cpu_seconds()?;
        for _ in 0..RESTS {
            std::thread::park_timeout(REST);
            let now = self.cpu_seconds()?;
            if now - before < REST.as_secs_f64() / 50.0 {
                return Ok(now);
            }
            before = now;
        }
        Err("the server did not come to rest".to_owned())
    }

    /// Bytes of the process in memory.
    pub fn resident_bytes(&self) -> Result<u64, String> {
        let path = format!("/proc/{}/status", self.pid());
        let status = fs::read_to_string(&path).map_err(|e| format!("{path}: {e}"))?;
        status
            .lines()
            .find_map(|l| l.strip_prefix("VmRSS:"))
            .and_then(|v| v.trim().trim_end_matches(" kB").trim().parse::<u64>().ok())
            .map(|kib| kib * 1024)
            .ok_or_else(|| format!("{path} has no VmRSS"))
    }

    /// Ends the process at once, as a power cut would.
    pub fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The settings of the measured server: as shipped, but for limits a benchmark's single client would run into.
const SETTINGS: &str = "\
[log]
level = \"error\"

[http]
per_client = 256
";

fn add_user(program: &Path, settings: &Path, data: &Path, name: &str) -> Result<(), String> {
    let mut command = Command::new(program);
    command.args(["user", "add", name, "--password-stdin", "--config"]);
    command.arg(settings).arg("--data").arg(data);
    command.stdin(Stdio::piped()).stdout(Stdio::null());
    command.stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|e| e.to_string())?;
    if let Some(mut stdin) = child.stdin.take() {
        writeln!(stdin, "{PASSWORD}").map_err(|e| e.to_string())?;
    }
    let output = child.wait_with_output().map_err(|e| e.to_string())?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!(
            "user add {name}: {}",
            String::from_utf8_lossy(&output.stderr)
        ))
    }
}

/// Host and port in a line that has an `http://` URL with a port.
fn authority(line: &str) -> Option<String> {
    let rest = line.split_once("http://")?.1;
    let end = rest
        .find(|c: char| c == '/' || c.is_whitespace())
        .unwrap_or(rest.len());
    let authority = rest.get(..end)?;
    let (_, port) = authority.rsplit_once(':')?;
    (port.parse::<u16>().ok()? != 0).then(|| authority.to_owned())
}

#[cfg(test)]
mod tests {
    use super::authority;

    #[test]
    fn a_url_with_a_port_is_where_the_server_listens() {
        assert_eq!(
            authority("listening on http://127.0.0.1:4711/dav/\n").as_deref(),
            Some("127.0.0.1:4711")
        );
        assert_eq!(authority("http://127.0.0.1:0/"), None);
        assert_eq!(authority("no address"), None);
    }
}
