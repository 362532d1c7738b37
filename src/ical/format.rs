//! The media types in which iCalendar comes and goes (RFC 5545 §8.1, RFC 7265 §7).

/// A media type of calendar data. RFC 4791 §5.2.4
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// text/calendar, RFC 5545.
    ICalendar,
    /// application/calendar+json, RFC 7265.
    JCal,
}

impl Format {
    /// All formats, the first being the one objects are stored in.
    pub const ALL: [Format; 2] = [Format::ICalendar, Format::JCal];

    /// The media type without parameters.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Format::ICalendar => "text/calendar",
            Format::JCal => "application/calendar+json",
        }
    }

    /// The format of a media type, whatever its parameters and case.
    #[must_use]
    pub fn of(media_type: &str) -> Option<Format> {
        let bare = media_type.split(';').next().unwrap_or_default().trim();
        Format::ALL
            .into_iter()
            .find(|format| bare.eq_ignore_ascii_case(format.media_type()))
    }

    /// The format of a body by its Content-Type, if it can be read: UTF-8, and iCalendar also where
    /// no type is given, as curl and cadaver do.
    #[must_use]
    pub fn of_body(media_type: Option<&str>) -> Option<Format> {
        let Some(media_type) = media_type.filter(|t| !t.trim().is_empty()) else {
            return Some(Format::ICalendar);
        };
        let charset = media_type
            .split(';')
            .filter_map(|parameter| parameter.trim().split_once('='))
            .find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))
            .map(|(_, value)| value.trim().trim_matches('"').to_ascii_lowercase());
        let readable = matches!(
            charset.as_deref(),
            None | Some("utf-8" | "utf8" | "us-ascii")
        );
        Format::of(media_type).filter(|_| readable)
    }
}
