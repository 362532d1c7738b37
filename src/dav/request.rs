//! A request and a response as plain data: what the server's loop is given and gives back.
//!
//! RFC 9110 §5 (fields), §6. Nothing of a connection is in here, so every test can make one.

use super::path::Path;
use bytes::Bytes;
use std::net::IpAddr;

/// A request whose body has been read and decoded.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method as sent; methods are case-sensitive.
    pub method: String,
    /// The path below the server's prefix.
    pub path: Path,
    /// What follows the question mark, as sent.
    pub query: Option<String>,
    /// The header fields.
    pub headers: Headers,
    /// The body, its content coding removed.
    pub body: Bytes,
    /// The client's address; none on a Unix socket.
    pub peer: Option<IpAddr>,
    /// Whether nobody on the way can listen: TLS, loopback, or a trusted proxy says so.
    pub secure: bool,
    /// `http` or `https`, as the client sees it.
    pub scheme: String,
    /// Host and port, as the client sees them; empty where none was sent.
    pub host: String,
    /// The path under which a proxy shows this server: "" or "/cal". Not part of `path`.
    pub prefix: String,
    /// Names the request in logs.
    pub id: String,
}

impl Request {
    /// A request with nothing but method and path.
    pub fn new(method: &str, path: Path) -> Request {
        Request {
            method: method.to_owned(),
            path,
            query: None,
            headers: Headers::default(),
            body: Bytes::new(),
            peer: None,
            secure: true,
            scheme: "http".to_owned(),
            host: "localhost".to_owned(),
            prefix: String::new(),
            id: String::new(),
        }
    }
}

/// Header fields in order; names compare without case.
#[derive(Debug, Clone, Default)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    /// Adds a field behind those that are there.
    pub fn push(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.push((name.into(), value.into()));
    }

    /// The first field of this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// All fields of this name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The fields of this name as the one list they are. RFC 9110 §5.3
    pub fn list(&self, name: &str) -> Option<String> {
        let mut all = self.all(name);
        let mut list = all.next()?.to_owned();
        for more in all {
            list.push_str(", ");
            list.push_str(more);
        }
        Some(list)
    }
}

/// Whether a body may be compressed on the way: never when the answer carries an object's ETag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// It may.
    Allowed,
    /// It goes out as it is.
    Never,
}

/// A response before it is bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The header fields in order.
    pub headers: Vec<(&'static str, String)>,
    /// The body; empty for none.
    pub body: Bytes,
    /// Whether the body may be compressed.
    pub coding: Coding,
}

impl Response {
    /// A status and nothing else.
    pub fn status(status: u16) -> Response {
        Response {
            status,
            headers: Vec::new(),
            body: Bytes::new(),
            coding: Coding::Allowed,
        }
    }

    /// An XML document. RFC 4918 §8.2
    pub fn xml(status: u16, document: String) -> Response {
        Response::status(status).body("application/xml; charset=utf-8", document)
    }

    /// A sentence for people.
    pub fn text(status: u16, sentence: &str) -> Response {
        let line = if sentence.is_empty() {
            String::new()
        } else {
            format!("{sentence}\n")
        };
        Response::status(status).body("text/plain; charset=utf-8", line)
    }

    /// The response with one more header field.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Response {
        self.headers.push((name, value.into()));
        self
    }

    /// The response with a body of this media type.
    #[must_use]
    pub fn body(mut self, media_type: &str, body: impl Into<Bytes>) -> Response {
        self.body = body.into();
        self.with("Content-Type", media_type)
    }

    /// The response, its body to be sent as it is.
    #[must_use]
    pub fn uncoded(mut self) -> Response {
        self.coding = Coding::Never;
        self
    }

    /// The first header field of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_compare_without_case_and_lists_are_joined() {
        let mut headers = Headers::default();
        headers.push("Prefer", "return=minimal");
        headers.push("prefer", "depth-noroot");
        assert_eq!(headers.get("PREFER"), Some("return=minimal"));
        assert_eq!(
            headers.list("prefer").as_deref(),
            Some("return=minimal, depth-noroot")
        );
        assert_eq!(headers.list("depth"), None);
    }
}
