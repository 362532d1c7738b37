//! XML answers as a tree of namespaced elements, and their comparison (XML 1.0, Namespaces in XML 1.0).
//!
//! A reader of its own, strict about what servers get wrong: unbound prefixes, characters XML forbids, text after
//! the root. The server's reader and writer cannot hide a fault they share.
//!
//! **Gaps**: no DTD (a document type is an error), UTF-8 only.

use std::collections::BTreeMap;

use super::{wire, words};

/// The deepest nesting that is read.
const MAX_DEPTH: usize = 64;

/// An element.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Node {
    /// The namespace; empty for none.
    pub namespace: String,
    /// The local name.
    pub name: String,
    /// Attributes by `{namespace}local`, without namespace declarations.
    pub attributes: BTreeMap<String, String>,
    /// Child elements in order.
    pub children: Vec<Node>,
    /// The character data directly inside, concatenated.
    pub text: String,
}

impl Node {
    /// Whether the element has this name, written as `D:href`.
    pub fn is(&self, name: &str) -> bool {
        words::qualified(name).is_some_and(|(ns, local)| self.namespace == ns && self.name == local)
    }

    /// The first child of this name.
    pub fn child(&self, name: &str) -> Option<&Node> {
        self.children.iter().find(|c| c.is(name))
    }

    /// All children of this name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Node> {
        self.children.iter().filter(move |c| c.is(name))
    }

    /// The element and all below it.
    pub fn descendants(&self) -> Vec<&Node> {
        std::iter::once(self)
            .chain(self.children.iter().flat_map(Node::descendants))
            .collect()
    }

    /// All elements at a path such as `D:multistatus/D:sync-token`, which may begin at any element.
    pub fn at(&self, path: &str) -> Vec<&Node> {
        let mut steps = path.split('/');
        let first = steps.next().unwrap_or_default();
        let mut found: Vec<&Node> = self
            .descendants()
            .into_iter()
            .filter(|n| n.is(first))
            .collect();
        for step in steps {
            found = found
                .into_iter()
                .flat_map(|n| n.children.iter())
                .filter(|n| n.is(step))
                .collect();
        }
        found
    }

    /// All character data inside, in order of elements.
    pub fn full_text(&self) -> String {
        self.descendants()
            .iter()
            .map(|n| n.text.as_str())
            .collect::<Vec<_>>()
            .concat()
    }

    /// A form in which two elements that mean the same are equal: no order of children, no space between
    /// elements, hrefs as paths.
    fn normal(&self) -> Node {
        let mut children: Vec<Node> = self.children.iter().map(Node::normal).collect();
        children.sort();
        let text = self.text.trim();
        let text = if self.is("D:href") {
            wire::same_path(text)
        } else {
            text.to_owned()
        };
        let mut attributes = self.attributes.clone();
        attributes.remove(&format!("{{{XML}}}lang"));
        Node {
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            attributes,
            children,
            text,
        }
    }
}

const XML: &str = "http://www.w3.org/XML/1998/namespace";

/// Whether the content of `node` is `value`: text, or XML with the prefixes of cases.
pub fn equals(node: &Node, value: &str) -> Result<bool, String> {
    if value.starts_with('<') {
        let mut wanted: Vec<Node> = fragment(value)?.children.iter().map(Node::normal).collect();
        wanted.sort();
        return Ok(node.normal().children == wanted);
    }
    let text = node.full_text();
    let text = text.trim();
    if value.starts_with('/') && node.children.iter().any(|c| c.is("D:href")) {
        return Ok(wire::same_path(text) == wire::same_path(value));
    }
    Ok(text == value)
}

/// Whether `value` is a part of the content of `node`: text in its text, or each element of it somewhere inside.
pub fn contains(node: &Node, value: &str) -> Result<bool, String> {
    if !value.starts_with('<') {
        return Ok(node.full_text().contains(value));
    }
    let inside: Vec<Node> = node.descendants().iter().map(|n| n.normal()).collect();
    Ok(fragment(value)?
        .children
        .iter()
        .all(|wanted| inside.iter().any(|n| covers(n, &wanted.normal()))))
}

