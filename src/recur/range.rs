//! Ranges of time that are asked for, and whether a span overlaps one (RFC 4791 §9.9).

use crate::ical::Timestamp;

/// The seconds of a day on a local axis.
pub(super) const DAY: i64 = 86_400;

/// A range of time: its start is inside, its end is not. RFC 4791 §9.9
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Range {
    /// The first instant, or [`Timestamp::MIN`] for none.
    pub start: Timestamp,
    /// The first instant after it, or [`Timestamp::MAX`] for none.
    pub end: Timestamp,
}

/// The condition a span of time is tested by: its bounds, and whether they themselves belong to it.
/// Every row of the tables of RFC 4791 §9.9 is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Extent {
    /// Where it begins.
    pub start: Timestamp,
    /// Whether a range that ends there overlaps.
    pub starts_inside: bool,
    /// Where it ends.
    pub end: Timestamp,
    /// Whether a range that starts there overlaps.
    pub ends_inside: bool,
}

impl Range {
    /// All time.
    pub const ALL: Range = Range {
        start: Timestamp::MIN,
        end: Timestamp::MAX,
    };

    /// The range, unless it is empty: "the value of the "end" attribute MUST be greater than the
    /// value of the "start" attribute". RFC 4791 §9.9
    #[must_use]
    pub fn new(start: Timestamp, end: Timestamp) -> Option<Range> {
        (start < end).then_some(Range { start, end })
    }

    /// Whether an instant lies in it.
    #[must_use]
    pub fn contains(&self, instant: Timestamp) -> bool {
        self.start <= instant && (instant < self.end || self.end == Timestamp::MAX)
    }

    /// The range that begins and ends so many seconds earlier and later; open ends stay open.
    pub(super) fn widened(&self, before: i64, after: i64) -> Range {
        let start = self.start.add_seconds(before.saturating_neg());
        let end = self.end.add_seconds(after);
        Range {
            start: if self.start == Timestamp::MIN {
                self.start
            } else {
                start.max(Timestamp::MIN)
            },
            end: if self.end == Timestamp::MAX {
                self.end
            } else {
                end.min(Timestamp::MAX)
            },
        }
    }
}

impl Extent {
    /// All time.
    pub const ALL: Extent = Extent {
        start: Timestamp::MIN,
        starts_inside: true,
        end: Timestamp::MAX,
        ends_inside: true,
    };

    /// What VEVENT has: `start < end AND end > start`, and for a span without length
    /// `start <= start AND end > start`. RFC 4791 §9.9
    #[must_use]
    pub fn span(start: Timestamp, end: Timestamp) -> Extent {
        Extent {
            start,
            starts_inside: false,
            end,
            ends_inside: end <= start,
        }
    }

    /// Whether it overlaps the range. RFC 4791 §9.9
    #[must_use]
    pub fn overlaps(&self, range: &Range) -> bool {
        let starts = if self.starts_inside {
            range.end >= self.start
        } else {
            range.end > self.start || range.end == Timestamp::MAX
        };
        let ends = if self.ends_inside {
            range.start <= self.end
        } else {
            range.start < self.end || range.start == Timestamp::MIN
        };
        starts && ends
    }
}
