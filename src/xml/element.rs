//! An element as a tree: what a handler reads of a request, and what is stored of a property.
//!
//! RFC 4918 §4.3: of a property's value its namespaces, language, attributes, elements and text
//! are kept; prefixes too, because values may speak of names by prefix.

use super::Name;
use std::borrow::Cow;
use std::sync::Arc;

/// An element with everything that means something in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    pub(super) prefix: Box<str>,
    pub(super) ns: Arc<str>,
    pub(super) local: Box<str>,
    pub(super) attributes: Vec<Attribute>,
    pub(super) children: Vec<Node>,
    /// The prefixes bound where the element stands; the empty prefix is the default namespace.
    pub(super) scope: Arc<Scope>,
    pub(super) lang: Option<Arc<str>>,
}

/// An attribute that is no namespace declaration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    pub(super) prefix: Box<str>,
    pub(super) ns: Arc<str>,
    pub(super) local: Box<str>,
    pub(super) value: Box<str>,
}

/// What stands in an element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A child element.
    Element(Element),
    /// Character data, references resolved.
    Text(String),
}

/// Bindings of prefixes to namespaces, each prefix once.
pub(super) type Scope = Vec<(Box<str>, Arc<str>)>;

impl Element {
    /// An element of this name with nothing in it.
    pub fn new(name: Name<'_>) -> Element {
        Element {
            prefix: Box::from(""),
            ns: Arc::from(name.ns),
            local: Box::from(name.local),
            attributes: Vec::new(),
            children: Vec::new(),
            scope: Arc::default(),
            lang: None,
        }
    }

    /// The element's name.
    pub fn name(&self) -> Name<'_> {
        Name {
            ns: &self.ns,
            local: &self.local,
        }
    }

    /// Whether the element has this name.
    pub fn is(&self, name: Name<'_>) -> bool {
        self.name() == name
    }

    /// The child elements in order.
    pub fn elements(&self) -> impl Iterator<Item = &Element> {
        self.children.iter().filter_map(|node| match node {
            Node::Element(element) => Some(element),
            Node::Text(_) => None,
        })
    }

    /// Everything in the element in order.
    pub fn nodes(&self) -> &[Node] {
        &self.children
    }

    /// The first child element of this name.
    pub fn child(&self, name: Name<'_>) -> Option<&Element> {
        self.elements().find(|child| child.is(name))
    }

    /// The child elements of this name.
    pub fn children<'a>(&'a self, name: Name<'a>) -> impl Iterator<Item = &'a Element> {
        self.elements().filter(move |child| child.is(name))
    }

    /// The character data that stands directly in the element, as it stands: not trimmed.
    pub fn text(&self) -> Cow<'_, str> {
        let mut texts = self.children.iter().filter_map(|node| match node {
            Node::Text(text) => Some(text.as_str()),
            Node::Element(_) => None,
        });
        let Some(first) = texts.next() else {
            return Cow::Borrowed("");
        };
        match texts.next() {
            None => Cow::Borrowed(first),
            Some(second) => {
                let mut all = String::from(first);
                all.push_str(second);
                texts.for_each(|text| all.push_str(text));
                Cow::Owned(all)
            }
        }
    }

    /// The value of the attribute that has this name and no namespace.
    pub fn attribute(&self, local: &str) -> Option<&str> {
        self.attribute_in("", local)
    }

    /// The value of the attribute with this namespace and name.
    pub fn attribute_in(&self, ns: &str, local: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|attribute| &*attribute.ns == ns && &*attribute.local == local)
            .map(|attribute| &*attribute.value)
    }

    /// The language in scope (xml:lang here or further out).
    pub fn lang(&self) -> Option<&str> {
        self.lang.as_deref()
    }

    /// The element as a text that stands for itself: bindings it uses and the language in scope
    /// are written into it. RFC 4918 §4.3.
    pub fn to_xml(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, &mut vec![(Box::from(""), Arc::from(""))]);
        out
    }

    /// Writes the element; `bound` holds the bindings made further out.
    fn write(&self, out: &mut String, bound: &mut Scope) {
        let outer = bound.len();
        out.push('<');
        self.write_tag(out);
        let names = self.attributes.iter().map(|a| (&a.prefix, &a.ns));
        for (prefix, ns) in std::iter::once((&self.prefix, &self.ns)).chain(names) {
            let attribute_without = prefix.is_empty() && !std::ptr::eq(prefix, &self.prefix);
            let known = bound.iter().rev().find(|(p, _)| p == prefix);
            if &**prefix == "xml" || attribute_without || known.is_some_and(|(_, n)| n == ns) {
                continue;
            }
            write_binding(out, prefix, ns);
            bound.push((prefix.clone(), ns.clone()));
        }
        for (prefix, ns) in self.scope.iter().filter(|(p, _)| self.mentions(p)) {
            let known = bound.iter().rev().find(|(p, _)| p == prefix);
            if known.is_none_or(|(_, n)| n != ns) {
                write_binding(out, prefix, ns);
                bound.push((prefix.clone(), ns.clone()));
            }
        }
        let own_lang = self.attribute_in(XML, "lang").is_some();
        if let Some(lang) = self.lang().filter(|_| outer_most(out) && !own_lang) {
            out.push_str(" xml:lang=\"");
            escape_attribute(out, lang);
            out.push('"');
        }
        for attribute in &self.attributes {
            out.push(' ');
            push_qualified(out, &attribute.prefix, &attribute.local);
            out.push_str("=\"");
            escape_attribute(out, &attribute.value);
            out.push('"');
        }
        if self.children.is_empty() {
            out.push_str("/>");
        } else {
            out.push('>');
            for node in &self.children {
                match node {
                    Node::Element(element) => element.write(out, bound),
                    Node::Text(text) => super::write::escape_text(out, text),
                }
            }
            out.push_str("</");
            self.write_tag(out);
            out.push('>');
        }
        bound.truncate(outer);
    }

    fn write_tag(&self, out: &mut String) {
        push_qualified(out, &self.prefix, &self.local);
    }

    /// Whether a value that stands directly in the element contains the prefix with a colon, as a
    /// qualified name written as text does.
    fn mentions(&self, prefix: &str) -> bool {
        let says = |text: &str| {
            let mut found = text.match_indices(prefix);
            found.any(|(at, _)| {
                let after = text.get(at + prefix.len()..);
                after.is_some_and(|rest| rest.starts_with(':'))
            })
        };
        !prefix.is_empty()
            && (self.attributes.iter().any(|a| says(&a.value))
                || self.children.iter().any(|node| match node {
                    Node::Text(text) => says(text),
                    Node::Element(_) => false,
                }))
    }
}

