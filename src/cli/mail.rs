//! `[mail]` in server.toml, and `mail`: the mails that wait.

use std::collections::BTreeSet;
use std::io::Read;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::clock::shown;
use super::failure::{Code, Failure};
use super::output::{Out, table};
use super::run::{Ground, by};
use super::settings::{Mail, MailOrganizer, MailSecurity, Settings};
use super::{args, held, inbound};
use crate::dav::Shared;
use crate::ical::Timestamp;
use crate::mail::{
    self, Counts, Mailer, Organizer, Pattern, Relay, Security, Sending, Signer, Transport, Waiting,
    Words, mail_address, sendmail, signing, smtp,
};
use crate::schedule::queue::MailItem;
use crate::store::{Change, Error, Id, MailMessage};

/// Mails listed at most.
const LISTED: usize = 10_000;

/// The longest mail that is judged.
const LONGEST_MAIL: u64 = 64 << 20;

/// How often, and after which time each, it is asked whether the last mails of somebody are sent.
const PATIENCE: u32 = if cfg!(test) { 2 } else { 50 };
const PAUSE: Duration = Duration::from_millis(200);

/// The longest file with a password or a key.
const SECRET_BYTES: u64 = 16_384;

impl Mail {
    /// Whether people outside are invited by mail.
    pub fn is_on(&self) -> bool {
        !self.from.is_empty()
    }
}

/// The first impossible value of `[mail]`.
pub(super) fn first_fault(mail: &Mail) -> Option<(&'static str, String)> {
    let fault = |key, message: &str| Some((key, message.to_owned()));
    let no_sendmail = mail.sendmail == Path::new("");
    if let Some(fault) = inbound::first_fault(mail) {
        return Some(fault);
    }
    if Words::of(&mail.language).is_none() {
        let known: Vec<_> = Words::codes().collect();
        return fault(
            "mail.language",
            &format!("must be one of {}", known.join(", ")),
        );
    }
    if !mail.reply.is_empty()
        && let Err(error) = mail.reply.parse::<Pattern>()
    {
        return fault("mail.reply", &format!("\"{}\" {error}", mail.reply));
    }
    if !mail.is_on() {
        return match mail.host.is_empty() && no_sendmail {
            true => None,
            false => fault(
                "mail.from",
                "must be set where mail.host or mail.sendmail is",
            ),
        };
    }
    if mail_address(&mail.from).is_none_or(|address| !address.is_ascii()) {
        return fault("mail.from", "must be a mail address");
    }
    match (mail.host.is_empty(), no_sendmail) {
        (true, true) => {
            return fault(
                "mail.host",
                "must be set where mail.from is, or mail.sendmail",
            );
        }
        (false, false) => return fault("mail.sendmail", "must be empty where mail.host is set"),
        _ => {}
    }
    if mail.security == MailSecurity::None && !mail.host.is_empty() && !is_here(&mail.host) {
        return fault(
            "mail.security",
            "may be \"none\" only where mail.host is this machine",
        );
    }
    match (
        mail.dkim_selector.is_empty(),
        mail.dkim_key == Path::new(""),
    ) {
        (false, true) => {
            return fault("mail.dkim_key", "must be set where mail.dkim_selector is");
        }
        (true, false) => {
            return fault("mail.dkim_selector", "must be set where mail.dkim_key is");
        }
        _ => {}
    }
    match (mail.user.is_empty(), mail.password_file == Path::new("")) {
        (false, true) => fault("mail.password_file", "must be set where mail.user is"),
        (true, false) => fault("mail.user", "must be set where mail.password_file is"),
        _ => None,
    }
}

