//! From the bytes of a mail to what matters of it: who sent it to whom, whether a machine did, and the calendars in it,
//! wherever senders put them (RFC 5322 §3.6, RFC 2045 §5, §6, RFC 6047 §2.4).
//!
//! `text/calendar` is looked for at any depth, then files: `application/ics`, any type with a name that ends in `.ics`,
//! a text that is nothing but a calendar. Of the same message sent twice, as part and as file, one is taken. A calendar
//! inside a forwarded mail is marked so, because who forwarded it did not write it.
//!
//! **Gaps**: TNEF (`winmail.dat`) is recognised and not read; vCalendar 1.0 is neither.

use std::panic::{AssertUnwindSafe, catch_unwind};

use mail_parser::decoders::base64::base64_decode;
use mail_parser::decoders::charsets::map::charset_decoder;
use mail_parser::decoders::quoted_printable::quoted_printable_decode;
use mail_parser::{
    Address, Encoding, HeaderName, HeaderValue, Message, MessageParser, MessagePart, MimeHeaders,
    PartType,
};

use crate::ical::{self, Component, Timestamp};

/// How much of a mail is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a mail.
    pub bytes: usize,
    /// Parts of a mail, those of mails inside it counted in.
    pub parts: usize,
    /// Mails inside each other.
    pub depth: usize,
    /// Bytes of one calendar, decoded.
    pub calendar_bytes: usize,
    /// Events and to-dos of one calendar: a series and its overrides.
    pub instances: usize,
    /// Attendees of one event.
    pub attendees: usize,
    /// Scheduling messages of one mail.
    pub messages: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            bytes: 10 << 20,
            parts: 200,
            depth: 8,
            calendar_bytes: 2 << 20,
            instances: 1000,
            attendees: 1000,
            messages: 20,
        }
    }
}

/// Somebody in a header: the address in lower case, and the name beside it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mailbox {
    /// The address.
    pub address: String,
    /// The name, or nothing.
    pub name: String,
}

/// Where in a mail a calendar was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A part of type text/calendar: what RFC 6047 §2.4 asks for.
    Body,
    /// A file.
    File,
    /// A text that is nothing but a calendar.
    Text,
    /// In a mail inside the mail.
    Forwarded,
}

/// A calendar found in a mail.
#[derive(Clone, Debug)]
pub struct Found {
    /// Where it was.
    pub place: Place,
    /// The `method` parameter of its Content-Type. RFC 6047 §2.4
    pub method: Option<String>,
    /// The VCALENDAR.
    pub calendar: Component,
}

/// What a mail says of one recipient it could not be delivered to. RFC 3464 §2.3
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Undelivered {
    /// The recipient, in lower case, as the sender wrote it if that is told.
    pub recipient: String,
    /// The recipient of the last hop, in lower case.
    pub finally: String,
    /// The status, such as `5.1.1`.
    pub status: String,
    /// What the other side said.
    pub diagnostic: String,
}

/// A report that a mail was not delivered. RFC 3464 §2
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Those whom it did not reach, for good.
    pub failed: Vec<Undelivered>,
    /// The Message-ID of the mail it is about.
    pub message_id: String,
    /// Addresses in that mail's From, Reply-To and Return-Path: one of them is ours.
    pub senders: Vec<String>,
}

/// A mail, read.
#[derive(Clone, Debug, Default)]
pub struct Letter {
    /// The authors. RFC 5322 §3.6.2
    pub from: Vec<Mailbox>,
    /// Who sent it for them, if that is somebody else. RFC 5322 §3.6.2
    pub sender: Option<Mailbox>,
    /// Everybody it was addressed or delivered to, by header: in lower case, each once.
    pub recipients: Vec<String>,
    /// Its Message-ID, without brackets.
    pub message_id: String,
    /// Its subject.
    pub subject: String,
    /// When it was written, as it says itself.
    pub date: Option<Timestamp>,
    /// Why it is taken for a machine's own answer, if it is.
    pub automatic: Option<&'static str>,
    /// A report that a mail was not delivered.
    pub report: Option<Report>,
    /// What mail servers on its way found out of its sender, the last one's first. RFC 8601 §2.2
    pub results: Vec<String>,
    /// The calendars in it, the best place first.
    pub calendars: Vec<Found>,
    /// Outlook packed something into a file that only Outlook reads. [MS-OXTNEF]
    pub packed: bool,
    /// The first lines of what a person wrote.
    pub text: String,
}