/// Whether `node` has all that `wanted` has, and perhaps more.
fn covers(node: &Node, wanted: &Node) -> bool {
    node.namespace == wanted.namespace
        && node.name == wanted.name
        && (wanted.text.is_empty() || node.text == wanted.text)
        && wanted
            .attributes
            .iter()
            .all(|(k, v)| node.attributes.get(k) == Some(v))
        && wanted
            .children
            .iter()
            .all(|w| node.children.iter().any(|n| covers(n, w)))
}

fn fragment(value: &str) -> Result<Node, String> {
    parse(&format!(
        "<fragment {}>{value}</fragment>",
        words::declarations()
    ))
}

/// Reads a document.
pub fn parse(text: &str) -> Result<Node, String> {
    let mut reader = Reader {
        rest: text.strip_prefix('\u{feff}').unwrap_or(text),
    };
    if let Some(bad) = text
        .chars()
        .find(|c| *c < ' ' && !matches!(c, '\t' | '\r' | '\n'))
    {
        return Err(format!("the character {bad:?} is not allowed in XML"));
    }
    reader.between();
    let scope = BTreeMap::from([
        ("xml".to_owned(), XML.to_owned()),
        (String::new(), String::new()),
    ]);
    let root = reader.element(&scope, MAX_DEPTH)?;
    reader.between();
    if !reader.rest.is_empty() {
        return Err("something follows the root element".to_owned());
    }
    Ok(root)
}

type Namespaces = BTreeMap<String, String>;

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    /// Skips space, comments and processing instructions.
    fn between(&mut self) {
        loop {
            self.rest = self.rest.trim_start();
            let skipped = self.skip("<?", "?>") || self.skip("<!--", "-->");
            if !skipped {
                return;
            }
        }
    }

    fn skip(&mut self, start: &str, end: &str) -> bool {
        let after = self
            .rest
            .strip_prefix(start)
            .and_then(|r| r.split_once(end))
            .map(|(_, after)| after);
        if let Some(after) = after {
            self.rest = after;
        }
        after.is_some()
    }

    fn take(&mut self, wanted: &str) -> Result<(), String> {
        let here: String = self.rest.chars().take(30).collect();
        self.rest = self
            .rest
            .strip_prefix(wanted)
            .ok_or_else(|| format!("expected {wanted:?} at {here:?}"))?;
        Ok(())
    }

    fn until(&mut self, stops: &[char]) -> &'a str {
        let end = self.rest.find(stops).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn element(&mut self, outer: &Namespaces, depth: usize) -> Result<Node, String> {
        if depth == 0 {
            return Err("the elements are nested too deeply".to_owned());
        }
        self.take("<")?;
        let tag = self.until(&[' ', '\t', '\r', '\n', '/', '>']).to_owned();
        let raw = self.attributes()?;
        let scope = declared(outer, &raw);
        let (namespace, name) = resolve(&scope, &tag)?;
        let mut node = Node {
            namespace,
            name,
            attributes: BTreeMap::new(),
            children: Vec::new(),
            text: String::new(),
        };
        for (key, value) in raw {
            if key == "xmlns" || key.starts_with("xmlns:") {
                continue;
            }
            let (namespace, local) = if key.contains(':') {
                resolve(&scope, &key)?
            } else {
                (String::new(), key)
            };
            let full = if namespace.is_empty() {
                local
            } else {
                format!("{{{namespace}}}{local}")
            };
            if node.attributes.insert(full, value).is_some() {
                return Err(format!("an attribute stands twice in <{tag}>"));
            }
        }
        if self.rest.starts_with("/>") {
            self.take("/>")?;
            return Ok(node);
        }
        self.take(">")?;
        self.content(&mut node, &scope, depth)?;
        self.take("</")?;
        self.take(&tag)?;
        self.rest = self.rest.trim_start();
        self.take(">")?;
        Ok(node)
    }

    fn attributes(&mut self) -> Result<Vec<(String, String)>, String> {
        let mut all = Vec::new();
        loop {
            self.rest = self.rest.trim_start();
            if self.rest.starts_with("/>") || self.rest.starts_with('>') || self.rest.is_empty() {
                return Ok(all);
            }
            let name = self.until(&['=', ' ', '>', '/']).to_owned();
            self.rest = self.rest.trim_start();
            self.take("=")?;
            self.rest = self.rest.trim_start();
            let quote = self.rest.chars().next().filter(|q| matches!(q, '"' | '\''));
            let quote = quote.ok_or_else(|| format!("the value of {name} is not quoted"))?;
            self.take(&quote.to_string())?;
            let value = unescape(self.until(&[quote]))?;
            self.take(&quote.to_string())?;
            all.push((name, value));
        }
    }

    fn content(&mut self, node: &mut Node, scope: &Namespaces, depth: usize) -> Result<(), String> {
        loop {
            let raw = self.until(&['<']).replace("\r\n", "\n");
            node.text.push_str(&unescape(&raw)?);
            if self.rest.starts_with("</") {
                return Ok(());
            } else if let Some(rest) = self.rest.strip_prefix("<![CDATA[") {
                let (data, after) = rest.split_once("]]>").ok_or("CDATA does not end")?;
                node.text.push_str(data);
                self.rest = after;
            } else if self.skip("<!--", "-->") || self.skip("<?", "?>") {
            } else if self.rest.is_empty() {
                return Err(format!("<{}> does not end", node.name));
            } else {
                node.children.push(self.element(scope, depth - 1)?);
            }
        }
    }
}

