//! What is wrong with a text: data, not an error, until somebody asks whether it may be stored.

use std::borrow::Cow;
use std::fmt;

/// One thing wrong with a text, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The line of the input, from 1; 0 where there is none.
    pub line: u32,
    /// What is wrong.
    pub kind: ProblemKind,
}

/// Whether the meaning of a text with a problem is still clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The rules are broken but the meaning is clear: PUT stores it.
    Note,
    /// The meaning is in doubt: PUT refuses it.
    Fault,
}

/// What is wrong with a text.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProblemKind {
    /// More bytes than the limit.
    TooLarge,
    /// More lines than the limit.
    TooManyLines,
    /// A logical line longer than the limit.
    LineTooLong,
    /// Components nested deeper than the limit; their lines are kept as junk.
    TooDeep,
    /// Bytes that are not UTF-8. RFC 5545 §3.1.4
    NotUtf8,
    /// A control character other than a tab. RFC 5545 §3.1
    ControlCharacter,
    /// A byte order mark before the text.
    ByteOrderMark,
    /// A line that ends without a carriage return. RFC 5545 §3.1
    BareLineFeed,
    /// A line without anything.
    BlankLine,
    /// A line that is no `name:value`. RFC 5545 §3.1
    NotContentLine,
    /// A non-standard property without colon and value.
    NoValue,
    /// A name with other signs than letters, digits and hyphens. RFC 5545 §3.1
    Name,
    /// A parameter without a value, or with a quote that nothing closes. RFC 5545 §3.1
    Parameter,
    /// An END without its BEGIN. RFC 5545 §3.6
    UnexpectedEnd,
    /// A component without its END. RFC 5545 §3.6
    MissingEnd,
    /// A BEGIN or END with parameters or blanks.
    Frame,
    /// A line outside of all components. RFC 5545 §3.4
    Outside,
    /// The component lacks a property it must have. RFC 5545 §3.6
    Missing(Subject),
    /// The property stands more often than it may. RFC 5545 §3.6
    Repeated(Subject),
    /// The property may not stand in this component. RFC 5545 §3.8
    Misplaced(Subject),
    /// The component may not stand in this component. RFC 5545 §3.6
    MisplacedComponent(Subject),
    /// The value is not of its type. RFC 5545 §3.3
    Value(Subject),
    /// Two properties contradict each other.
    Conflict(Subject),
    /// A TZID that looks like no IANA zone and has no VTIMEZONE. RFC 5545 §3.2.19
    NoTimeZone(String),
}

/// The component and the property a problem is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The component's name.
    pub component: Cow<'static, str>,
    /// The property's name, or the inner component's.
    pub name: Cow<'static, str>,
    /// Whether the meaning is still clear.
    pub severity: Severity,
}

impl Problem {
    /// Whether the meaning is still clear.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.kind.severity()
    }
}

impl ProblemKind {
    /// Whether the meaning is still clear.
    #[must_use]
    pub fn severity(&self) -> Severity {
        use ProblemKind as P;
        match self {
            P::ControlCharacter
            | P::ByteOrderMark
            | P::BareLineFeed
            | P::BlankLine
            | P::NoValue
            | P::Name
            | P::Parameter
            | P::Frame
            | P::NoTimeZone(_) => Severity::Note,
            P::TooLarge
            | P::TooManyLines
            | P::LineTooLong
            | P::TooDeep
            | P::NotUtf8
            | P::NotContentLine
            | P::UnexpectedEnd
            | P::MissingEnd
            | P::Outside => Severity::Fault,
            P::Missing(subject)
            | P::Repeated(subject)
            | P::Misplaced(subject)
            | P::MisplacedComponent(subject)
            | P::Value(subject)
            | P::Conflict(subject) => subject.severity,
        }
    }
}

/// The sentence without the line number.
impl fmt::Display for ProblemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use ProblemKind as P;
        let sentence = match self {
            P::NoTimeZone(tzid) => return write!(f, "there is no VTIMEZONE for {tzid:?}"),
            P::TooLarge => "the text has more bytes than this server reads",
            P::TooManyLines => "the text has more lines than this server reads",
            P::LineTooLong => "the line is longer than this server reads",
            P::TooDeep => "components are nested deeper than this server reads",
            P::NotUtf8 => "the text is not UTF-8",
            P::ControlCharacter => "there is a control character in the line",
            P::ByteOrderMark => "the text begins with a byte order mark",
            P::BareLineFeed => "the line ends without a carriage return",
            P::BlankLine => "the line is empty",
            P::NotContentLine => "the line is not of the form NAME:VALUE",
            P::NoValue => "the property has no colon and no value",
            P::Name => "the name has other signs than letters, digits and hyphens",
            P::Parameter => "a parameter lacks its value or its closing quote",
            P::UnexpectedEnd => "this END has no BEGIN",
            P::MissingEnd => "the component that begins here has no END",
            P::Frame => "BEGIN or END has parameters or blanks",
            P::Outside => "the line stands outside of all components",
            P::Missing(it) => return write!(f, "{} lacks {}", it.component, it.name),
            P::Repeated(it) => {
                return write!(f, "{} has more than one {}", it.component, it.name);
            }
            P::Misplaced(it) | P::MisplacedComponent(it) => {
                return write!(f, "{} may not stand in {}", it.name, it.component);
            }
            P::Value(it) => {
                return write!(
                    f,
                    "the value of {} in {} is not valid",
                    it.name, it.component
                );
            }
            P::Conflict(it) => {
                return write!(
                    f,
                    "{} contradicts the other properties of {}",
                    it.name, it.component
                );
            }
        };
        f.write_str(sentence)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => fmt::Display::fmt(&self.kind, f),
            line => write!(f, "line {line}: {}", self.kind),
        }
    }
}
