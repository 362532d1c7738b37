//! A summary as bytes, for the store's header row: a version, then fields of variable length.

use std::sync::Arc;

use crate::ical::{Kind, LocalTime};

use super::season::Season;
use super::summary::{BusyKinds, Form, Summary};

/// The version written first. A reader that does not know it computes the summary anew.
const VERSION: u8 = 2;

const FLAGS: usize = 8;

impl Summary {
    /// The bytes of the summary: about twenty for most objects.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let kind = match self.kind {
            None => 0,
            Some(Kind::Event) => 1,
            Some(Kind::Todo) => 2,
            Some(Kind::Journal) => 3,
            Some(Kind::FreeBusy) => 4,
            Some(Kind::Availability) => 5,
        };
        let mut flags = 0;
        for (bit, flag) in self.flags().into_iter().enumerate() {
            flags |= u8::from(flag) << bit;
        }
        let mut bytes = vec![VERSION, kind, self.busy.0, flags];
        let (form, zone) = match &self.form {
            Form::AllDay => (0, ""),
            Form::Floating => (1, ""),
            Form::Utc => (2, ""),
            Form::Mixed => (3, ""),
            Form::Zoned(id) => (4, &**id),
        };
        bytes.push(form);
        if form == 4 {
            push(&mut bytes, zone.len().try_into().unwrap_or(u64::MAX));
            bytes.extend_from_slice(zone.as_bytes());
        }
        push_time(&mut bytes, self.first);
        push_time(&mut bytes, self.last);
        push(&mut bytes, u64::from(self.season.0));
        push(&mut bytes, u64::from(self.alarm_lead));
        push(&mut bytes, u64::from(self.alarm_lag));
        for (start, end) in &self.spans {
            push_time(&mut bytes, *start);
            push_time(&mut bytes, *end);
        }
        bytes
    }

    /// The summary of such bytes, when they are of this version and whole.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Summary> {
        let [VERSION, kind, busy, flags, form, rest @ ..] = bytes else {
            return None;
        };
        let mut rest = rest;
        let kind = match kind {
            0 => None,
            1 => Some(Kind::Event),
            2 => Some(Kind::Todo),
            3 => Some(Kind::Journal),
            4 => Some(Kind::FreeBusy),
            5 => Some(Kind::Availability),
            _ => return None,
        };
        let form = match form {
            0 => Form::AllDay,
            1 => Form::Floating,
            2 => Form::Utc,
            3 => Form::Mixed,
            4 => {
                let length = usize::try_from(take(&mut rest)?).ok()?;
                let (id, after) = rest.split_at_checked(length)?;
                rest = after;
                Form::Zoned(Arc::from(std::str::from_utf8(id).ok()?))
            }
            _ => return None,
        };
        let flag = |bit: u8| flags >> bit & 1 == 1;
        let (first, last) = (take_time(&mut rest)?, take_time(&mut rest)?);
        let season = Season(u16::try_from(take(&mut rest)?).ok()?);
        let lead = u32::try_from(take(&mut rest)?).ok()?;
        let lag = u32::try_from(take(&mut rest)?).ok()?;
        let mut spans = Vec::new();
        while !rest.is_empty() {
            spans.push((take_time(&mut rest)?, take_time(&mut rest)?));
        }
        Some(Summary {
            kind,
            busy: BusyKinds(*busy),
            form,
            first,
            last,
            spans,
            exact: flag(0),
            starts_inside: flag(1),
            ends_inside: flag(2),
            recurring: flag(3),
            endless: flag(4),
            season,
            alarms: flag(5),
            alarm_lead: lead,
            alarm_lag: lag,
            cancelled: flag(6),
            transparent: flag(7),
        })
    }

    fn flags(&self) -> [bool; FLAGS] {
        [
            self.exact,
            self.starts_inside,
            self.ends_inside,
            self.recurring,
            self.endless,
            self.alarms,
            self.cancelled,
            self.transparent,
        ]
    }
}

/// Seven bits a byte, the lowest first.
fn push(bytes: &mut Vec<u8>, value: u64) {
    let mut value = value;
    while value >= 0x80 {
        bytes.push((value & 0x7f | 0x80) as u8);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut value: u64 = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// Seconds from the first time there is.
fn push_time(bytes: &mut Vec<u8>, time: LocalTime) {
    let seconds = time.seconds() - LocalTime::MIN.seconds();
    push(bytes, u64::try_from(seconds).unwrap_or(0));
}

fn take_time(bytes: &mut &[u8]) -> Option<LocalTime> {
    let seconds = i64::try_from(take(bytes)?).ok()?;
    LocalTime::from_seconds(seconds.checked_add(LocalTime::MIN.seconds())?)
}
