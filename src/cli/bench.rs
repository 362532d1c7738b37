//! `kalends bench`: what the server costs, as ratios to something bare on the same machine.

use std::io::{self, Read as _, Write as _};
use std::path::PathBuf;

use super::failure::{Code, Failure};
use crate::bench::{self, Options};
use clap::Args;

/// What to measure.
#[derive(Debug, Args)]
pub struct Bench {
    /// Measure only this; may be repeated: poll, put, size, read, query, meet, memory, restart, pure
    #[arg(long, value_name = "NAME")]
    pub only: Vec<String>,
    /// Seconds each rate is measured for
    #[arg(long, default_value_t = 3, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=600))]
    pub seconds: u32,
    /// Objects in the large calendars
    #[arg(long, default_value_t = 100_000, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1_000..=1_000_000))]
    pub large: u32,
    /// A folder on the disk to measure [default: the folder for temporary files]
    #[arg(long, value_name = "DIR")]
    pub folder: Option<PathBuf>,
    /// Be the bare server: answer everything with the bytes on standard input
    #[arg(long, hide = true)]
    pub bare: bool,
}

/// Measures, and prints each line as soon as it is known.
///
/// # Errors
///
/// When a process that is measured does not start or answers something else than expected.
pub async fn run(asked: Bench) -> Result<(), Failure> {
    if asked.bare {
        return bare().await;
    }
    let options = Options {
        program: std::env::current_exe()?,
        folder: asked.folder.unwrap_or_else(std::env::temp_dir),
        seconds: asked.seconds,
        large: asked.large as usize,
        only: asked.only,
    };
    let measured = tokio::task::spawn_blocking(move || {
        bench::run(&options, &mut |row| {
            // Progress is a courtesy; the table at the end is the result.
            let _ = writeln!(io::stderr(), "{}: {} {}", row.name, row.value, row.ratio);
        })
    });
    let rows = measured
        .await
        .map_err(|error| Failure::failed(error.to_string()))?
        .map_err(|error| Failure::new(Code::Failed, error))?;
    write!(io::stdout(), "{}", bench::table(&rows))?;
    Ok(())
}

async fn bare() -> Result<(), Failure> {
    let mut body = Vec::new();
    io::stdin().lock().read_to_end(&mut body)?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    writeln!(io::stdout(), "http://{}/", listener.local_addr()?)?;
    io::stdout().flush()?;
    crate::http::bare::serve(listener, body.into()).await?;
    Ok(())
}
