//! A scheduling message as a mail (RFC 6047 §2, RFC 5322), in the layout that Outlook, Gmail, Apple Mail
//! and Thunderbird all take for an invitation.
//!
//! ```text
//! multipart/mixed
//! ├ multipart/alternative
//! │  ├ text/plain
//! │  ├ text/html
//! │  └ text/calendar; method=REQUEST
//! └ application/ics, the same bytes
//! ```
//!
//! It is from the server's own address, for which SPF, DKIM and DMARC can hold, with the name of the
//! person. Same input, same bytes: a mail that is tried again is the same mail.
//!
//! **Gaps**: mail addresses outside ASCII before the @ (RFC 6531) are not mailed to.

use std::time::{Duration, UNIX_EPOCH};

use lettre::message::header::{
    ContentDisposition, ContentTransferEncoding, ContentType, HeaderName, HeaderValue,
};
use lettre::message::{Body, Mailbox, MultiPart, SinglePart};
use lettre::{Address, Message as Mime};

use super::copy::{Answers, copy};
use super::html::html;
use super::text::text;
use super::tidings::{Occasion, Tidings, from_organizer, one_line, tidings};
use crate::ical::{address, address_key, print};

/// By which addresses and names a mail travels.
#[derive(Clone, Copy, Debug)]
pub struct Addressing<'a> {
    /// The server's own address.
    pub from: &'a str,
    /// What the server is called.
    pub server: &'a str,
    /// The recipient's mail address.
    pub to: &'a str,
    /// The address that takes this guest's answers and bounces, if the server takes any.
    pub reply: Option<&'a str>,
    /// ORGANIZER stays the organizer's own address.
    pub organizer: Organizer,
    /// The page on which the guest may answer.
    pub page: Option<&'a str>,
    /// The Message-ID, without angle brackets.
    pub id: &'a str,
    /// What all mails of one meeting to one guest refer to, without angle brackets.
    pub thread: &'a str,
}

/// Whose address ORGANIZER is in mails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Organizer {
    /// The reply address.
    Reply,
    /// The organizer's own.
    Own,
}

/// A mail to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// Where bounces go: MAIL FROM.
    pub sender: String,
    /// To whom: RCPT TO.
    pub recipient: String,
    /// Its Message-ID, without angle brackets.
    pub id: String,
    /// Its header and body.
    pub bytes: Vec<u8>,
}

/// Why no mail can be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unmailable {
    /// This is no address that mail can go to.
    Address(String),
    /// There is no event and no to-do in the message.
    Empty,
    /// The library refuses: its reason.
    Refused(String),
}

impl std::fmt::Display for Unmailable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Unmailable::Address(address) => write!(f, "no mail can go to \"{address}\""),
            Unmailable::Empty => f.write_str("there is nothing in the message to mail"),
            Unmailable::Refused(why) => write!(f, "the mail cannot be written: {why}"),
        }
    }
}

impl std::error::Error for Unmailable {}

/// The mail address behind a calendar user address; none if there is none.
#[must_use]
pub fn mail_address(calendar_user: &str) -> Option<String> {
    let key = address_key(calendar_user);
    let mail = key.strip_prefix("mailto:")?;
    let (local, domain) = mail.rsplit_once('@')?;
    // The case of the local part is the recipient's; the domain's does not matter.
    let property = crate::ical::Property::new("ATTENDEE", calendar_user);
    let written = address(&property).mail()?;
    let written = written.rsplit_once('@').map_or(local, |(local, _)| local);
    Some(format!("{written}@{domain}"))
}

/// The mail about an occasion.
///
/// # Errors
/// [`Unmailable`]: trying again does not help.
pub fn compose(occasion: &Occasion<'_>, addressing: &Addressing<'_>) -> Result<Mail, Unmailable> {
    let tidings = tidings(occasion, addressing.page).ok_or(Unmailable::Empty)?;
    let refused = |error: lettre::error::Error| Unmailable::Refused(error.to_string());
    let head = header(occasion, addressing, &tidings)?;
    let mail = head
        .multipart(body(occasion, addressing, &tidings)?)
        .map_err(refused)?;
    Ok(Mail {
        sender: addressing.reply.unwrap_or(addressing.from).to_owned(),
        recipient: addressing.to.to_owned(),
        id: addressing.id.to_owned(),
        bytes: mail.formatted(),
    })
}

