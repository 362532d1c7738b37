//! Bytes to an [`Element`]: well-formed, namespaces resolved, within limits.
//!
//! quick_xml reads events; what it lets through and XML 1.0 or Namespaces in XML 1.0 forbid is
//! refused here: a second root, text outside it, characters that are none, `]]>` in text,
//! unknown entities, names that are none, a `<` in a value, an attribute given twice, a prefix
//! that nothing binds.

use super::element::{Attribute, Element, Node, Scope, XML};
use super::{Limits, Malformed};
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::name::PrefixDeclaration;
use quick_xml::{NsReader, XmlVersion};
use std::borrow::Cow;
use std::sync::Arc;

impl Element {
    /// The document's root element. RFC 4918 §8.2
    pub fn parse(body: &[u8], limits: &Limits) -> Result<Element, Malformed> {
        if body.len() > limits.size_bytes {
            return Err(Malformed::Limit);
        }
        let text = decode(body)?;
        if has_forbidden(&text) {
            return syntax("a character that XML does not have");
        }
        Tree::new(&text, limits).read()
    }
}

/// The tree under construction: the open elements, outermost first.
struct Tree<'a> {
    reader: NsReader<&'a [u8]>,
    open: Vec<Element>,
    root: Option<Element>,
    nodes: usize,
    limits: Limits,
    empty: Arc<str>,
}

fn syntax<T>(why: impl Into<String>) -> Result<T, Malformed> {
    Err(Malformed::Syntax(why.into()))
}

