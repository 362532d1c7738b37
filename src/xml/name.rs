//! Names of elements: a namespace and a local name, and the namespaces we know.

/// WebDAV, RFC 4918 §14.
pub const DAV: &str = "DAV:";
/// CalDAV, RFC 4791 §3.
pub const CALDAV: &str = "urn:ietf:params:xml:ns:caldav";
/// The extensions that Apple's Calendar Server introduced.
pub const CALENDARSERVER: &str = "http://calendarserver.org/ns/";
/// Apple's calendar clients: colour, order.
pub const APPLE: &str = "http://apple.com/ns/ical/";
/// Apple's me.com: bulk requests.
pub const ME: &str = "http://me.com/_namespace/";

/// The namespaces that every document of ours binds, with the prefix each one gets.
pub(super) const BOUND: [(&str, &str); 5] = [
    ("D", DAV),
    ("C", CALDAV),
    ("CS", CALENDARSERVER),
    ("A", APPLE),
    ("M", ME),
];

/// The name of an element or property: what RFC 4918 §4.5 calls the namespace name with the
/// local name. Two names are equal when both parts are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name<'a> {
    /// The namespace; empty for a name in none.
    pub ns: &'a str,
    /// The name in it.
    pub local: &'a str,
}

impl<'a> Name<'a> {
    /// A name in the DAV: namespace.
    pub const fn dav(local: &'a str) -> Name<'a> {
        Name { ns: DAV, local }
    }

    /// A name in CalDAV's namespace.
    pub const fn caldav(local: &'a str) -> Name<'a> {
        Name { ns: CALDAV, local }
    }

    /// A name in Calendar Server's namespace.
    pub const fn calendarserver(local: &'a str) -> Name<'a> {
        Name {
            ns: CALENDARSERVER,
            local,
        }
    }

    /// A name in the namespace of Apple's calendar clients.
    pub const fn apple(local: &'a str) -> Name<'a> {
        Name { ns: APPLE, local }
    }

    /// A name in me.com's namespace.
    pub const fn me(local: &'a str) -> Name<'a> {
        Name { ns: ME, local }
    }

    /// `{namespace}local`, under which properties are stored.
    pub fn clark(self) -> String {
        let mut clark = String::with_capacity(self.ns.len() + self.local.len() + 2);
        clark.push('{');
        clark.push_str(self.ns);
        clark.push('}');
        clark.push_str(self.local);
        clark
    }

    /// The name that [`Name::clark`] wrote; `None` where the text is none.
    pub fn from_clark(clark: &'a str) -> Option<Name<'a>> {
        let (ns, local) = clark.strip_prefix('{')?.rsplit_once('}')?;
        Some(Name { ns, local })
    }

    /// The prefix under which every document of ours has the namespace bound.
    pub(super) fn prefix(self) -> Option<&'static str> {
        BOUND
            .iter()
            .find(|(_, ns)| *ns == self.ns)
            .map(|(prefix, _)| *prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clark_name_comes_back() {
        for name in [Name::dav("prop"), Name { ns: "", local: "a" }] {
            assert_eq!(Name::from_clark(&name.clark()), Some(name));
        }
        assert_eq!(Name::from_clark("prop"), None);
    }
}
