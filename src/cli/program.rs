//! The program: from the command line to an exit code.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use super::args::{self, Action, Command, Program, Verify};
use super::clock::{instant, now};
use super::control::Reach;
use super::failure::{Code, Failure};
use super::log::Logging;
use super::open::{Missing, open};
use super::output::{Out, Printer};
use super::settings::{Log, Settings};
use super::{
    allocator, backup, bench, check, config, conformance, dns, export, held, import_files, mail,
    prompt, serve, zones,
};

/// Runs the program with the command line it was given.
pub fn main() -> ExitCode {
    let program = match Program::try_parse() {
        Ok(program) => program,
        Err(error) => return usage(&error),
    };
    if matches!(program.action, Action::Serve { .. }) {
        allocator::tune();
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return complain(&Failure::failed(error.to_string())),
    };
    let code = match runtime.block_on(run(program)) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => complain(&failure),
    };
    // What still runs on blocking threads must not hold up the end.
    runtime.shutdown_timeout(Duration::from_millis(100));
    code
}

/// What clap says: help goes to standard output with 0, errors have 2.
fn usage(error: &clap::Error) -> ExitCode {
    // Where nothing can be printed, the exit code still says it.
    let _ = error.print();
    if error.use_stderr() {
        ExitCode::from(Code::Usage as u8)
    } else {
        ExitCode::SUCCESS
    }
}

fn complain(failure: &Failure) -> ExitCode {
    if !failure.sentence.is_empty() {
        // As above.
        let _ = writeln!(io::stderr(), "kalends: {failure}");
    }
    ExitCode::from(failure.code as u8)
}

async fn run(program: Program) -> Result<u8, Failure> {
    let config = program.config;
    let settings = |data: Option<PathBuf>| -> Result<Settings, Failure> {
        let mut settings = config::load(config.as_deref())
            .map_err(|error| Failure::new(Code::Usage, error.to_string()))?;
        if let Some(data) = data {
            settings.server.data = data;
        }
        Ok(settings)
    };
    match program.action {
        Action::Serve { listen } => {
            let mut settings = settings(program.data)?;
            if !listen.is_empty() {
                settings.server.listen = listen;
            }
            if let Some((key, message)) = check::first_fault(&settings) {
                return Err(Failure::new(Code::Usage, format!("{key}: {message}")));
            }
            serve::run(settings, config.as_deref()).await.map(|()| 0)
        }
        Action::Store(Command::Mail(args::Mail::Lint { file })) => {
            said(|out| async move { mail::lint(&file, &out).await }).await
        }
        Action::Store(command) => on_store(command, &settings(program.data)?).await,
        Action::Backup { verify: None, file } => {
            let file =
                file.ok_or_else(|| Failure::new(Code::Usage, "which file shall hold the backup?"))?;
            let file = std::path::absolute(file)?;
            on_store(Command::BackUp { file }, &settings(program.data)?).await
        }
        Action::Backup {
            verify: Some(Verify::Verify { file }),
            ..
        } => said(|out| async move { backup::verify(file, &out).await }).await,
        Action::Restore { file, journal, at } => {
            let data = program.data.ok_or_else(|| {
                Failure::new(
                    Code::Usage,
                    "which directory shall be made? Name it with --data",
                )
            })?;
            let source = source(file, journal, at.as_deref())?;
            said(|out| async move { backup::restore(source, data, &out).await }).await
        }
        Action::Bench(asked) => bench::run(asked).await.map(|()| 0),
        Action::Dns(asked) => {
            for record in dns::records(&asked, &settings(program.data)?)? {
                writeln!(io::stdout(), "{record}")?;
            }
            Ok(0)
        }
        Action::Conformance(asked) => conformance::run(asked).await,
    }
}

fn source(
    file: Option<PathBuf>,
    journal: Option<PathBuf>,
    at: Option<&str>,
) -> Result<backup::Source, Failure> {
    match (file, journal, at) {
        (Some(file), _, _) => Ok(backup::Source::Backup(file)),
        (None, Some(journal), Some(at)) => {
            let moment = instant(at, now()).ok_or_else(|| {
                Failure::new(
                    Code::Usage,
                    format!("\"{at}\" is no time such as 2026-11-20T08:00:00Z"),
                )
            })?;
            Ok(backup::Source::Journal(journal, moment))
        }
        _ => Err(Failure::new(
            Code::Usage,
            "name a backup, or --journal DIR and --at TIME",
        )),
    }
}

/// Runs something that says things, and prints them.
async fn said<F: Future<Output = Result<(), Failure>> + Send + 'static>(
    work: impl FnOnce(Out) -> F,
) -> Result<u8, Failure> {
    let (out, mut replies) = Out::channel();
    let end = out.clone();
    let work = work(out);
    let task = tokio::spawn(async move {
        let result = work.await;
        end.end(result).await;
    });
    let mut printer = Printer::new(None);
    let mut code = 0;
    while let Some(reply) = replies.recv().await {
        code = printer.print(reply)?.unwrap_or(code);
    }
    task.await
        .map_err(|error| Failure::failed(error.to_string()))?;
    Ok(code)
}

/// Runs a command on the store, by the server that has it open or without one.
async fn on_store(mut command: Command, settings: &Settings) -> Result<u8, Failure> {
    // Only what is wrong: a command says the rest itself.
    let quiet = Log {
        level: "warn".to_owned(),
        ..settings.log.clone()
    };
    Logging::start(&quiet).map_err(|error| Failure::new(Code::Usage, error.to_string()))?;
    zones::install(&settings.calendars.zoneinfo);
    for note in prompt::fill(&mut command)? {
        writeln!(io::stderr(), "{note}")?;
    }
    if let Command::Mail(args::Mail::Receive(asked)) = &mut command {
        held::read(asked)?;
    }
    let mut printer = Printer::new(match &command {
        Command::Export(export) => export::target(export),
        _ => None,
    });
    let mut reach = reach(&command, settings).await?;
    let result = match command {
        Command::Import(asked) => import_files::send(asked, &mut reach, &mut printer).await,
        command => reach.run(command, &mut printer).await,
    };
    reach.close().await;
    result
}

async fn reach(command: &Command, settings: &Settings) -> Result<Reach, Failure> {
    if let Some(reach) = Reach::server(&settings.server.data).await {
        return Ok(reach);
    }
    // Adding people is how a server is prepared; everything else needs a store.
    let missing = if matches!(command, Command::User(args::User::Add { .. })) {
        Missing::Make
    } else {
        Missing::Refuse
    };
    Ok(Reach::Store(Box::new(open(settings, missing).await?)))
}
