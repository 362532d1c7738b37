//! The Accept header, as far as calendar data comes in several forms: RFC 9110 §12.5.1.

use crate::dav::Request;
use crate::ical::Format;

/// What a client says it reads. RFC 9110 §12.5.1
pub(super) struct Accept(Vec<(String, u16)>);

impl Accept {
    pub(super) fn of(request: &Request) -> Accept {
        let list = request.headers.list("Accept").unwrap_or_default();
        Accept(list.split(',').filter_map(media_range).collect())
    }

    /// The weight of a type that is named; wildcards name nothing.
    fn named(&self, media_type: &str) -> u16 {
        let named = self.0.iter().filter(|(range, _)| range == media_type);
        named.map(|(_, weight)| *weight).max().unwrap_or(0)
    }

    /// Whether it names this format, and no other with as much weight.
    pub(super) fn prefers(&self, format: Format) -> bool {
        let weight = self.named(format.media_type());
        let others = Format::ALL.into_iter().filter(|other| *other != format);
        weight > 0
            && others
                .map(|o| self.named(o.media_type()))
                .all(|other| other < weight)
    }

    /// Whether it takes this format, by name or by a wildcard, or says nothing.
    pub(super) fn takes(&self, format: Format) -> bool {
        let media_type = format.media_type();
        let kind = media_type.split('/').next().unwrap_or_default();
        let wild = self.named("*/*").max(self.named(&format!("{kind}/*")));
        self.0.is_empty() || self.named(media_type).max(wild) > 0
    }

    /// Browsers name text/html; no calendar client does.
    pub(super) fn wants_page(&self) -> bool {
        self.named("text/html") > self.named(Format::ICalendar.media_type())
    }
}

/// A media range without its parameters, and its weight in thousandths.
fn media_range(item: &str) -> Option<(String, u16)> {
    let mut parts = item.split(';');
    let range = parts.next()?.trim().to_ascii_lowercase();
    let weight = parts
        .find_map(|parameter| parameter.trim().strip_prefix("q="))
        .map_or(1000, thousandths);
    (!range.is_empty()).then_some((range, weight))
}

/// A qvalue in thousandths; what is none counts as 1. RFC 9110 §12.4.2
fn thousandths(weight: &str) -> u16 {
    match weight.trim().split_once('.') {
        Some(("0", digits)) => format!("{digits:0<3.3}").parse().unwrap_or(1000),
        None if weight.trim() == "0" => 0,
        _ => 1000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dav::Path;

    #[test]
    fn jcal_and_pages_come_only_to_who_names_them() {
        for (accept, jcal, page) in [
            ("", false, false),
            ("*/*", false, false),
            ("text/calendar", false, false),
            ("application/calendar+json", true, false),
            (
                "Application/Calendar+JSON; q=0.5, text/calendar;q=0.25",
                true,
                false,
            ),
            ("application/calendar+json, text/calendar", false, false),
            ("application/calendar+json;q=0", false, false),
            (
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                false,
                true,
            ),
            ("text/calendar, text/html;q=0.9", false, false),
        ] {
            let mut request = Request::new("GET", Path::parse("/").unwrap());
            request.headers.push("Accept", accept);
            let accept_ = Accept::of(&request);
            let said = (accept_.prefers(Format::JCal), accept_.wants_page());
            assert_eq!(said, (jcal, page), "{accept}");
        }
    }
}