/// Why a mail cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It has no header.
    NoMail,
    /// It is longer than a mail may be.
    TooLarge,
    /// It has more parts than a mail may have.
    TooManyParts,
    /// It has mails in mails in mails.
    TooDeep,
    /// A calendar in it is longer, or has more instances or attendees, than one may have.
    CalendarTooLarge,
}

/// Characters of a person's text that are kept.
const TEXT: usize = 2000;

/// Reads a mail.
pub fn read(bytes: &[u8], limits: &Limits) -> Result<Letter, Unreadable> {
    if bytes.len() > limits.bytes {
        return Err(Unreadable::TooLarge);
    }
    // The reader promises not to panic; a mail that makes it break the promise is unreadable.
    let message = catch_unwind(AssertUnwindSafe(|| MessageParser::default().parse(bytes)));
    let message = message.ok().flatten().ok_or(Unreadable::NoMail)?;
    let root = message.parts.first().ok_or(Unreadable::NoMail)?;
    if root.headers.is_empty() {
        return Err(Unreadable::NoMail);
    }
    let mut letter = head(&message);
    let mut walk = Walk {
        limits,
        parts: 0,
        packed: false,
        found: Vec::new(),
    };
    walk.message(&message, 0)?;
    letter.report = report(&message);
    walk.found.sort_by_key(|found| found.place);
    letter.calendars = walk.found;
    letter.packed = walk.packed;
    Ok(letter)
}

fn head(message: &Message<'_>) -> Letter {
    let mut recipients = Vec::new();
    for name in [
        HeaderName::To,
        HeaderName::Cc,
        HeaderName::ResentTo,
        HeaderName::DeliveredTo,
        HeaderName::Other("X-Original-To".into()),
        HeaderName::Other("Envelope-To".into()),
        HeaderName::Other("X-Delivered-To".into()),
    ] {
        for mailbox in mailboxes(message, name) {
            if !recipients.contains(&mailbox.address) {
                recipients.push(mailbox.address);
            }
        }
    }
    let text = message.body_text(0).unwrap_or_default();
    Letter {
        from: mailboxes(message, HeaderName::From),
        sender: mailboxes(message, HeaderName::Sender).into_iter().next(),
        recipients,
        message_id: message.message_id().unwrap_or_default().to_owned(),
        subject: one_line(message.subject().unwrap_or_default()),
        date: message.date().map(|date| Timestamp(date.to_timestamp())),
        automatic: automatic(message),
        report: None,
        results: results(message),
        calendars: Vec::new(),
        packed: false,
        text: text.trim().chars().take(TEXT).collect(),
    }
}

fn results(message: &Message<'_>) -> Vec<String> {
    let name = HeaderName::Other("Authentication-Results".into());
    let name = HeaderName::parse("Authentication-Results").unwrap_or(name);
    let values = message.header_as(name, mail_parser::HeaderForm::Raw);
    let texts = values.iter().filter_map(|value| value.as_text());
    texts.take(20).map(one_line).collect()
}

/// A header's text without line ends and other controls.
fn one_line(text: &str) -> String {
    let clean = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    clean.take(1000).collect::<String>().trim().to_owned()
}

fn mailboxes(message: &Message<'_>, name: HeaderName<'static>) -> Vec<Mailbox> {
    let mut all = Vec::new();
    let values = message.header_as(name, mail_parser::HeaderForm::Addresses);
    for value in &values {
        let Some(addresses) = value.as_address() else {
            continue;
        };
        push_mailboxes(&mut all, addresses);
    }
    all
}

fn push_mailboxes(all: &mut Vec<Mailbox>, addresses: &Address<'_>) {
    for address in addresses.iter() {
        let Some(mail) = address.address() else {
            continue;
        };
        let mail = plain_address(mail);
        if mail.contains('@') && all.len() < MAILBOXES {
            all.push(Mailbox {
                address: mail,
                name: one_line(address.name().unwrap_or_default()),
            });
        }
    }
}

/// Mailboxes of a header that are looked at.
const MAILBOXES: usize = 500;

/// An address as it is compared: in lower case, without blanks and brackets.
pub(super) fn plain_address(address: &str) -> String {
    let address = address.trim().trim_matches(|c| c == '<' || c == '>');
    address.trim().to_lowercase()
}

