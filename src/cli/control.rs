//! Commands to a running server: a Unix socket in the data directory, and one
//! line of JSON for each thing said.
//!
//! The client sends commands, the server runs the same function that runs
//! without it, and sends the replies. Who can open the socket may do
//! everything: it is made for the server's user alone, in a directory that is.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

use super::args::Command;
use super::clock::now;
use super::failure::{Code, Failure};
use super::output::{Out, Printer, Reply};
use super::run::{Ground, run};

/// The socket's name in the data directory.
const NAME: &str = "control.sock";

/// The longest line: a file to import, written as JSON.
const MAX_LINE_BYTES: u64 = 1 << 30;

/// The longest path a Unix socket can have, with a margin.
const MAX_PATH_BYTES: usize = 100;

/// The socket commands come through.
#[derive(Debug)]
pub struct Control {
    listener: UnixListener,
    path: PathBuf,
}

/// A path to the socket that is short enough, and what keeps it alive: the data
/// directory may lie deep.
fn short(data: &Path) -> io::Result<(PathBuf, Option<std::fs::File>)> {
    let path = data.join(NAME);
    if path.as_os_str().len() < MAX_PATH_BYTES {
        return Ok((path, None));
    }
    let directory = std::fs::File::open(data)?;
    let number = std::os::fd::AsRawFd::as_raw_fd(&directory);
    Ok((
        PathBuf::from(format!("/proc/self/fd/{number}/{NAME}")),
        Some(directory),
    ))
}

impl Control {
    /// Opens the socket. The store must be locked: then a socket that is there
    /// was left by a server that is gone.
    pub fn open(data: &Path) -> io::Result<Control> {
        let path = data.join(NAME);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let (short, _directory) = short(data)?;
        let listener = UnixListener::bind(&short)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        Ok(Control { listener, path })
    }

    /// Runs the commands that come, until the server stops.
    pub async fn serve(self, ground: Ground, mut stop: watch::Receiver<bool>) {
        loop {
            let accepted = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    let ground = ground.clone();
                    tokio::spawn(async move {
                        if let Err(error) = answer(stream, ground).await {
                            tracing::debug!(%error, "a command's connection ended");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a command's connection was not accepted");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            }
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Runs the commands of one connection, one after the other.
async fn answer(stream: UnixStream, ground: Ground) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    while let Some(line) = line(&mut reader).await? {
        let (out, mut said) = Out::channel();
        let ground = ground.clone();
        // A task of its own: the command goes on when its asker is gone.
        let task = tokio::spawn(async move {
            let result = match serde_json::from_str::<Command>(&line) {
                Ok(command) => run(command, &ground, now(), &out).await,
                Err(error) => Err(Failure::new(
                    Code::Failed,
                    format!(
                        "the running server does not know this command; is it another version? ({error})"
                    ),
                )),
            };
            out.end(result).await;
        });
        while let Some(reply) = said.recv().await {
            let mut text = serde_json::to_string(&reply).map_err(io::Error::other)?;
            text.push('\n');
            writer.write_all(text.as_bytes()).await?;
        }
        task.await.map_err(io::Error::other)?;
    }
    Ok(())
}

async fn line(reader: &mut (impl AsyncBufReadExt + Unpin)) -> io::Result<Option<String>> {
    let mut line = String::new();
    let read = reader.take(MAX_LINE_BYTES).read_line(&mut line).await?;
    if read == 0 {
        return Ok(None);
    }
    if !line.ends_with('\n') {
        return Err(io::Error::other("a line has no end"));
    }
    Ok(Some(line))
}

/// How commands reach the store.
pub enum Reach {
    /// Through a running server.
    Server {
        /// Its replies.
        reader: BufReader<tokio::net::unix::OwnedReadHalf>,
        /// Its commands.
        writer: tokio::net::unix::OwnedWriteHalf,
    },
    /// On the store itself.
    Store(Box<Ground>),
}

impl Reach {
    /// The server that runs on a data directory, if one does.
    pub async fn server(data: &Path) -> Option<Reach> {
        let (path, _directory) = short(data).ok()?;
        let stream = UnixStream::connect(path).await.ok()?;
        let (reader, writer) = stream.into_split();
        Some(Reach::Server {
            reader: BufReader::new(reader),
            writer,
        })
    }

    /// Runs a command and prints what it says; answers its exit code.
    pub async fn run(&mut self, command: Command, printer: &mut Printer) -> Result<u8, Failure> {
        match self {
            Reach::Server { reader, writer } => {
                let mut text = serde_json::to_string(&command)
                    .map_err(|error| Failure::failed(error.to_string()))?;
                text.push('\n');
                writer.write_all(text.as_bytes()).await?;
                while let Some(line) = line(reader).await? {
                    let reply: Reply = serde_json::from_str(&line)
                        .map_err(|error| Failure::failed(error.to_string()))?;
                    if let Some(code) = printer.print(reply)? {
                        return Ok(code);
                    }
                }
                Err(Failure::failed(
                    "the server went away before the command was done",
                ))
            }
            Reach::Store(ground) => {
                let (out, mut said) = Out::channel();
                let ground = ground.clone();
                let task = tokio::spawn(async move {
                    let result = run(command, &ground, now(), &out).await;
                    out.end(result).await;
                });
                let mut code = None;
                while let Some(reply) = said.recv().await {
                    code = printer.print(reply)?.or(code);
                }
                task.await
                    .map_err(|error| Failure::failed(error.to_string()))?;
                code.ok_or_else(|| Failure::failed("the command ended without a word"))
            }
        }
    }
}

impl Reach {
    /// Ends it: a store that was opened is closed.
    pub async fn close(self) {
        if let Reach::Store(ground) = self
            && let Some(engine) = ground.engine
            && let Err(error) = tokio::task::spawn_blocking(move || engine.close()).await
        {
            tracing::error!(%error, "the store did not close as it should");
        }
    }
}

impl std::fmt::Debug for Reach {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Reach::Server { .. } => "Server",
            Reach::Store(_) => "Store",
        })
    }
}
