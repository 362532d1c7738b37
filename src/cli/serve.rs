//! `serve`: opens the parts, joins them, and runs until it is told to stop.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::clock::now;
use super::control::Control;
use super::failure::{Code, Failure};
use super::log::Logging;
use super::open::{Missing, open};
use super::run::{Ground, by};
use super::settings::Settings;
use super::upkeep::{self, Upkeep};
use super::{backup, config, inbound, mail, zones};
use crate::auth::accounts::{self, NewPrincipal};
use crate::auth::{self, Auth, password};
use crate::http::address::{Address, Network};
use crate::http::limits::Limits;
use crate::http::listen::{Listener, bind};
use crate::http::serve::{Handler, Options, serve};
use crate::http::tls::Certificate;
use crate::http::{Server, answer};
use crate::schedule::worker;
use crate::store::PrincipalKind;

/// How long the engine gets to close before the journal has to do.
const CLOSE: Duration = Duration::from_millis(1500);

/// Runs the server until SIGTERM or Ctrl-C.
pub(super) async fn run(settings: Settings, file: Option<&Path>) -> Result<(), Failure> {
    let logging = Logging::start(&settings.log)
        .map_err(|error| Failure::new(Code::Usage, error.to_string()))?;
    // Before anything else: a signal that comes early must not be missed.
    let mut signals = Signals::new()?;
    zones::install(&settings.calendars.zoneinfo);
    let certificate = certificate(&settings)?;
    let ground = tokio::select! {
        ground = open(&settings, Missing::Make) => ground?,
        // Recovery may take long; ending it is no worse than a crash.
        () = signals.stop() => return Ok(()),
    };
    let result = open_doors(&settings, &ground, certificate.as_ref()).await;
    let (listeners, control) = match result {
        Ok(doors) => doors,
        Err(failure) => {
            close(&ground).await;
            return Err(failure);
        }
    };
    let (stop, stopped) = watch::channel(false);
    let server = server(&settings, &ground)?;
    let mailer = mail::mailer(&settings, &server.shared)?;
    let options = Options {
        mails: mailer.as_ref().map(|mailer| mailer.counts()),
        ..options(&settings)?
    };
    let upkeep = Upkeep {
        ground: ground.clone(),
        server: server.clone(),
        data: settings.server.data.clone(),
        reserve_bytes: settings.store.reserve.0,
    };
    let mut tasks = vec![
        tokio::spawn(upkeep::run(upkeep, stopped.clone())),
        tokio::spawn(worker::run(server.shared.clone(), now, stopped.clone())),
    ];
    if let Some(control) = control {
        tasks.push(tokio::spawn(control.serve(ground.clone(), stopped.clone())));
    }
    tasks.extend(backups(&settings, &ground, &stopped));
    tasks.extend(mailer.map(|mailer| tokio::spawn(mailer.run(now, stopped.clone()))));
    tasks.extend(inbound::start(&settings, &ground, &stopped).await?);
    greet(&settings, &ground, &listeners).await?;
    let serving = serve(listeners, handler(server), options, stopped);
    let mut serving = std::pin::pin!(serving);
    loop {
        tokio::select! {
            () = &mut serving => break,
            signal = signals.next() => match signal {
                Signal::Stop => {
                    tracing::info!("stopping: requests in work are finished");
                    // Everybody listens for as long as the server runs.
                    let _ = stop.send(true);
                }
                Signal::Reload => reload(file, &logging, certificate.as_ref()),
            },
        }
    }
    for task in tasks {
        task.abort();
    }
    close(&ground).await;
    tracing::info!("stopped");
    Ok(())
}

/// Closes the engine; what it does not manage in time the journal has.
async fn close(ground: &Ground) {
    let Some(engine) = ground.engine.clone() else {
        return;
    };
    let closing = tokio::task::spawn_blocking(move || engine.close());
    match tokio::time::timeout(CLOSE, closing).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, "the store did not close as it should"),
        Err(_) => tracing::info!("the store is closed by its journal; the next start replays it"),
    }
}

fn certificate(settings: &Settings) -> Result<Option<Arc<Certificate>>, Failure> {
    let server = &settings.server;
    if server.certificate.as_os_str().is_empty() {
        return Ok(None);
    }
    Certificate::load(&server.certificate, &server.key)
        .map(|certificate| Some(Arc::new(certificate)))
        .map_err(|error| Failure::new(Code::Usage, error.to_string()))
}

/// Opens the sockets. An address that this machine does not have is passed over
/// while there is another: a machine without IPv6 has no `[::1]`.
async fn open_doors(
    settings: &Settings,
    ground: &Ground,
    certificate: Option<&Arc<Certificate>>,
) -> Result<(Vec<Listener>, Option<Control>), Failure> {
    let mut listeners = Vec::new();
    let mut absent = None;
    for text in &settings.server.listen {
        let address: Address = text
            .parse()
            .map_err(|error| Failure::new(Code::Usage, format!("\"{text}\" {error}")))?;
        match bind(&address, certificate).await {
            Ok(listener) => listeners.push(listener),
            Err(error) if error.is_absent() => {
                tracing::warn!(%error, "passed over");
                absent = Some(error);
            }
            Err(error) => return Err(Failure::failed(error.to_string())),
        }
    }
    if let (true, Some(error)) = (listeners.is_empty(), absent) {
        return Err(Failure::failed(error.to_string()));
    }
    if ground.engine.is_none() {
        return Ok((listeners, None));
    }
    let control = Control::open(&settings.server.data).map_err(|error| {
        Failure::failed(format!("the socket for commands cannot be opened: {error}"))
    })?;
    Ok((listeners, Some(control)))
}