fn is_here(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// What sends mails; none if nobody outside is mailed.
pub(super) fn mailer(
    settings: &Settings,
    shared: &Arc<Shared>,
) -> Result<Option<Arc<Mailer>>, Failure> {
    let mail = &settings.mail;
    if !mail.is_on() {
        return Ok(None);
    }
    let transport: Arc<dyn Transport> = match mail.host.is_empty() {
        true => Arc::new(sendmail(mail.sendmail.clone(), mail.timeout.duration())),
        false => {
            let relay = relay(mail)?;
            Arc::new(smtp(&relay).map_err(|error| Failure::new(Code::Usage, error))?)
        }
    };
    let transport = match signer(mail)? {
        Some(signer) => signing(signer, transport),
        None => transport,
    };
    let sending = Sending {
        from: mail.from.clone(),
        name: mail.name.clone(),
        reply: mail.reply.parse().ok(),
        organizer: match mail.organizer {
            MailOrganizer::Reply => Organizer::Reply,
            MailOrganizer::Own => Organizer::Own,
        },
        language: mail.language.clone(),
        pages: inbound::public_url(settings),
        link_seconds: settings.web.link.signed(),
        settle_seconds: mail.settle.signed(),
        retry_seconds: mail.retry.signed(),
        keep_trying_seconds: mail.keep_trying.signed(),
        per_user_day: mail.per_user_day,
        per_domain: mail.per_domain,
        per_domain_minute: mail.per_domain_minute,
        at_once: mail.at_once,
    };
    let counts = Arc::new(Counts::default());
    Ok(Some(Mailer::new(
        shared.clone(),
        sending,
        transport,
        counts,
    )))
}

/// What signs mails; none if the mail server does, or nobody.
pub(super) fn signer(mail: &Mail) -> Result<Option<Signer>, Failure> {
    if mail.dkim_selector.is_empty() {
        return Ok(None);
    }
    let key = secret("mail.dkim_key", &mail.dkim_key)?;
    let domain = mail.from.rsplit_once('@').map_or("", |(_, domain)| domain);
    let signer = Signer::new(domain, &mail.dkim_selector, &key).map_err(|why| {
        let file = mail.dkim_key.display();
        Failure::new(Code::Usage, format!("mail.dkim_key: {file} {why}"))
    })?;
    Ok(Some(signer))
}

fn relay(mail: &Mail) -> Result<Relay, Failure> {
    let (security, port) = match mail.security {
        MailSecurity::StartTls => (Security::StartTls, 587),
        MailSecurity::Tls => (Security::Tls, 465),
        MailSecurity::None => (Security::None, 25),
    };
    let login = match mail.user.is_empty() {
        true => None,
        false => Some((
            mail.user.clone(),
            password("mail.password_file", &mail.password_file)?,
        )),
    };
    let certificates = match mail.certificates == Path::new("") {
        true => None,
        false => Some(read("mail.certificates", &mail.certificates)?),
    };
    let domain = mail.from.rsplit_once('@').map(|(_, domain)| domain);
    Ok(Relay {
        host: mail.host.clone(),
        port: if mail.port == 0 { port } else { mail.port },
        security,
        login,
        certificates,
        name: domain.unwrap_or("localhost").to_owned(),
        connections: u32::try_from(mail.at_once).unwrap_or(u32::MAX),
        timeout: mail.timeout.duration(),
    })
}

fn read(key: &str, file: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(file).map_err(|error| {
        let file = file.display();
        Failure::new(
            Code::Usage,
            format!("{key}: {file} cannot be read: {error}"),
        )
    })
}

/// The password in a file that nobody else may read.
pub(super) fn password(key: &str, file: &Path) -> Result<String, Failure> {
    let text = secret(key, file)?;
    let password = text.lines().next().unwrap_or_default().to_owned();
    if password.is_empty() {
        let file = file.display();
        let sentence = format!("{key}: {file} is empty");
        return Err(Failure::new(Code::Usage, sentence));
    }
    Ok(password)
}

/// The text of a file that nobody else may read.
fn secret(key: &str, file: &Path) -> Result<String, Failure> {
    let fault = |why: String| {
        let file = file.display();
        Failure::new(Code::Usage, format!("{key}: {file} {why}"))
    };
    let known =
        std::fs::metadata(file).map_err(|error| fault(format!("cannot be read: {error}")))?;
    if known.permissions().mode() & 0o077 != 0 {
        return Err(fault("may be read by others; chmod 600 it".to_owned()));
    }
    if known.len() > SECRET_BYTES {
        return Err(fault("is too long".to_owned()));
    }
    String::from_utf8(read(key, file)?).map_err(|_| fault("is not UTF-8".to_owned()))
}

/// `mail`.
pub(super) async fn run(
    command: args::Mail,
    ground: &Ground,
    now: Timestamp,
    out: &Out,
) -> Result<(), Failure> {
    let (waiting, damaged) = waiting(ground).await?;
    match command {
        args::Mail::Lint { file } => lint(&file, out).await,
        args::Mail::Held(command) => held::run(command, ground, now, out).await,
        args::Mail::Receive(asked) => held::receive(&asked, ground, now, out).await,
        args::Mail::List(asked) => list(ground, (&waiting, &damaged), asked.json, out).await,
        args::Mail::Show { id } => {
            let mail = one(&waiting, &id)?;
            out.line(pretty(&described(ground, mail).await?)).await;
            Ok(())
        }
        args::Mail::Retry { id, .. } => {
            let mails = match &id {
                Some(id) => vec![one(&waiting, id)?],
                None => waiting.iter().collect(),
            };
            let count = mails.len();
            for mail in mails {
                retry(ground, mail, now).await?;
            }
            ground.shared.mail_now.notify_one();
            out.line(format!("{count} to be tried now")).await;
            Ok(())
        }
        args::Mail::Drop { id } => {
            let mut broken = damaged
                .iter()
                .filter(|row| row.id.to_string().starts_with(&id));
            let (row, to) = match (broken.next(), one(&waiting, &id)) {
                (Some(row), Err(_)) => (row, "nobody can say whom"),
                (_, found) => found.map(|mail| (&mail.row, mail.item.to.as_str()))?,
            };
            let mut change = Change::new(now, by(now).actor, "mail drop");
            change.take_mail(row);
            let turn = ground.store.turn(&[]).await?;
            ground.store.commit(change, turn).await?;
            out.line(format!("dropped the mail to {to}")).await;
            Ok(())
        }
    }
}

/// `mail lint`: reads the mail where the command is given.
pub(super) async fn lint(file: &Path, out: &Out) -> Result<(), Failure> {
    let mut mail = Vec::new();
    let reader: Box<dyn Read> = match file == Path::new("-") {
        true => Box::new(std::io::stdin()),
        false => Box::new(std::fs::File::open(file)?),
    };
    reader.take(LONGEST_MAIL).read_to_end(&mut mail)?;
    let Some(findings) = mail::lint(&mail) else {
        return Err(Failure::failed(format!("{} is no mail", file.display())));
    };
    for finding in &findings {
        let line = format!("{}: {}; {}", finding.id, finding.what, finding.why);
        out.line(line).await;
    }
    match findings.is_empty() {
        true => {
            out.line("nothing is wrong with it").await;
            Ok(())
        }
        false => Err(Failure::new(Code::Findings, String::new())),
    }
}

/// Has the mails of somebody sent now who is to be removed: none can be made when their account is gone.
///
/// # Errors
/// [`Code::Refused`] while some of them wait.
pub(super) async fn all_sent(
    ground: &Ground,
    (id, name): (Id, &str),
    now: Timestamp,
) -> Result<(), Failure> {
    let mut tried = BTreeSet::new();
    let mut count = 0;
    for _ in 0..PATIENCE {
        let (mut own, _) = waiting(ground).await?;
        own.retain(|mail| mail.item.source.from == id);
        count = own.len();
        if count == 0 {
            return Ok(());
        }
        for mail in own.iter().filter(|mail| mail.row.due > now) {
            if tried.insert(mail.row.id) {
                retry(ground, mail, now).await?;
            }
        }
        ground.shared.mail_now.notify_one();
        tokio::time::sleep(PAUSE).await;
    }
    let sentence = format!(
        "{name}'s calendars are removed, and mails about their meetings wait ({count}); remove {name} when they are \
         sent: `kalends mail list` says why they wait, `kalends mail drop ID` gives one up"
    );
    Err(Failure::new(Code::Refused, sentence))
}

/// What waits, and the rows that cannot be read.
async fn waiting(ground: &Ground) -> Result<(Vec<Waiting>, Vec<MailMessage>), Failure> {
    let rows = ground.store.mail_due(Timestamp(i64::MAX), LISTED).await?;
    let (mut waiting, mut damaged) = (Vec::new(), Vec::new());
    for row in rows {
        match Waiting::read(row.clone()) {
            Ok(mail) => waiting.push(mail),
            Err(_) => damaged.push(row),
        }
    }
    Ok((waiting, damaged))
}

/// The one mail whose id begins like this.
fn one<'a>(waiting: &'a [Waiting], id: &str) -> Result<&'a Waiting, Failure> {
    let begins = |mail: &&Waiting| mail.row.id.to_string().starts_with(id);
    let mut found = waiting.iter().filter(begins);
    match (found.next(), found.next()) {
        (Some(mail), None) => Ok(mail),
        (Some(_), Some(_)) => Err(Failure::new(
            Code::Usage,
            format!("several mails begin with {id}"),
        )),
        (None, _) => Err(Failure::new(
            Code::NotFound,
            format!("no mail that waits begins with {id}"),
        )),
    }
}