/// The namespace that the prefix `xml` is always bound to.
pub(super) const XML: &str = "http://www.w3.org/XML/1998/namespace";

/// Whether the tag being written is the text's first.
fn outer_most(out: &str) -> bool {
    out.rfind('<') == Some(0)
}

fn push_qualified(out: &mut String, prefix: &str, local: &str) {
    if !prefix.is_empty() {
        out.push_str(prefix);
        out.push(':');
    }
    out.push_str(local);
}

fn write_binding(out: &mut String, prefix: &str, ns: &str) {
    out.push_str(" xmlns");
    if !prefix.is_empty() {
        out.push(':');
        out.push_str(prefix);
    }
    out.push_str("=\"");
    escape_attribute(out, ns);
    out.push('"');
}

/// Escapes an attribute's value so that a reader's normalisation gives it back.
pub(super) fn escape_attribute(out: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '"' => out.push_str("&quot;"),
            '\t' => out.push_str("&#9;"),
            '\n' => out.push_str("&#10;"),
            '\r' => out.push_str("&#13;"),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Limits;
    use super::*;

    fn parse(text: &str) -> Element {
        Element::parse(text.as_bytes(), &Limits::default()).unwrap()
    }

    #[track_caller]
    fn inner(text: &str, expected: &str) {
        let outer = parse(text);
        let first = outer.elements().next().unwrap();
        let xml = first.to_xml();
        assert_eq!(xml, expected);
        assert_eq!(
            parse(&xml).to_xml(),
            expected,
            "what is stored stands for itself"
        );
    }

    #[test]
    fn what_is_in_scope_is_written_where_it_is_used() {
        inner(
            r#"<D:prop xmlns:D="DAV:" xmlns:x="urn:x" xmlns:y="urn:y"><x:a><x:b/><D:c/></x:a></D:prop>"#,
            r#"<x:a xmlns:x="urn:x"><x:b/><D:c xmlns:D="DAV:"/></x:a>"#,
        );
        inner(
            r#"<prop xmlns="DAV:"><a xmlns="urn:d" z="1">t</a></prop>"#,
            r#"<a xmlns="urn:d" z="1">t</a>"#,
        );
        inner(
            r#"<D:prop xmlns:D="DAV:"><a><b xmlns="urn:b"><c xmlns=""/></b></a></D:prop>"#,
            r#"<a><b xmlns="urn:b"><c xmlns=""/></b></a>"#,
        );
    }

    #[test]
    fn a_prefix_that_only_a_value_speaks_of_stays_bound() {
        inner(
            r#"<D:prop xmlns:D="DAV:" xmlns:q="urn:q" xmlns:n="urn:n"><D:a t="q:name">n1</D:a></D:prop>"#,
            r#"<D:a xmlns:D="DAV:" xmlns:q="urn:q" t="q:name">n1</D:a>"#,
        );
        inner(
            r#"<p><a><b xmlns:q="urn:1">q:x<c xmlns:q="urn:2" t="q:y"/></b></a></p>"#,
            r#"<a><b xmlns:q="urn:1">q:x<c xmlns:q="urn:2" t="q:y"/></b></a>"#,
        );
    }

    #[test]
    fn language_and_attributes_are_kept() {
        inner(
            r#"<D:prop xmlns:D="DAV:" xml:lang="de"><D:displayname>Büro</D:displayname></D:prop>"#,
            r#"<D:displayname xmlns:D="DAV:" xml:lang="de">Büro</D:displayname>"#,
        );
        inner(
            r#"<D:p xmlns:D="DAV:" xml:lang="de"><D:d xml:lang="en" D:x="&#9;&quot;">a&#13;<![CDATA[<&>]]></D:d></D:p>"#,
            "<D:d xmlns:D=\"DAV:\" xml:lang=\"en\" D:x=\"&#9;&quot;\">a&#13;&lt;&amp;&gt;</D:d>",
        );
    }

    #[test]
    fn text_is_what_stands_directly_in_the_element() {
        let element = parse("<a>one<b>no</b> two</a>");
        assert_eq!(element.text(), "one two");
        assert_eq!(parse("<a/>").text(), "");
    }
}