fn options(settings: &Settings) -> Result<Options, Failure> {
    let http = &settings.http;
    let trusted_proxies = settings
        .server
        .trusted_proxies
        .iter()
        .map(|text| text.parse::<Network>())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| Failure::new(Code::Usage, error))?;
    Ok(Options {
        limits: Limits {
            first_byte: http.first_byte.duration(),
            header: http.header.duration(),
            body: http.body.duration(),
            write: http.write.duration(),
            idle: http.idle.duration(),
            shutdown: http.shutdown.duration(),
            max_header_bytes: http.max_header.length(),
            max_body_bytes: http.max_body.length(),
            body_memory_bytes: http.body_memory.length(),
            max_connections: http.max_connections,
            per_client: http.per_client,
            ..Limits::default()
        },
        prefix: settings.server.prefix.clone(),
        trusted_proxies,
        clock: Arc::new(now),
        metrics: settings.server.metrics,
        mails: None,
    })
}

fn auth_limits(settings: &Settings) -> auth::Limits {
    let auth = &settings.auth;
    auth::Limits {
        remember_seconds: auth.remember.signed(),
        remember_count: auth.remember_count,
        parallel: auth.parallel,
        waiting: auth.waiting,
        failures: auth.failures,
        window_seconds: auth.window.signed(),
        ..auth::Limits::default()
    }
}

/// The task that makes backups, where a folder is set for them.
fn backups(
    settings: &Settings,
    ground: &Ground,
    stopped: &watch::Receiver<bool>,
) -> Option<tokio::task::JoinHandle<()>> {
    let engine = ground.engine.clone()?;
    let wanted = !settings.backup.folder.as_os_str().is_empty();
    let scheduled = || backup::scheduled(engine, settings.backup.clone(), stopped.clone());
    wanted.then(|| tokio::spawn(scheduled()))
}

fn server(settings: &Settings, ground: &Ground) -> Result<Arc<Server>, Failure> {
    let auth = Auth::new(ground.store.clone(), &auth_limits(settings))
        .map_err(|error| Failure::failed(error.to_string()))?;
    let realm = &settings.server.realm;
    let server = Server::over(ground.shared.clone(), Arc::new(auth), realm);
    if let Some(pages) = inbound::pages(settings, &server.shared) {
        // Just made: nobody else has set them.
        let _ = server.pages.set(pages);
    }
    Ok(server)
}

fn handler(server: Arc<Server>) -> Handler {
    Arc::new(move |request, now| {
        let server = server.clone();
        Box::pin(async move { answer(&server, request, now).await })
    })
}

/// Makes the first account and says how to get on.
async fn greet(
    settings: &Settings,
    ground: &Ground,
    listeners: &[Listener],
) -> Result<(), Failure> {
    let mut lines = Vec::new();
    if ground.store.directory().await?.is_empty() {
        let text = password::random().map_err(|error| Failure::failed(error.to_string()))?;
        let (hashed, cost) = (text.clone(), ground.cost);
        let hash = tokio::task::spawn_blocking(move || password::hash(&hashed, cost))
            .await
            .map_err(|error| Failure::failed(error.to_string()))?
            .map_err(|error| Failure::failed(error.to_string()))?;
        let admin = NewPrincipal {
            admin: true,
            password: Some(hash),
            display_name: "Administrator".to_owned(),
            ..NewPrincipal::named(PrincipalKind::User, "admin")
        };
        accounts::add(&ground.store, &admin, &by(now())).await?;
        lines.push("The first account, whose password is shown only now:".to_owned());
        lines.push("  user      admin".to_owned());
        lines.push(format!("  password  {text}"));
        lines.push(String::new());
    }
    lines.push("Kalends is running. Type this into your calendar program:".to_owned());
    lines.extend(
        urls(settings, listeners)
            .iter()
            .map(|url| format!("  {url}")),
    );
    lines.push(String::new());
    lines.push("Add people:  kalends user add NAME --name 'FULL NAME' --address MAIL".to_owned());
    if ground.engine.is_none() {
        lines.push("The store is in memory: everything is gone when the server stops.".to_owned());
    }
    let mut stdout = io::stdout();
    for line in lines {
        writeln!(stdout, "{line}")?;
    }
    stdout.flush()?;
    Ok(())
}

/// The URLs of the server: the public one, or one for each address.
fn urls(settings: &Settings, listeners: &[Listener]) -> Vec<String> {
    let server = &settings.server;
    if !server.public_url.is_empty() {
        return vec![format!("{}/", server.public_url.trim_end_matches('/'))];
    }
    listeners
        .iter()
        .map(|listener| match listener.url() {
            Some(url) => format!("{url}{}/", server.prefix),
            None => "(the URL of the proxy in front of the Unix socket)".to_owned(),
        })
        .collect()
}

/// SIGHUP: the log level and the certificate are read again; what is wrong
/// leaves things as they are.
fn reload(file: Option<&Path>, logging: &Logging, certificate: Option<&Arc<Certificate>>) {
    match config::load(file) {
        Ok(settings) => {
            if let Err(error) = logging.set_level(&settings.log.level) {
                tracing::error!(error, "the log level stays");
            }
        }
        Err(error) => tracing::error!(%error, "the settings stay"),
    }
    if let Some(certificate) = certificate {
        match certificate.reload() {
            Ok(()) => tracing::info!("the certificate was read again"),
            Err(error) => tracing::error!(%error, "the certificate stays"),
        }
    }
    tracing::info!("reloaded");
}

enum Signal {
    Stop,
    Reload,
}

struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for a signal to stop.
    async fn stop(&mut self) {
        while matches!(self.next().await, Signal::Reload) {}
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::Stop,
            _ = self.interrupt.recv() => Signal::Stop,
            _ = self.hang_up.recv() => Signal::Reload,
        }
    }
}