fn header_text(message: &Message<'_>, name: &'static str) -> Option<String> {
    let values = message.header_as(HeaderName::Other(name.into()), mail_parser::HeaderForm::Raw);
    let named = HeaderName::parse(name);
    let values = if values.is_empty() {
        named.map_or(values, |name| {
            message.header_as(name, mail_parser::HeaderForm::Raw)
        })
    } else {
        values
    };
    let text = values.first()?.as_text()?.trim().to_lowercase();
    Some(text).filter(|text| !text.is_empty())
}

/// Why a mail is a machine's own answer. RFC 3834 §5
fn automatic(message: &Message<'_>) -> Option<&'static str> {
    let starts = |name, wanted: &[&str]| {
        header_text(message, name)
            .is_some_and(|text| wanted.iter().any(|wanted| text.starts_with(wanted)))
    };
    let root = message.parts.first()?;
    let report = root.content_type().is_some_and(|it| {
        it.subtype()
            .is_some_and(|it| it.eq_ignore_ascii_case("report"))
            && it
                .attribute("report-type")
                .is_some_and(|it| it.eq_ignore_ascii_case("disposition-notification"))
    });
    if report {
        return Some("a receipt");
    }
    if starts("Auto-Submitted", &["auto-replied", "auto-notified"]) {
        return Some("Auto-Submitted: auto-replied");
    }
    if starts("Precedence", &["auto_reply", "auto-reply"]) {
        return Some("Precedence: auto_reply");
    }
    let named = [
        "X-Autoreply",
        "X-Autorespond",
        "X-Autoresponder",
        "X-AutoReply-From",
        "X-Mail-Autoreply",
    ];
    if named
        .iter()
        .any(|name| header_text(message, name).is_some_and(|text| text != "no"))
    {
        return Some("an autoresponder's header");
    }
    if starts("Auto-Submitted", &["auto-generated"]) {
        return Some("Auto-Submitted: auto-generated");
    }
    starts("Precedence", &["junk"]).then_some("Precedence: junk")
}

/// The way through the parts of a mail.
struct Walk<'l> {
    limits: &'l Limits,
    parts: usize,
    packed: bool,
    found: Vec<Found>,
}

impl Walk<'_> {
    fn message(&mut self, message: &Message<'_>, depth: usize) -> Result<(), Unreadable> {
        if depth > self.limits.depth {
            return Err(Unreadable::TooDeep);
        }
        for part in &message.parts {
            self.parts += 1;
            if self.parts > self.limits.parts {
                return Err(Unreadable::TooManyParts);
            }
            match &part.body {
                PartType::Message(inner) => self.message(inner, depth + 1)?,
                PartType::Multipart(_) => {}
                PartType::Text(_)
                | PartType::Html(_)
                | PartType::Binary(_)
                | PartType::InlineBinary(_) => self.part(message, part, depth)?,
            }
        }
        Ok(())
    }

    fn part(
        &mut self,
        message: &Message<'_>,
        part: &MessagePart<'_>,
        depth: usize,
    ) -> Result<(), Unreadable> {
        self.packed |= is_packed(part);
        let Some(place) = place(part) else {
            return Ok(());
        };
        let bytes = decoded(message, part);
        if bytes.len() > self.limits.calendar_bytes {
            return match place {
                Place::Body => Err(Unreadable::CalendarTooLarge),
                Place::File | Place::Text | Place::Forwarded => Ok(()),
            };
        }
        let charset = part.content_type().and_then(|it| it.attribute("charset"));
        let text = text_of(&bytes, charset);
        let begins = |text: &str| {
            let start = text.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']);
            start
                .get(..15)
                .is_some_and(|start| start.eq_ignore_ascii_case("BEGIN:VCALENDAR"))
        };
        if !begins(&text) {
            return Ok(());
        }
        let method = part.content_type().and_then(|it| it.attribute("method"));
        let place = if depth > 0 { Place::Forwarded } else { place };
        let parsed = ical::parse(text.trim_start().as_bytes(), &self.ical_limits());
        for calendar in parsed.calendars {
            if !calendar.is("VCALENDAR") {
                continue;
            }
            self.check(&calendar)?;
            self.found.push(Found {
                place,
                method: method.map(str::to_owned),
                calendar,
            });
            if self.found.len() > self.limits.messages.saturating_mul(2) {
                return Err(Unreadable::CalendarTooLarge);
            }
        }
        Ok(())
    }

    fn ical_limits(&self) -> ical::Limits {
        ical::Limits {
            bytes: self.limits.calendar_bytes.saturating_mul(2),
            lines: 100_000,
            line_bytes: 1 << 20,
            depth: 8,
            problems: 20,
        }
    }

    fn check(&self, calendar: &Component) -> Result<(), Unreadable> {
        let mut instances = 0;
        for component in calendar.all_components().filter(|c| !c.is("VTIMEZONE")) {
            instances += 1;
            let attendees = component.properties("ATTENDEE").count();
            if attendees > self.limits.attendees || instances > self.limits.instances {
                return Err(Unreadable::CalendarTooLarge);
            }
        }
        Ok(())
    }
}

