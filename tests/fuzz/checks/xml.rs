//! XML: what is read is written so that it is read the same again, and nothing panics.

use kalends::dav::{Ending, Hrefs, Path};
use kalends::xml::{Element, Limits, Node};

/// Checks one input.
pub(crate) fn check(data: &[u8]) {
    let limits = Limits {
        size_bytes: 1 << 16,
        depth: 32,
        nodes: 2_000,
    };
    let room = Limits {
        size_bytes: usize::MAX,
        ..limits
    };
    if let Ok(root) = Element::parse(data, &limits) {
        again(&root, &room);
        for child in root.elements() {
            again(child, &room);
        }
    }
    if let Ok(text) = std::str::from_utf8(data) {
        path(text);
    }
}

/// An element written by itself means what it meant in its document.
fn again(element: &Element, limits: &Limits) {
    let xml = element.to_xml();
    let read = Element::parse(xml.as_bytes(), limits);
    let read = read.unwrap_or_else(|error| panic!("{error}: {xml}"));
    same(element, &read);
    assert_eq!(read.to_xml(), xml);
}

fn same(one: &Element, other: &Element) {
    assert_eq!(one.name(), other.name());
    assert_eq!(one.lang(), other.lang());
    assert_eq!(one.nodes().len(), other.nodes().len());
    for (one, other) in one.nodes().iter().zip(other.nodes()) {
        match (one, other) {
            (Node::Element(one), Node::Element(other)) => same(one, other),
            (one, other) => assert_eq!(one, other),
        }
    }
}

/// The segments of a path are those of the href made of them.
fn path(text: &str) {
    let Ok(path) = Path::parse(text) else {
        return;
    };
    let segments: Vec<&str> = path.segments().iter().map(String::as_str).collect();
    let href = Hrefs::like("", &path).of(&segments, Ending::Slash);
    let read = Path::parse(&href).map(|path| path.segments().to_vec());
    assert_eq!(read.as_deref(), Ok(path.segments()));
    assert!(href.is_ascii());
}
