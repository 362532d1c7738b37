//! Errors to responses: the only place that writes a status and a DAV:error for them.
//!
//! RFC 4918 §16, RFC 9110 §15, RFC 7617. The body of a refusal holds the condition's element and
//! nothing else. What is the server's own fault is logged here, once.

use crate::auth::Denied;
use crate::dav::multistatus::write_refusal;
use crate::dav::{Condition, Error, Refusal, Request, Response};
use crate::store;
use crate::xml::{Name, Writer};

/// The response to a request that was not done.
pub(super) fn error(error: Error, request: &Request) -> Response {
    match error {
        Error::Refused(refusal) => refused(&refusal),
        Error::Status(status, sentence) => {
            if status >= 500 && status != 502 && status != 507 {
                tracing::error!(request = request.id, sentence, "a request failed");
            }
            Response::text(status, sentence)
        }
        Error::Store(error) => of_store(&error, request),
    }
}

fn refused(refusal: &Refusal) -> Response {
    let mut w = Writer::document(Name::dav("error"));
    write_refusal(&mut w, refusal);
    Response::xml(refusal.condition.row().status, w.finish())
}

fn condition(condition: Condition) -> Response {
    refused(&condition.into())
}

fn of_store(error: &store::Error, request: &Request) -> Response {
    match error {
        store::Error::Conflict => {
            Response::text(503, "Too many others write here just now.").with("Retry-After", "1")
        }
        store::Error::Full => condition(Condition::SufficientDiskSpace),
        store::Error::TooLarge(what) => {
            Response::text(413, &format!("This is over the server's limit of {what}."))
        }
        store::Error::ReadOnly(_) => {
            tracing::error!(request = request.id, %error, "a write was refused");
            Response::text(503, "The server takes no changes just now.").with("Retry-After", "60")
        }
        store::Error::Refused(refusal) => of_refusal(refusal, request),
        store::Error::Broken(_) | store::Error::Damaged(_) => {
            tracing::error!(request = request.id, %error, "a request failed");
            Response::text(500, "The server failed; its log says why.")
        }
    }
}

/// What a change contradicts that no handler found before.
fn of_refusal(refusal: &store::Refusal, request: &Request) -> Response {
    match refusal {
        store::Refusal::UidTaken(_) => condition(Condition::NoUidConflict),
        store::Refusal::BadName(_) => Response::text(403, "No resource can have this name."),
        store::Refusal::NameTaken(_)
        | store::Refusal::NoCollection
        | store::Refusal::NoObject
        | store::Refusal::NoHome
        | store::Refusal::NoPrincipal => Response::text(409, "The resource has changed."),
        store::Refusal::HomeExists
        | store::Refusal::PrincipalExists
        | store::Refusal::AddressTaken(_)
        | store::Refusal::NotInTurn
        | store::Refusal::NoHistory => {
            tracing::error!(request = request.id, %refusal, "a change was refused");
            Response::text(500, "The server failed; its log says why.")
        }
    }
}

/// The response to whom the server does not know. The challenge names the realm and nothing
/// else: clients of 2026 still stumble over a charset. RFC 7617 §2
pub(super) fn denied(denied: &Denied, realm: &str, request: &Request) -> Response {
    match denied {
        Denied::Challenge => {
            let quoted = realm.replace(['"', '\\'], "");
            Response::text(401, "Name and password are needed.")
                .with("WWW-Authenticate", format!("Basic realm=\"{quoted}\""))
        }
        Denied::Insecure => Response::text(
            403,
            "Passwords are taken over https only, or from this machine itself.",
        ),
        Denied::Throttled { retry_after } => Response::text(429, "Too many failed logins.")
            .with("Retry-After", retry_after.to_string()),
        Denied::Busy => {
            Response::text(503, "Too many logins are being checked.").with("Retry-After", "1")
        }
        Denied::Store(error) => of_store(error, request),
    }
}
