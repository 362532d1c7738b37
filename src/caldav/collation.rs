//! Collations: how a text filter compares strings.
//!
//! i;ascii-casemap (RFC 4790 §9.2), i;octet (RFC 4790 §9.3) and i;unicode-casemap (RFC 5051 §2), as
//! RFC 4791 §7.5 wants them: every comparison is made on the folded forms of both strings.

use std::borrow::Cow;
use unicode_normalization::char::decompose_compatible;

/// A collation this server knows. RFC 4791 §7.5
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Collation {
    /// ASCII letters are equal in both cases. The default. RFC 4790 §9.2
    AsciiCasemap,
    /// Octets are equal if they are. RFC 4790 §9.3
    Octet,
    /// Letters of all scripts are equal in both cases and however they are composed. RFC 5051 §2
    UnicodeCasemap,
}

impl Collation {
    /// All of them, in the order in which they are advertised. RFC 4791 §7.5.1
    pub const ALL: [Collation; 3] = [
        Collation::AsciiCasemap,
        Collation::Octet,
        Collation::UnicodeCasemap,
    ];

    /// The identifier in the IANA registry of collations.
    pub fn name(self) -> &'static str {
        match self {
            Collation::AsciiCasemap => "i;ascii-casemap",
            Collation::Octet => "i;octet",
            Collation::UnicodeCasemap => "i;unicode-casemap",
        }
    }

    /// The collation of an identifier; `default` is i;ascii-casemap. RFC 4791 §7.5
    pub fn named(name: &str) -> Option<Collation> {
        if name == "default" {
            return Some(Collation::AsciiCasemap);
        }
        Collation::ALL.into_iter().find(|c| c.name() == name)
    }

    /// The form in which two strings are equal octet by octet if they are equal in this collation.
    pub fn fold(self, text: &str) -> Cow<'_, str> {
        match self {
            Collation::Octet => Cow::Borrowed(text),
            Collation::AsciiCasemap => ascii_upper(text),
            Collation::UnicodeCasemap if text.is_ascii() => ascii_upper(text),
            Collation::UnicodeCasemap => {
                let mut folded = String::with_capacity(text.len());
                for c in text.chars() {
                    decompose_compatible(titlecase(c), |part| folded.push(part));
                }
                Cow::Owned(folded)
            }
        }
    }
}

fn ascii_upper(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|b| b.is_ascii_lowercase()) {
        Cow::Owned(text.to_ascii_uppercase())
    } else {
        Cow::Borrowed(text)
    }
}

/// The simple titlecase mapping of the Unicode character database: the uppercase one, but for
/// digraphs, Georgian and the Greek letters whose full mapping has several characters.
fn titlecase(c: char) -> char {
    match c {
        'Ǆ'..='ǆ' => 'ǅ',
        'Ǉ'..='ǉ' => 'ǈ',
        'Ǌ'..='ǌ' => 'ǋ',
        'Ǳ'..='ǳ' => 'ǲ',
        'ა'..='ჺ' | 'ჽ'..='ჿ' => c,
        'ᾀ'..='ᾇ' | 'ᾐ'..='ᾗ' | 'ᾠ'..='ᾧ' => {
            char::from_u32(u32::from(c) + 8).unwrap_or(c)
        }
        'ᾳ' => 'ᾼ',
        'ῃ' => 'ῌ',
        'ῳ' => 'ῼ',
        _ => {
            let mut upper = c.to_uppercase();
            match (upper.next(), upper.next()) {
                (Some(one), None) => one,
                _ => c,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Collation::{AsciiCasemap, Octet, UnicodeCasemap};
    use super::*;

    fn equal(collation: Collation, a: &str, b: &str) -> bool {
        collation.fold(a) == collation.fold(b)
    }

    #[test]
    fn a_collation_is_found_by_its_exact_name() {
        for c in Collation::ALL {
            assert_eq!(Collation::named(c.name()), Some(c));
        }
        assert_eq!(Collation::named("default"), Some(AsciiCasemap));
        for unknown in ["", "i;*", "i;Octet", "i;basic;uca=3.1.1"] {
            assert_eq!(Collation::named(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn each_folds_what_its_rfc_says() {
        assert!(equal(AsciiCasemap, "Lisa", "lISA"));
        assert!(!equal(AsciiCasemap, "Ä", "ä"));
        assert!(!equal(Octet, "a", "A"));
        for (a, b) in [
            ("Ärger", "äRGER"),
            ("a\u{308}", "ä"),
            ("ǆ", "Ǆ"),
            ("ᾳ", "ᾼ"),
            ("ÿ", "Ÿ"),
            ("Σ", "ς"),
        ] {
            assert!(equal(UnicodeCasemap, a, b), "{a} {b}");
        }
        assert!(!equal(UnicodeCasemap, "ß", "ss"));
        assert!(!equal(UnicodeCasemap, "o", "ö"));
    }

    /// The example of RFC 5051 §2: U+01C4 becomes U+0044, U+007A, U+030C.
    #[test]
    fn a_digraph_is_folded_by_its_titlecase() {
        assert_eq!(UnicodeCasemap.fold("\u{1c4}"), "\u{44}\u{7a}\u{30c}");
    }
}