/// Whether a part is Outlook's own format around everything else. [MS-OXTNEF]
fn is_packed(part: &MessagePart<'_>) -> bool {
    let named_so = part.attachment_name();
    let typed_so = part.content_type().and_then(|kind| kind.subtype());
    named_so.is_some_and(|name| name.trim().eq_ignore_ascii_case("winmail.dat"))
        || typed_so.is_some_and(|kind| {
            kind.eq_ignore_ascii_case("ms-tnef") || kind.eq_ignore_ascii_case("vnd.ms-tnef")
        })
}

/// Where a part that may hold a calendar is; none if it can hold none.
fn place(part: &MessagePart<'_>) -> Option<Place> {
    let named_so = part.attachment_name().is_some_and(|name| {
        let name = name.trim().to_lowercase();
        [".ics", ".ical", ".ifb", ".icalendar"]
            .iter()
            .any(|end| name.ends_with(end))
    });
    let Some(kind) = part.content_type() else {
        return Some(if named_so { Place::File } else { Place::Text });
    };
    let subtype = kind.subtype().unwrap_or_default().to_lowercase();
    match (kind.ctype().to_lowercase().as_str(), subtype.as_str()) {
        ("text", "calendar") => Some(Place::Body),
        ("application", "ics" | "calendar" | "icalendar") => Some(Place::File),
        _ if named_so => Some(Place::File),
        ("text", "plain") => Some(Place::Text),
        _ => None,
    }
}

/// The bytes of a part as they were before the mail system carried them. RFC 2045 §6
///
/// The library's own text is of no use here: it was read in the charset the sender names, and senders name wrong ones.
fn decoded(message: &Message<'_>, part: &MessagePart<'_>) -> Vec<u8> {
    let range = usize::try_from(part.raw_body_offset()).ok().zip(
        usize::try_from(part.raw_end_offset())
            .ok()
            .filter(|end| *end > 0),
    );
    let raw = range.and_then(|(start, end)| message.raw_message.get(start..end));
    let Some(raw) = raw.filter(|raw| !raw.is_empty()) else {
        return part.contents().to_vec();
    };
    let bytes = match part.encoding {
        Encoding::Base64 => base64_decode(raw),
        Encoding::QuotedPrintable => quoted_printable_decode(raw),
        Encoding::None => Some(raw.to_vec()),
    };
    bytes
        .filter(|bytes| !bytes.is_empty())
        .unwrap_or_else(|| part.contents().to_vec())
}

/// The text of a calendar: UTF-8 if it can be that, whatever its label says, else what the label says, else Windows'
/// Western letters, which old Exchange servers send under other names.
fn text_of(bytes: &[u8], charset: Option<&str>) -> String {
    let label = charset.map(|it| it.trim().to_lowercase());
    // Charsets whose texts are made of bytes below 128, so that they look like UTF-8.
    let shifting = label.as_deref().is_some_and(|label| {
        ["iso-2022-", "utf-16", "utf-7", "utf16", "hz-gb", "ucs-2"]
            .iter()
            .any(|name| label.starts_with(name))
    });
    let marked = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
    if marked && !shifting {
        return charset_decoder(b"utf-16").map_or_else(String::new, |decode| decode(bytes));
    }
    if !shifting && let Ok(text) = std::str::from_utf8(bytes) {
        return text.to_owned();
    }
    let named = label
        .as_deref()
        .filter(|label| !["utf-8", "utf8", "us-ascii", "ascii"].contains(label))
        .and_then(|label| charset_decoder(label.as_bytes()));
    let decode = named.or_else(|| charset_decoder(b"windows-1252"));
    decode.map_or_else(
        || String::from_utf8_lossy(bytes).into_owned(),
        |decode| decode(bytes),
    )
}