async fn list(
    ground: &Ground,
    (waiting, damaged): (&[Waiting], &[MailMessage]),
    as_json: bool,
    out: &Out,
) -> Result<(), Failure> {
    let mut all = Vec::new();
    for mail in waiting {
        all.push(described(ground, mail).await?);
    }
    all.extend(damaged.iter().map(|row| {
        let why = "the row is damaged: drop it, and change the meeting once more";
        json!({ "id": row.id.to_string(), "next": shown(row.due), "why": why })
    }));
    if as_json {
        out.line(Value::from(all).to_string()).await;
        return Ok(());
    }
    let cell = |mail: &Value, key: &str| match &mail[key] {
        Value::String(text) => text.clone(),
        Value::Null => "?".to_owned(),
        other => other.to_string(),
    };
    let keys = ["id", "from", "to", "next", "tries", "why"];
    let rows: Vec<Vec<String>> = all
        .iter()
        .map(|mail| keys.iter().map(|key| cell(mail, key)).collect())
        .collect();
    let rows = rows.into_iter().map(|mut row: Vec<String>| {
        if let Some(id) = row.first_mut() {
            id.truncate(8);
        }
        row
    });
    let rows: Vec<Vec<String>> = rows.collect();
    for line in table(&["ID", "FROM", "TO", "NEXT", "TRIES", "WHY"], &rows) {
        out.line(line).await;
    }
    Ok(())
}

