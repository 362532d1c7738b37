//! Log lines: text on a terminal, JSON otherwise, to standard error; the level
//! can be changed while the server runs.

use std::io::IsTerminal;

use tracing_subscriber::filter::{EnvFilter, ParseError};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

use super::settings::{Log, LogFormat};

/// The filter a level or directive names.
pub(super) fn filter(level: &str) -> Result<EnvFilter, ParseError> {
    EnvFilter::builder().parse(level)
}

/// The handle by which the level is changed.
#[derive(Debug)]
pub struct Logging {
    filter: reload::Handle<EnvFilter, Registry>,
}

impl Logging {
    /// Starts logging for the whole process; the second call has no effect but
    /// on its own handle.
    pub fn start(settings: &Log) -> Result<Logging, ParseError> {
        let (filter, handle) = reload::Layer::new(filter(&settings.level)?);
        let terminal = std::io::stderr().is_terminal();
        let json = match settings.format {
            LogFormat::Json => true,
            LogFormat::Text => false,
            LogFormat::Auto => !terminal,
        };
        let lines = fmt::layer().with_writer(std::io::stderr);
        let lines: Box<dyn Layer<_> + Send + Sync> = if json {
            lines
                .json()
                .flatten_event(true)
                .with_current_span(true)
                .with_span_list(false)
                .boxed()
        } else {
            lines.with_ansi(terminal).boxed()
        };
        // An error means that a test, or an embedding program, already logs.
        let _ = tracing_subscriber::registry()
            .with(filter)
            .with(lines)
            .try_init();
        Ok(Logging { filter: handle })
    }

    /// Changes the level; the sentence says what went wrong.
    pub fn set_level(&self, level: &str) -> Result<(), String> {
        let filter = filter(level).map_err(|error| error.to_string())?;
        self.filter
            .reload(filter)
            .map_err(|error| error.to_string())
    }
}