/// The report in a mail that says a mail was not delivered, if it is one. RFC 3464 §2, RFC 6522 §3
fn report(message: &Message<'_>) -> Option<Report> {
    let mut report = Report::default();
    let status = message
        .parts
        .iter()
        .find(|part| is(part, "delivery-status") || is(part, "global-delivery-status"));
    match status {
        Some(part) => {
            let text = match &part.body {
                PartType::Message(inner) => String::from_utf8_lossy(
                    inner
                        .raw_message
                        .get(part.raw_body_offset() as usize..part.raw_end_offset() as usize)
                        .unwrap_or_default(),
                )
                .into_owned(),
                PartType::Text(_)
                | PartType::Html(_)
                | PartType::Binary(_)
                | PartType::InlineBinary(_)
                | PartType::Multipart(_) => {
                    String::from_utf8_lossy(&decoded(message, part)).into_owned()
                }
            };
            report.failed = undelivered(&text);
        }
        // Older Exim writes no report but this header.
        None => {
            let failed = header_text(message, "X-Failed-Recipients")?;
            report.failed = failed
                .split(',')
                .map(|address| Undelivered {
                    recipient: plain_address(address),
                    finally: plain_address(address),
                    status: "5.0.0".to_owned(),
                    diagnostic: String::new(),
                })
                .filter(|it| it.recipient.contains('@'))
                .collect();
        }
    }
    returned(message, &mut report);
    Some(report)
}

/// Which mail a report is about: it is in there, or its header is. RFC 6522 §3
fn returned(message: &Message<'_>, report: &mut Report) {
    for part in &message.parts {
        let inner = match &part.body {
            PartType::Message(inner) => inner.clone(),
            _ if is(part, "rfc822-headers") => {
                match MessageParser::default().parse_headers(part.contents()) {
                    Some(inner) => inner,
                    None => continue,
                }
            }
            _ => continue,
        };
        report.message_id = inner.message_id().unwrap_or_default().to_owned();
        for name in [
            HeaderName::ReplyTo,
            HeaderName::From,
            HeaderName::ReturnPath,
        ] {
            if let Some(HeaderValue::Address(addresses)) = inner.header(name) {
                let mut all = Vec::new();
                push_mailboxes(&mut all, addresses);
                report.senders.extend(all.into_iter().map(|it| it.address));
            }
        }
    }
}

/// Whether a part is of this subtype.
fn is(part: &MessagePart<'_>, subtype: &str) -> bool {
    let kind = part.content_type().and_then(|it| it.subtype());
    kind.is_some_and(|it| it.eq_ignore_ascii_case(subtype))
}

/// The recipients of a delivery-status part to whom delivery failed for good. RFC 3464 §2.3.3
fn undelivered(text: &str) -> Vec<Undelivered> {
    let text = text.replace("\r\n", "\n");
    let mut failed = Vec::new();
    for group in text.split("\n\n") {
        let (mut entry, mut action) = (Undelivered::default(), String::new());
        // Fields may be continued on lines that begin with a blank.
        let unfolded = group.replace("\n ", " ").replace("\n\t", " ");
        for line in unfolded.lines() {
            let Some((name, value)) = line.split_once(':') else {
                continue;
            };
            let value = value.trim();
            let address = || plain_address(value.split_once(';').map_or(value, |(_, it)| it));
            match name.trim().to_lowercase().as_str() {
                "original-recipient" => entry.recipient = address(),
                "final-recipient" => entry.finally = address(),
                "action" => action = value.to_lowercase(),
                "status" => {
                    entry.status = value.split(' ').next().unwrap_or_default().to_owned();
                }
                "diagnostic-code" => entry.diagnostic = one_line(value),
                _ => {}
            }
        }
        if entry.recipient.is_empty() {
            entry.recipient.clone_from(&entry.finally);
        }
        let for_good = action.starts_with("failed") && !entry.status.starts_with('4');
        if for_good && entry.recipient.contains('@') && failed.len() < MAILBOXES {
            failed.push(entry);
        }
    }
    failed
}
