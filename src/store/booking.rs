//! How a room or another resource is booked: kept with its principal, as a property that the store itself reads.
//!
//! The property is XML like all others, so that what shows and keeps properties needs to know nothing of it; its text is
//! words `name=value`. What cannot be read is as if it were not there.

use super::{Id, Principal, PrincipalKind};

/// Whether a resource answers an invitation by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BookingAnswer {
    /// It accepts what is free and declines what is not.
    WhenFree,
    /// It accepts, also what collides.
    Always,
    /// Somebody in charge answers; only what may not be booked is declined.
    ByHand,
    /// It declines.
    Never,
}

impl BookingAnswer {
    /// Every answer with its word.
    pub const ALL: [(BookingAnswer, &'static str); 4] = [
        (BookingAnswer::WhenFree, "when-free"),
        (BookingAnswer::Always, "always"),
        (BookingAnswer::ByHand, "by-hand"),
        (BookingAnswer::Never, "never"),
    ];

    /// Its word.
    pub fn word(self) -> &'static str {
        let named = Self::ALL.iter().find(|(answer, _)| *answer == self);
        named.map_or("", |(_, word)| word)
    }

    fn parse(word: &str) -> Option<BookingAnswer> {
        let named = Self::ALL.iter().find(|(_, known)| *known == word);
        named.map(|(answer, _)| *answer)
    }
}

/// How a resource is booked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Booking {
    /// Whether it answers by itself.
    pub answer: BookingAnswer,
    /// How many days ahead it may be booked, or any time.
    pub window_days: Option<u32>,
    /// How many minutes it may be booked for, or as long as one likes.
    pub longest_minutes: Option<u32>,
    /// The users and groups who may book it; nobody named: everybody.
    pub bookable_by: Vec<Id>,
    /// How many bookings it takes at one time.
    pub capacity: u32,
    /// The users and groups in charge: they see its calendar and may answer for it.
    pub in_charge: Vec<Id>,
}

impl Default for Booking {
    fn default() -> Booking {
        Booking {
            answer: BookingAnswer::WhenFree,
            window_days: None,
            longest_minutes: None,
            bookable_by: Vec::new(),
            capacity: 1,
            in_charge: Vec::new(),
        }
    }
}

const PROPERTY: &str = "{urn:kalends}booking";
const START: &str = "<booking xmlns=\"urn:kalends\">";
const END: &str = "</booking>";

impl Booking {
    /// How a room or resource is booked; none for users and groups.
    pub fn of(principal: &Principal) -> Option<Booking> {
        match principal.kind {
            PrincipalKind::User | PrincipalKind::Group => return None,
            PrincipalKind::Room | PrincipalKind::Resource => {}
        }
        let mut booking = Booking::default();
        let kept = principal.properties.get(PROPERTY);
        let text = kept.and_then(|xml| xml.strip_prefix(START)?.strip_suffix(END));
        let words = text.unwrap_or_default().split(' ');
        for (name, value) in words.filter_map(|word| word.split_once('=')) {
            booking.read(name, value);
        }
        Some(booking)
    }

    fn read(&mut self, name: &str, value: &str) {
        match name {
            "answer" => self.answer = BookingAnswer::parse(value).unwrap_or(self.answer),
            "window" => self.window_days = value.parse().ok(),
            "longest" => self.longest_minutes = value.parse().ok(),
            "by" => self.bookable_by.extend(value.parse::<Id>()),
            "capacity" => self.capacity = value.parse().unwrap_or(self.capacity),
            "charge" => self.in_charge.extend(value.parse::<Id>()),
            _ => {}
        }
    }

    /// Writes it into the principal.
    pub fn keep(&self, principal: &mut Principal) {
        let mut words = vec![format!("answer={}", self.answer.word())];
        words.extend(self.window_days.map(|days| format!("window={days}")));
        words.extend(
            self.longest_minutes
                .map(|longest| format!("longest={longest}")),
        );
        words.push(format!("capacity={}", self.capacity));
        words.extend(self.bookable_by.iter().map(|id| format!("by={id}")));
        words.extend(self.in_charge.iter().map(|id| format!("charge={id}")));
        let xml = format!("{START}{}{END}", words.join(" "));
        principal.properties.insert(PROPERTY.to_owned(), xml);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ical::Timestamp;
    use crate::store::Properties;

    #[test]
    fn what_is_kept_is_what_is_read() {
        let id = Id::from_bytes([3; 16]);
        let mut room = Principal {
            id,
            kind: PrincipalKind::Room,
            name: "blue".into(),
            display_name: "Blue".into(),
            addresses: Vec::new(),
            locale: None,
            timezone: None,
            admin: false,
            disabled: false,
            properties: Properties::new(),
            created: Timestamp(0),
            revision: 0,
        };
        assert_eq!(Booking::of(&room), Some(Booking::default()));
        for (answer, _) in BookingAnswer::ALL {
            let booking = Booking {
                answer,
                window_days: Some(90),
                longest_minutes: Some(480),
                bookable_by: vec![id, Id::from_bytes([4; 16])],
                capacity: 3,
                in_charge: vec![id],
            };
            booking.keep(&mut room);
            assert_eq!(Booking::of(&room), Some(booking));
        }
        room.kind = PrincipalKind::User;
        assert_eq!(Booking::of(&room), None);
    }
}