impl<'a> Tree<'a> {
    fn new(text: &'a str, limits: &Limits) -> Tree<'a> {
        let mut reader = NsReader::from_str(text);
        reader.config_mut().check_comments = true;
        Tree {
            reader,
            open: Vec::new(),
            root: None,
            nodes: 0,
            limits: *limits,
            empty: Arc::from(""),
        }
    }

    fn read(mut self) -> Result<Element, Malformed> {
        let mut first = true;
        loop {
            let event = match self.reader.read_event() {
                Ok(event) => event,
                Err(error) => return syntax(error.to_string()),
            };
            match event {
                Event::Start(start) => self.start(&start)?,
                Event::Empty(start) => {
                    self.start(&start)?;
                    self.end()?;
                }
                Event::End(_) => self.end()?,
                Event::Text(text) => {
                    if text.contains("]]>") {
                        return syntax("`]]>` in text");
                    }
                    self.text(&text.xml10_content())?;
                }
                Event::CData(text) => self.cdata(&text.xml10_content())?,
                Event::GeneralRef(reference) => self.reference(&reference)?,
                Event::Decl(_) if first => {}
                Event::Decl(_) => return syntax("an XML declaration that is not first"),
                Event::PI(pi) if pi.target().eq_ignore_ascii_case("xml") => {
                    return syntax("a processing instruction named xml");
                }
                Event::PI(_) | Event::Comment(_) => {}
                Event::DocType(_) => return Err(Malformed::Doctype),
                Event::Eof => break,
            }
            first = false;
        }
        match (self.root, self.open.is_empty()) {
            (Some(root), true) => Ok(root),
            (_, false) => syntax("an element is not closed"),
            (None, true) => syntax("no element"),
        }
    }

    fn count(&mut self) -> Result<(), Malformed> {
        self.nodes += 1;
        match self.nodes > self.limits.nodes {
            true => Err(Malformed::Limit),
            false => Ok(()),
        }
    }

    fn start(&mut self, start: &BytesStart<'_>) -> Result<(), Malformed> {
        self.count()?;
        if self.open.len() >= self.limits.depth {
            return Err(Malformed::Limit);
        }
        if self.root.is_some() {
            return syntax("a second root element");
        }
        let declares = start.attributes_raw().contains("xmlns");
        let scope = match (self.open.last(), declares) {
            (Some(parent), false) => parent.scope.clone(),
            (None, false) => Arc::default(),
            (_, true) => self.scope()?,
        };
        let parent_lang = self.open.last().and_then(|parent| parent.lang.clone());
        let (prefix, local) = split(start.name().0)?;
        let attributes = self.attributes(start, &scope)?;
        let own_lang = attributes
            .iter()
            .find(|a| &*a.ns == XML && &*a.local == "lang")
            .map(|a| Arc::from(&*a.value));
        self.open.push(Element {
            ns: self.resolve(&scope, prefix)?,
            prefix: prefix.into(),
            local: local.into(),
            attributes,
            children: Vec::new(),
            scope,
            lang: own_lang.or(parent_lang),
        });
        Ok(())
    }

    /// The bindings in effect, the innermost of each prefix.
    fn scope(&self) -> Result<Arc<Scope>, Malformed> {
        let mut scope = Scope::new();
        for (declaration, namespace) in self.reader.resolver().bindings() {
            let prefix = match declaration {
                PrefixDeclaration::Default => "",
                PrefixDeclaration::Named(prefix) => prefix,
            };
            let value: Arc<str> = match quick_xml::escape::unescape(namespace.0) {
                Ok(value) => Arc::from(value),
                Err(error) => return syntax(error.to_string()),
            };
            if value.is_empty() && !prefix.is_empty() {
                return syntax("a prefix bound to no namespace");
            }
            scope.retain(|(known, _)| &**known != prefix);
            scope.push((prefix.into(), value));
        }
        Ok(Arc::new(scope))
    }

    fn resolve(&self, scope: &Scope, prefix: &str) -> Result<Arc<str>, Malformed> {
        match scope.iter().find(|(known, _)| &**known == prefix) {
            Some((_, ns)) => Ok(ns.clone()),
            None if prefix.is_empty() => Ok(self.empty.clone()),
            None if prefix == "xml" => Ok(Arc::from(XML)),
            None => syntax(format!("the prefix {prefix} is not bound")),
        }
    }

    fn attributes(
        &mut self,
        start: &BytesStart<'_>,
        scope: &Scope,
    ) -> Result<Vec<Attribute>, Malformed> {
        let mut attributes: Vec<Attribute> = Vec::new();
        for attribute in start.attributes() {
            let attribute = match attribute {
                Ok(attribute) => attribute,
                Err(error) => return syntax(error.to_string()),
            };
            self.count()?;
            let (prefix, local) = split(attribute.key.0)?;
            if attribute.value.contains('<') {
                return syntax("`<` in an attribute's value");
            }
            let value = match attribute.normalized_value(XmlVersion::Implicit1_0) {
                Ok(value) => value,
                Err(error) => return syntax(error.to_string()),
            };
            if has_forbidden(&value) {
                return syntax("a reference to a character that XML does not have");
            }
            if attribute.key.as_namespace_binding().is_some() {
                continue;
            }
            let ns = match prefix.is_empty() {
                true => self.empty.clone(),
                false => self.resolve(scope, prefix)?,
            };
            if attributes
                .iter()
                .any(|a| *a.ns == *ns && *a.local == *local)
            {
                return syntax(format!("the attribute {local} given twice"));
            }
            attributes.push(Attribute {
                prefix: prefix.into(),
                ns,
                local: local.into(),
                value: value.into(),
            });
        }
        Ok(attributes)
    }

    fn end(&mut self) -> Result<(), Malformed> {
        let Some(element) = self.open.pop() else {
            return syntax("an end tag without its start tag");
        };
        match self.open.last_mut() {
            Some(parent) => parent.children.push(Node::Element(element)),
            None => self.root = Some(element),
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), Malformed> {
        if self.open.is_empty() {
            return match text.trim_matches([' ', '\t', '\r', '\n']).is_empty() {
                true => Ok(()),
                false => syntax("text outside of the root element"),
            };
        }
        self.append(text);
        Ok(())
    }

    fn cdata(&mut self, text: &str) -> Result<(), Malformed> {
        if self.open.is_empty() {
            return syntax("text outside of the root element");
        }
        self.append(text);
        Ok(())
    }

    fn append(&mut self, text: &str) {
        if let Some(parent) = self.open.last_mut().filter(|_| !text.is_empty()) {
            match parent.children.last_mut() {
                Some(Node::Text(before)) => before.push_str(text),
                _ => parent.children.push(Node::Text(text.to_owned())),
            }
        }
    }

    fn reference(&mut self, reference: &BytesRef<'_>) -> Result<(), Malformed> {
        let resolved = match reference.resolve_char_ref() {
            Ok(Some(c)) if forbidden(c) => {
                return syntax("a reference to a character that XML does not have");
            }
            Ok(Some(c)) => c,
            Ok(None) => match &**reference {
                "lt" => '<',
                "gt" => '>',
                "amp" => '&',
                "apos" => '\'',
                "quot" => '"',
                other => return syntax(format!("the entity {other} is not known")),
            },
            Err(error) => return syntax(error.to_string()),
        };
        self.cdata(resolved.encode_utf8(&mut [0; 4]))
    }
}

/// Whether XML 1.0 (section 2.2) has no such character.
fn forbidden(c: char) -> bool {
    matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
}

/// Whether a text has such a character; most have no byte one could begin with.
fn has_forbidden(text: &str) -> bool {
    let suspect = |byte: u8| byte == 0xEF || (byte < b' ' && !b"\t\n\r".contains(&byte));
    text.bytes().any(suspect) && text.contains(forbidden)
}

/// Prefix and local name of a qualified name; the prefix is empty where there is none.
fn split(name: &str) -> Result<(&str, &str), Malformed> {
    let (prefix, local) = match name.split_once(':') {
        Some((prefix, _)) if !is_name(prefix) => return syntax(format!("{name} is no name")),
        Some(split) => split,
        None => ("", name),
    };
    match is_name(local) {
        true => Ok((prefix, local)),
        false => syntax(format!("{name} is no name")),
    }
}

/// Whether the text is a name without a colon. Of the characters beyond ASCII only those are
/// refused that no script uses in names.
fn is_name(text: &str) -> bool {
    let start =
        |c: char| c.is_ascii_alphabetic() || c == '_' || (!c.is_ascii() && c.is_alphabetic());
    let part = |c: char| {
        start(c)
            || c.is_ascii_digit()
            || matches!(c, '-' | '.')
            || (!c.is_ascii() && !c.is_whitespace() && !c.is_control())
    };
    let mut chars = text.chars();
    chars.next().is_some_and(start) && chars.all(part)
}

/// The document's text: by byte order mark, else by the declaration, else UTF-8. RFC 4918 §8.2
fn decode(body: &[u8]) -> Result<Cow<'_, str>, Malformed> {
    match body {
        [0xEF, 0xBB, 0xBF, rest @ ..] => utf8(rest),
        [0xFE, 0xFF, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xFF, 0xFE, rest @ ..] => utf16(rest, u16::from_le_bytes),
        _ => match declared(body) {
            None => utf8(body),
            Some(name) if ["utf-8", "utf8", "us-ascii", "ascii"].contains(&name.as_str()) => {
                utf8(body)
            }
            Some(name) if ["iso-8859-1", "latin1"].contains(&name.as_str()) => {
                Ok(body.iter().map(|byte| char::from(*byte)).collect())
            }
            Some(_) => Err(Malformed::Encoding),
        },
    }
}

fn utf8(bytes: &[u8]) -> Result<Cow<'_, str>, Malformed> {
    std::str::from_utf8(bytes)
        .map(Cow::Borrowed)
        .map_err(|_| Malformed::Encoding)
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<Cow<'static, str>, Malformed> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(Malformed::Encoding);
    }
    char::decode_utf16(pairs.iter().map(|pair| unit(*pair)))
        .collect::<Result<String, _>>()
        .map(Cow::Owned)
        .map_err(|_| Malformed::Encoding)
}

