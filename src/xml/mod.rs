//! Namespaced XML in and out: an element tree with limits, and a writer into one buffer.
//!
//! RFC 4918 §8.2, §14 and §17: bodies are well-formed XML with namespaces, unknown elements are
//! kept or ignored, nothing external is ever fetched. The only user of quick_xml. Pure.
//!
//! **Gaps**: a document type declaration is refused, so no entities but the five predefined
//! ones; comments and processing instructions are dropped. Encodings: UTF-8, UTF-16 with a byte
//! order mark, ISO-8859-1 and US-ASCII.

mod element;
mod name;
mod read;
mod write;

pub use element::{Attribute, Element, Node};
pub use name::{APPLE, CALDAV, CALENDARSERVER, DAV, ME, Name};
pub use write::{Writer, escape_html, tags};

/// What a document may cost: exceeding one is `Malformed::Limit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The length of the document as sent.
    pub size_bytes: usize,
    /// How deep elements may nest; the reader's recursion is bounded by it.
    pub depth: usize,
    /// How many elements and attributes a document may have.
    pub nodes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            size_bytes: 10 << 20,
            depth: 64,
            nodes: 250_000,
        }
    }
}

/// Why bytes are not a document that we read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Malformed {
    /// Not well-formed, or not namespace-well-formed; the words say where it broke a rule.
    Syntax(String),
    /// In an encoding that we do not read, or bytes that are not of the encoding they claim.
    Encoding,
    /// A document type declaration: never read, RFC 4918 §20.6.
    Doctype,
    /// Larger, deeper or more numerous than [`Limits`] allows.
    Limit,
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Malformed::Syntax(why) => write!(f, "not well-formed XML: {why}"),
            Malformed::Encoding => f.write_str("XML in an encoding that is not supported"),
            Malformed::Doctype => f.write_str("XML with a document type declaration is refused"),
            Malformed::Limit => f.write_str("XML too large, too deep or of too many elements"),
        }
    }
}

impl std::error::Error for Malformed {}
