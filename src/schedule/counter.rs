//! What becomes of a proposal: COUNTER lies in the organizer's inbox until the meeting is changed or the item is removed,
//! which declines what was not followed (RFC 5546 §3.2.7-8).

use super::messages;
use super::plan::Plan;
use super::queue::Kind;
use super::tag;
use super::who::People;
use crate::dav::{Context, Error, Place};
use crate::ical::{Component, Property};
use crate::itip::{self, Message, Method, Weight};
use crate::store::Header;

/// The property that keeps who proposes: a COUNTER names all attendees.
const SENDER: &str = "X-KALENDS-SENDER";

/// The message as the inbox keeps it.
pub(super) fn signed(message: &Message) -> Component {
    let sender = Property::new(SENDER, &message.from);
    Component::clone(&message.calendar).with(sender)
}

/// Stages what the removal of an inbox item means: who proposed something that was not followed is told so.
pub async fn dismiss(cx: &mut Context, place: &Place, item: &Header) -> Result<(), Error> {
    let text = place.home.text(item).await?;
    let Some(calendar) = messages::read(&text, &cx.shared) else {
        return Ok(());
    };
    let method = calendar.property("METHOD");
    let counter = method.and_then(|m| Method::parse(m.value())) == Some(Method::Counter);
    let Some(from) = calendar.property(SENDER).filter(|_| counter) else {
        return Ok(());
    };
    let from = from.value().to_owned();
    let Some((_, header)) = tag::find(&place.home, item.uid()).await? else {
        return Ok(());
    };
    let text = place.home.text(&header).await?;
    let Some(existing) = messages::read(&text, &cx.shared) else {
        return Ok(());
    };
    let message = Message {
        method: Method::Counter,
        to: String::new(),
        from,
        uid: item.uid().to_owned(),
        weight: Weight::News,
        calendar: calendar.into(),
    };
    let people = People::of(&cx.directory, place.owner.id, cx.shared.outside);
    let people = people.in_message(&message).in_calendar(Some(&existing));
    let who = people.addresses();
    let declined = itip::decline_counter(&existing, &message, &who, (None, cx.now));
    let Some(declined) = declined else {
        return Ok(());
    };
    let Some(kind) = Kind::of(&declined) else {
        return Ok(());
    };
    let plan = Plan::verbatim(&declined, &kind, &who);
    let at = (header.collection, header.name());
    Ok(plan.stage(&mut cx.change, &place.home, at, None)?)
}