fn header(
    occasion: &Occasion<'_>,
    addressing: &Addressing<'_>,
    tidings: &Tidings,
) -> Result<lettre::message::MessageBuilder, Unmailable> {
    let words = occasion.words;
    let names = [("person", occasion.sender), ("server", addressing.server)];
    let name = one_line(&words.say("from", &names));
    let seconds = u64::try_from(occasion.now.0).unwrap_or(0);
    let mut head = Mime::builder()
        .from(mailbox(Some(name), addressing.from)?)
        .to(mailbox(recipient_name(occasion), addressing.to)?)
        .subject(one_line(&tidings.subject))
        .date(UNIX_EPOCH + Duration::from_secs(seconds))
        .message_id(Some(format!("<{}>", addressing.id)))
        .references(format!("<{}>", addressing.thread))
        // RFC 3834 §5: nothing answers by itself to what was sent by itself.
        .raw_header(raw("Auto-Submitted", "auto-generated"))
        .raw_header(raw("X-Auto-Response-Suppress", "OOF, AutoReply"))
        .raw_header(raw("Content-Language", words.code()));
    // What a person writes back goes to the person if their calendar takes it to be an answer, else to
    // the one who asked.
    if let Some(reply) = reply_to(occasion, addressing) {
        head = head.reply_to(mailbox(Some(one_line(occasion.sender)), reply)?);
    }
    Ok(head)
}

/// Where answers to the mail go.
fn reply_to<'a>(occasion: &Occasion<'a>, addressing: &Addressing<'a>) -> Option<&'a str> {
    match (
        from_organizer(occasion.message.method),
        addressing.organizer,
    ) {
        (true, Organizer::Reply) => addressing.reply.or(occasion.sender_mail),
        _ => occasion.sender_mail.or(addressing.reply),
    }
}

fn mailbox(name: Option<String>, address: &str) -> Result<Mailbox, Unmailable> {
    let bad = || Unmailable::Address(address.to_owned());
    if !address.is_ascii() {
        return Err(bad());
    }
    let address: Address = address.parse().map_err(|_| bad())?;
    Ok(Mailbox::new(name.filter(|name| !name.is_empty()), address))
}

/// The recipient's name as the meeting has it.
fn recipient_name(occasion: &Occasion<'_>) -> Option<String> {
    let to = address_key(&occasion.message.to);
    let calendar = &occasion.message.calendar;
    let mut people = calendar.all_components().flat_map(|component| {
        let people = component.all_properties();
        people.filter(|p| p.is("ATTENDEE") || p.is("ORGANIZER"))
    });
    let own = people.find(|person| address(person).key() == to)?;
    address(own).common_name().map(|name| one_line(&name))
}

fn raw(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

fn body(
    occasion: &Occasion<'_>,
    addressing: &Addressing<'_>,
    tidings: &Tidings,
) -> Result<MultiPart, Unmailable> {
    let message = occasion.message;
    let answers = match (addressing.organizer, addressing.reply) {
        (Organizer::Reply, Some(reply)) => Answers::Reply(reply),
        (Organizer::Reply, None) | (Organizer::Own, _) => Answers::Own,
    };
    let sender = (occasion.sender, occasion.sender_mail);
    let calendar = copy(message, addressing.to, answers, sender, occasion.now);
    let ics = String::from_utf8_lossy(&print(&calendar)).into_owned();
    let method = message.method;
    let kind = calendar_type(&calendar);
    let typed = format!("text/calendar; charset=utf-8; method={method}; component={kind}");
    let seed = blake3::hash(addressing.id.as_bytes()).to_hex();
    let boundary = |n: u8| format!("=_{n}_{}", seed.get(..32).unwrap_or_default());
    let alternative = MultiPart::alternative()
        .boundary(boundary(2))
        .singlepart(SinglePart::plain(text(tidings)))
        .singlepart(SinglePart::html(html(tidings)))
        .singlepart(encoded(&typed, &ics, None)?);
    let name = "invite.ics";
    let attached = encoded(
        &format!("application/ics; name=\"{name}\""),
        &ics,
        Some(ContentDisposition::attachment(name)),
    )?;
    Ok(MultiPart::mixed()
        .boundary(boundary(1))
        .multipart(alternative)
        .singlepart(attached))
}

/// The kind of component in a calendar, in small letters: RFC 6047 §2.4 writes it so.
fn calendar_type(calendar: &crate::ical::Component) -> &'static str {
    match calendar.component("VTODO") {
        Some(_) => "vtodo",
        None => "vevent",
    }
}

/// A part in base64: no relay changes its line ends, and no line of it is too long.
fn encoded(
    content_type: &str,
    ics: &str,
    disposition: Option<ContentDisposition>,
) -> Result<SinglePart, Unmailable> {
    let content_type =
        ContentType::parse(content_type).map_err(|error| Unmailable::Refused(error.to_string()))?;
    let body = ics.as_bytes().to_vec();
    let body = Body::new_with_encoding(body, ContentTransferEncoding::Base64)
        .map_err(|_| Unmailable::Refused("base64 is refused".to_owned()))?;
    let part = SinglePart::builder().header(content_type);
    Ok(match disposition {
        Some(disposition) => part.header(disposition).body(body),
        None => part.body(body),
    })
}
