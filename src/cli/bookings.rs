//! How rooms and resources are booked, as the command line says and shows it.

use serde_json::{Value, json};

use super::accounts::{BOOKABLE, described, names, plain};
use super::args;
use super::failure::{Code, Failure};
use super::output::Out;
use super::run::Ground;
use super::units::Seconds;
use crate::auth::accounts::find;
use crate::store::{Booking, BookingAnswer, Directory, Id, Principal};

/// How it is to be booked; none if nothing is said of it.
pub(super) fn changed(
    directory: &Directory,
    said: &args::Booking,
    resource: Option<&Principal>,
) -> Result<Option<Booking>, Failure> {
    let known = resource.and_then(Booking::of).unwrap_or_default();
    let mut booking = known.clone();
    if let Some(policy) = said.policy {
        booking.answer = match policy {
            args::Policy::WhenFree => BookingAnswer::WhenFree,
            args::Policy::Always => BookingAnswer::Always,
            args::Policy::ByHand => BookingAnswer::ByHand,
            args::Policy::Never => BookingAnswer::Never,
        };
    }
    if let Some(window) = &said.window {
        booking.window_days = units(window, 86_400)?;
    }
    if let Some(longest) = &said.longest {
        booking.longest_minutes = units(longest, 60)?;
    }
    booking.capacity = said.capacity.unwrap_or(booking.capacity);
    if !said.bookable_by.is_empty() {
        booking.bookable_by = people(directory, &said.bookable_by, "everybody")?;
    }
    if !said.in_charge.is_empty() {
        booking.in_charge = people(directory, &said.in_charge, "nobody")?;
    }
    Ok((resource.is_none() || booking != known).then_some(booking))
}

/// A span of time in whole units; none for `none`.
fn units(text: &str, unit: u64) -> Result<Option<u32>, Failure> {
    if text == "none" {
        return Ok(None);
    }
    let span: Seconds = text
        .parse()
        .map_err(|error: &str| Failure::new(Code::Usage, error))?;
    let units = u32::try_from(span.0.div_ceil(unit)).ok();
    match units.filter(|units| *units > 0) {
        Some(units) => Ok(Some(units)),
        None => Err(Failure::new(
            Code::Usage,
            format!("\"{text}\" is too short or too long"),
        )),
    }
}

fn people(directory: &Directory, names: &[String], none: &str) -> Result<Vec<Id>, Failure> {
    if names.iter().any(|name| name == none) {
        return Ok(Vec::new());
    }
    let mut people = Vec::new();
    for name in names {
        let principal = directory
            .by_name(name)
            .ok_or_else(|| Failure::new(Code::NotFound, format!("there is no {name}")))?;
        if !people.contains(&principal.id) {
            people.push(principal.id);
        }
    }
    Ok(people)
}

/// A principal as JSON, with how it is booked if it can be.
pub(super) fn with_booking(directory: &Directory, principal: &Principal) -> Value {
    let mut all = described(directory, principal);
    if let (Value::Object(fields), Some(booking)) = (&mut all, Booking::of(principal)) {
        fields.insert("booking".to_owned(), json(directory, &booking));
    }
    all
}

fn json(directory: &Directory, booking: &Booking) -> Value {
    json!({
        "policy": booking.answer.word(),
        "window_days": booking.window_days,
        "longest_minutes": booking.longest_minutes,
        "bookable_by": names(directory, &booking.bookable_by),
        "capacity": booking.capacity,
        "in_charge": names(directory, &booking.in_charge),
    })
}

/// `resource show`.
pub(super) async fn show(
    name: &str,
    json: bool,
    ground: &Ground,
    out: &Out,
) -> Result<(), Failure> {
    let directory = ground.store.directory().await?;
    let resource = find(&directory, BOOKABLE, name)?;
    if json {
        let all = with_booking(&directory, resource);
        out.line(all.to_string()).await;
        return Ok(());
    }
    let booking = Booking::of(resource).unwrap_or_default();
    let list = |ids: &[Id], none: &str| match ids {
        [] => none.to_owned(),
        ids => names(&directory, ids).join(" "),
    };
    let addresses = resource.addresses.iter().map(|uri| plain(uri));
    let span = |number: Option<u32>, unit: &str| {
        number.map_or_else(|| "any".to_owned(), |number| format!("{number} {unit}"))
    };
    for (label, value) in [
        ("name", resource.name.clone()),
        ("shown as", resource.display_name.clone()),
        ("addresses", addresses.collect::<Vec<_>>().join(" ")),
        ("answers", booking.answer.word().to_owned()),
        ("window", span(booking.window_days, "days")),
        ("longest", span(booking.longest_minutes, "minutes")),
        ("bookable by", list(&booking.bookable_by, "everybody")),
        ("capacity", booking.capacity.to_string()),
        ("in charge", list(&booking.in_charge, "administrators")),
    ] {
        out.line(format!("{label:14} {value}").trim_end()).await;
    }
    Ok(())
}