fn declared(outer: &Namespaces, attributes: &[(String, String)]) -> Namespaces {
    let mut scope = outer.clone();
    for (name, value) in attributes {
        if name == "xmlns" {
            scope.insert(String::new(), value.clone());
        } else if let Some(prefix) = name.strip_prefix("xmlns:") {
            scope.insert(prefix.to_owned(), value.clone());
        }
    }
    scope
}

fn resolve(scope: &Namespaces, name: &str) -> Result<(String, String), String> {
    let (prefix, local) = name.split_once(':').unwrap_or(("", name));
    let good = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    if local.is_empty() || !local.chars().all(good) {
        return Err(format!("{name:?} is no name"));
    }
    let namespace = scope
        .get(prefix)
        .ok_or_else(|| format!("the prefix of {name} is not bound"))?;
    Ok((namespace.clone(), local.to_owned()))
}

fn unescape(text: &str) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut parts = text.split('&');
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let (entity, rest) = part.split_once(';').ok_or("& without an entity")?;
        let number = entity
            .strip_prefix("#x")
            .map(|h| u32::from_str_radix(h, 16));
        let number = number.or_else(|| entity.strip_prefix('#').map(str::parse));
        let character = match (entity, number) {
            ("lt", _) => '<',
            ("gt", _) => '>',
            ("amp", _) => '&',
            ("quot", _) => '"',
            ("apos", _) => '\'',
            (_, Some(Ok(n))) => {
                char::from_u32(n).ok_or_else(|| format!("&{entity}; is no character"))?
            }
            _ => return Err(format!("&{entity}; is not defined")),
        };
        out.push(character);
        out.push_str(rest);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_resolve_by_scope() {
        let text = "<?xml version='1.0'?><a xmlns='DAV:' xmlns:x='urn:x'><x:b y='1&amp;2'>t&#10;<![CDATA[<]]></x:b><b xmlns=''/></a>";
        let root = parse(text).expect("parses");
        assert_eq!((root.namespace.as_str(), root.name.as_str()), ("DAV:", "a"));
        assert_eq!(root.children[0].namespace, "urn:x");
        assert_eq!(root.children[0].text, "t\n<");
        assert_eq!(root.children[0].attributes["y"], "1&2");
        assert_eq!(root.children[1].namespace, "");
    }

    #[test]
    fn what_is_not_well_formed_is_refused() {
        for bad in [
            "",
            "<a>",
            "<a></b>",
            "<a/><b/>",
            "<x:a/>",
            "<a>&nbsp;</a>",
            "<a b=c/>",
            "<a>\u{1}</a>",
            "<!DOCTYPE a><a/>",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn values_compare_without_order_and_by_path() {
        let node = parse("<D:p xmlns:D='DAV:' xmlns:C='urn:ietf:params:xml:ns:caldav'> <C:calendar/><D:collection/><D:href>http://h/a%40b/</D:href></D:p>").expect("parses");
        assert_eq!(
            equals(&node, "<D:href>/a@b/</D:href><D:collection/><C:calendar/>"),
            Ok(true)
        );
        assert_eq!(equals(&node, "<D:collection/><C:calendar/>"), Ok(false));
        assert_eq!(contains(&node, "<D:collection/>"), Ok(true));
        assert_eq!(contains(&node, "<D:principal/>"), Ok(false));
    }
}