async fn described(ground: &Ground, mail: &Waiting) -> Result<Value, Failure> {
    let directory = ground.store.directory().await?;
    let source = &mail.item.source;
    let from = directory.principal(source.from).map(|p| p.name.clone());
    Ok(json!({
        "id": mail.row.id.to_string(),
        "from": from,
        "to": mail.item.to,
        "uid": source.uid,
        "object": source.name,
        "written": shown(mail.since()),
        "next": shown(mail.row.due),
        "tries": mail.note.tries,
        "why": mail.note.why,
    }))
}

fn pretty(value: &Value) -> String {
    let fields = value.as_object().into_iter().flatten();
    let line = |(key, value): (&String, &Value)| match value {
        Value::String(text) => format!("{key:8} {text}"),
        other => format!("{key:8} {other}"),
    };
    fields.map(line).collect::<Vec<_>>().join("\n")
}

/// The same row, due now; what was not tried yet need not wait for more edits.
async fn retry(ground: &Ground, mail: &Waiting, now: Timestamp) -> Result<(), Failure> {
    let mut note = mail.note.clone();
    note.since = Some(mail.since());
    note.tries = note.tries.max(1);
    let item = MailItem {
        note: note.to_string(),
        ..mail.item.clone()
    };
    let row = MailMessage {
        id: mail.row.id,
        due: now,
        payload: item.encode(),
    };
    let mut change = Change::new(now, by(now).actor, "mail retry");
    change.take_mail(&mail.row);
    change.queue_mail(&row);
    let turn = ground.store.turn(&[]).await?;
    match ground.store.commit(change, turn).await {
        // It was sent or dropped meanwhile.
        Err(Error::Conflict) => Ok(()),
        done => Ok(done.map(|_| ())?),
    }
}