/// The encoding named in the XML declaration, in lower case.
fn declared(body: &[u8]) -> Option<String> {
    let declaration = body.get(..body.len().min(200))?.strip_prefix(b"<?xml")?;
    let end = declaration.windows(2).position(|two| two == b"?>")?;
    let declaration = std::str::from_utf8(declaration.get(..end)?).ok()?;
    let value = declaration.split_once("encoding")?.1.trim_start();
    let value = value.strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|c| ['"', '\''].contains(c))?;
    let name = value.get(1..)?.split_once(quote)?.0;
    Some(name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::Name;

    fn parse(text: &str) -> Result<Element, Malformed> {
        Element::parse(text.as_bytes(), &Limits::default())
    }

    #[test]
    fn namespaces_are_resolved() {
        let root = parse(
            r#"<?xml version="1.0"?><a xmlns="DAV:" xmlns:x="urn:&amp;"><x:b y="1" x:z="2"/></a>"#,
        )
        .unwrap();
        assert!(root.is(Name::dav("a")));
        let b = root
            .child(Name {
                ns: "urn:&",
                local: "b",
            })
            .unwrap();
        assert_eq!(b.attribute("y"), Some("1"));
        assert_eq!(b.attribute_in("urn:&", "z"), Some("2"));
        assert_eq!(b.attribute("z"), None);
    }

    #[test]
    fn what_xml_forbids_is_refused() {
        for bad in [
            "",
            "  ",
            "text",
            "<a/><b/>",
            "<a/>text",
            "text<a/>",
            "<a>",
            "</a>",
            "<a></b>",
            "<a>]]></a>",
            "<a>\0</a>",
            "<a>&#0;</a>",
            "<a>&nbsp;</a>",
            "<a>&</a>",
            "<a b='<'/>",
            "<a b='1' b='2'/>",
            "<a x:b='1'/>",
            "<x:a/>",
            "<a b='&#1;'/>",
            "<a b='&x;'/>",
            "<a xmlns:x='urn:1' xmlns:y='urn:1' x:b='' y:b=''/>",
            "<a xmlns:x=''><x:b/></a>",
            "<a xmlns:xml='urn:1'/>",
            "<a xmlns:x='http://www.w3.org/2000/xmlns/'/>",
            "<a b=c/>",
            "<a b/>",
            "<1/>",
            "<a:b:c xmlns:a='urn:a'/>",
            "<:a/>",
            "<a><!-- -- --></a>",
            "<a/><?xml version='1.0'?>",
            " <?xml version='1.0'?><a/>",
            "<![CDATA[x]]><a/>",
            "&lt;<a/>",
            "<a>\u{FFFF}</a>",
            "<a><?XML x?></a>",
        ] {
            assert!(
                matches!(parse(bad), Err(Malformed::Syntax(_))),
                "{bad:?}: {:?}",
                parse(bad)
            );
        }
        let doctype = "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>";
        assert_eq!(parse(doctype), Err(Malformed::Doctype));
    }

    #[test]
    fn text_is_put_together_and_its_line_ends_are_normal() {
        let root = parse("<a>1\r\n2&#13;&lt;<![CDATA[<3>]]><!-- no -->4</a>").unwrap();
        assert_eq!(root.text(), "1\n2\r<<3>4");
    }

    #[test]
    fn limits_hold() {
        let limits = Limits {
            size_bytes: 100,
            depth: 3,
            nodes: 5,
        };
        let parse = |text: &str| Element::parse(text.as_bytes(), &limits);
        assert!(parse("<a><b><c/></b></a>").is_ok());
        assert_eq!(parse("<a><b><c><d/></c></b></a>"), Err(Malformed::Limit));
        assert_eq!(parse("<a><b/><b/><b/><b/><b/></a>"), Err(Malformed::Limit));
        assert_eq!(
            parse("<a><b c='1' d='2' e='3' f='4'/></a>"),
            Err(Malformed::Limit)
        );
        assert_eq!(
            parse(&format!("<a>{}</a>", " ".repeat(100))),
            Err(Malformed::Limit)
        );
    }

    #[test]
    fn other_encodings_are_read_by_mark_or_declaration() {
        let limits = Limits::default();
        let text = "<a>ü€</a>";
        let be: Vec<u8> = [0xFE, 0xFF]
            .into_iter()
            .chain(text.encode_utf16().flat_map(u16::to_be_bytes))
            .collect();
        let le: Vec<u8> = [0xFF, 0xFE]
            .into_iter()
            .chain(text.encode_utf16().flat_map(u16::to_le_bytes))
            .collect();
        for bytes in [be, le, format!("\u{FEFF}{text}").into_bytes()] {
            assert_eq!(Element::parse(&bytes, &limits).unwrap().text(), "ü€");
        }
        let latin = b"<?xml version='1.0' encoding='ISO-8859-1'?><a>\xFC</a>";
        assert_eq!(Element::parse(latin, &limits).unwrap().text(), "ü");
        assert_eq!(
            Element::parse(b"<a>\xFC</a>", &limits),
            Err(Malformed::Encoding)
        );
        let other = b"<?xml version='1.0' encoding='koi8-r'?><a/>";
        assert_eq!(Element::parse(other, &limits), Err(Malformed::Encoding));
    }
}
