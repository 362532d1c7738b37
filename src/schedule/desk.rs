//! What messages change in the home of somebody, staged as one change: the object, an item of the inbox, what is known of
//! the UID, the journal, and what is sent on (RFC 6638 §4).

use super::alike::Alike;
use super::counter;
use super::journal::{self, Decision};
use super::known::Known;
use super::messages::Prepared;
use super::queue::{Kind, MailItem, Payload};
use super::tag;
use super::undelivered::{self, Unreached};
use super::who::{People, Way, way};
use super::{booked, default_calendar};
use crate::dav::{Place, Shared};
use crate::ical::{CalendarObject, Component, Timestamp};
use crate::itip::{self, Addresses, Inbox, Incoming, Message, Method, Reason, ScheduleTag, Weight};
use crate::store::{
    self, Actor, Change, Collection, Error, Header, Home, Id, LocalMessage, MailMessage, Position,
    Principal, Put, Sharing, Tag,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Items that an inbox holds before the oldest tenth is removed: some programs never remove one.
const ITEMS: u64 = 2_000;

/// One home while something is delivered to it.
pub(super) struct Desk<'a> {
    shared: &'a Shared,
    home: Arc<Home>,
    owner: Option<Arc<Principal>>,
    directory: Arc<store::Directory>,
    origin: Origin,
    people: Addresses,
    alike: Option<&'a Alike>,
    own: Alike,
    weight: Option<Weight>,
    now: Timestamp,
}

/// Where messages come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// From objects of this server, which were checked when they were stored.
    Inside,
    /// From elsewhere.
    Outside,
}

/// What messages made of a meeting.
struct Meeting {
    found: Option<(Arc<Collection>, Header)>,
    object: Option<Arc<Component>>,
    known: Known,
    changed: bool,
    tag: ScheduleTag,
    inbox: Vec<Message>,
    next: Vec<(Message, Way)>,
    decisions: Vec<Decision>,
}

impl<'a> Desk<'a> {
    /// The home with what its messages are judged by.
    pub(super) async fn of(
        shared: &'a Shared,
        home: Arc<Home>,
        origin: Origin,
        now: Timestamp,
    ) -> Result<Desk<'a>, Error> {
        let owner = home.id();
        let directory = shared.store.directory().await?;
        Ok(Desk {
            shared,
            home,
            owner: directory.principal(owner).cloned(),
            directory,
            origin,
            people: Addresses::default(),
            alike: None,
            own: Alike::default(),
            weight: None,
            now,
        })
    }

    /// The same, told what the messages have in common.
    pub(super) fn knowing(self, prepared: &'a Prepared) -> Desk<'a> {
        Desk {
            people: prepared.people().clone(),
            alike: Some(prepared.alike()),
            weight: prepared.is_forced().then_some(Weight::News),
            ..self
        }
    }

    /// Whether somebody lives there.
    pub(super) fn is_open(&self) -> bool {
        self.owner.is_some() && self.home.exists()
    }

    /// The change that delivers a row.
    pub(super) async fn applied(
        &self,
        row: &LocalMessage,
        newer: Option<&LocalMessage>,
        prepared: &Prepared,
    ) -> Result<Change, Error> {
        let actor = Actor {
            principal: Some(row.from),
            client: "scheduling".to_owned(),
        };
        let mut messages = prepared.to_home(row.to);
        let what = messages.first().map_or(Method::Request, |m| m.method);
        let mut change = Change::new(self.now, actor, what.to_string());
        change.take_local(row);
        let refresh = |row: &LocalMessage| {
            Payload::decode(&row.payload).is_ok_and(|p| p.kind == Kind::Refresh)
        };
        if refresh(row) && newer.is_some_and(refresh) {
            // The next one says the same and more.
            messages.clear();
        }
        if messages.is_empty() {
            return Ok(change);
        }
        self.receive(&mut change, &row.uid, &messages).await?;
        Ok(change)
    }

    /// Stages what messages about one UID change in this home.
    pub(super) async fn receive(
        &self,
        change: &mut Change,
        uid: &str,
        messages: &[Message],
    ) -> Result<Vec<Reason>, Error> {
        let mut meeting = self.meeting(uid).await?;
        let before = meeting.known.clone();
        let reasons: Vec<Reason> = messages
            .iter()
            .map(|message| meeting.judge(self, message))
            .collect();
        self.book(&mut meeting, uid).await?;
        let mut text = meeting.found.as_ref().map(|(_, header)| header.text);
        let mut place = meeting
            .found
            .as_ref()
            .map(|(collection, header)| (collection.id, header.name().to_owned()));
        if meeting.changed {
            let Some((collection, name)) = self.destination(&meeting, uid).await? else {
                self.reject(change, &mut meeting, messages)?;
                return Ok(reasons);
            };
            text = self.put(change, &mut meeting, uid, (&collection, &name))?;
            place = Some((collection.id, name));
        }
        for message in &meeting.inbox {
            self.show(change, uid, message).await?;
        }
        meeting.known.gone = meeting.object.is_none();
        if meeting.known != before {
            meeting.known.keep(change.home(&self.home), uid);
        }
        let place = place.unwrap_or((self.home.id(), String::new()));
        let source = self.source(uid, place, text);
        self.send(change, &meeting, &source)?;
        for decision in &meeting.decisions {
            journal::note(change, &self.home, uid, self.now, decision)?;
        }
        Ok(reasons)
    }

    /// Stages that nothing is taken, and that the senders hear of it.
    fn reject(
        &self,
        change: &mut Change,
        meeting: &mut Meeting,
        messages: &[Message],
    ) -> Result<(), Error> {
        meeting.next.clear();
        let Some(first) = messages.first() else {
            return Ok(());
        };
        for message in messages {
            let decision = Decision::failed(
                message.method.to_string(),
                message.from.clone(),
                ("NoCalendar", "there is no calendar that takes it"),
            );
            journal::note(change, &self.home, &message.uid, self.now, &decision)?;
            let lost = Unreached {
                home: self.home.id(),
                uid: &message.uid,
                to: &message.to,
                status: "5.2",
                why: "No calendar of the recipient takes it",
            };
            // Only who asks is answered.
            let asks = message.method == Method::Request;
            let refusal = asks.then(|| undelivered::refusal(&message.calendar, &lost, self.now));
            if let Some(answer) = refusal.flatten() {
                let way = way(&self.people(message).addresses(), &answer.to);
                meeting.next.push((answer, way));
            }
        }
        let source = self.source(&first.uid, (self.home.id(), String::new()), None);
        self.send(change, meeting, &source)
    }

    /// What the rows have in common that follow from this delivery.
    fn source(
        &self,
        uid: &str,
        (collection, name): (Id, String),
        new: Option<Position>,
    ) -> LocalMessage {
        LocalMessage {
            to: self.home.id(),
            from: self.home.id(),
            uid: uid.to_owned(),
            revision: self.home.revision().saturating_add(1),
            collection,
            name,
            old: None,
            new,
            payload: bytes::Bytes::new(),
        }
    }

    /// Lets a room answer by itself.
    async fn book(&self, meeting: &mut Meeting, uid: &str) -> Result<(), Error> {
        let (Some(owner), Some(object), true) = (&self.owner, &meeting.object, meeting.changed)
        else {
            return Ok(());
        };
        let asked = booked::Asked {
            shared: self.shared,
            directory: &self.directory,
            place: &Place {
                owner: owner.clone(),
                home: self.home.clone(),
            },
            now: self.now,
        };
        if let Some(answered) = booked::answered(&asked, object, uid).await? {
            meeting.object = Some(answered.object.into());
            meeting.next.extend(answered.messages);
            meeting.decisions.extend(answered.decisions);
        }
        Ok(())
    }

    async fn meeting(&self, uid: &str) -> Result<Meeting, Error> {
        let found = tag::find(&self.home, uid).await?;
        let object = match &found {
            Some((_, header)) => self
                .alike()
                .read(&self.home.text(header).await?, self.shared),
            None => None,
        };
        let known = Known::of(&self.home, uid).await?;
        Ok(Meeting {
            found,
            object,
            known: known.unwrap_or_default(),
            changed: false,
            tag: ScheduleTag::Keep,
            inbox: Vec::new(),
            next: Vec::new(),
            decisions: Vec::new(),
        })
    }

    /// Where the object goes: where it is, else the default calendar. RFC 6638 §4.3
    async fn destination(
        &self,
        meeting: &Meeting,
        uid: &str,
    ) -> Result<Option<(Arc<Collection>, String)>, Error> {
        if let Some((collection, header)) = &meeting.found {
            return Ok(Some((collection.clone(), header.name().to_owned())));
        }
        let component = meeting.object.as_deref().map(component_of);
        let component = component.unwrap_or(store::Component::Event);
        let Some(collection) = default_calendar(&self.home, component).cloned() else {
            return Ok(None);
        };
        let name = format!("{uid}.ics");
        let simple = name.len() <= 200
            && !name.starts_with('.')
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.@".contains(&b));
        let taken = !simple || self.home.header(&collection, &name).await?.is_some();
        let name = match taken {
            true => format!("{}.ics", Id::random()?),
            false => name,
        };
        Ok(Some((collection, name)))
    }

    /// Stages the object; answers when its text will have been written.
    fn put(
        &self,
        change: &mut Change,
        meeting: &mut Meeting,
        uid: &str,
        (collection, name): (&Collection, &str),
    ) -> Result<Option<Position>, Error> {
        let Some(calendar) = &meeting.object else {
            return Ok(None);
        };
        let kept = meeting.found.as_ref().and_then(|(_, header)| header.tag);
        let tag = match (meeting.tag, kept) {
            (ScheduleTag::Keep, Some(tag)) => Tag::Keep(tag),
            (ScheduleTag::Keep, None) | (ScheduleTag::Move, _) => Tag::Move,
        };
        if meeting.found.is_none() {
            meeting.known.placed = Some((collection.id, name.to_owned()));
        }
        let stamps = change
            .home(&self.home)
            .put(collection.id, self.object(calendar, name, (uid, tag)));
        Ok(Some(stamps.text))
    }

    /// Stages an item of the inbox. RFC 6638 §4
    async fn show(&self, change: &mut Change, uid: &str, message: &Message) -> Result<(), Error> {
        let mut collections = self.home.collections();
        let Some(inbox) = collections.find(|c| c.kind == store::Kind::Inbox) else {
            return Ok(());
        };
        let name = format!("{}.ics", Id::random()?);
        let shown = match message.method {
            Method::Counter => counter::signed(message).into(),
            _ => message.calendar.clone(),
        };
        let put = self.object(&shown, &name, (uid, Tag::None));
        change.home(&self.home).put(inbox.id, put);
        if inbox.count >= ITEMS {
            self.make_room(change, inbox).await?;
        }
        Ok(())
    }

    /// Removes the oldest items of an inbox that no program empties.
    async fn make_room(&self, change: &mut Change, inbox: &Collection) -> Result<(), Error> {
        let members = self.home.members(inbox).await?;
        let mut items: Vec<Header> = members.iter().collect();
        items.sort_by_key(|item| (item.created, item.position));
        for item in items.iter().take(items.len() / 10) {
            change.home(&self.home).remove_object(inbox.id, item.name());
        }
        Ok(())
    }

    /// Queues what is sent on.
    fn send(
        &self,
        change: &mut Change,
        meeting: &Meeting,
        source: &LocalMessage,
    ) -> Result<(), Error> {
        let mut homes: BTreeMap<Id, Kind> = BTreeMap::new();
        for (message, way) in &meeting.next {
            if *way == Way::Nowhere || *way == Way::Mail && message.weight == Weight::Refresh {
                continue;
            }
            let Some(kind) = Kind::of(message) else {
                tracing::warn!(uid = message.uid, "a message is too long to be sent on");
                continue;
            };
            match way {
                Way::Home(id) => {
                    let known = homes.entry(*id).or_insert_with(|| kind.clone());
                    if message.weight == Weight::News {
                        *known = kind;
                    }
                }
                Way::Mail | Way::Nowhere => {
                    let payload = Payload { kind, at: self.now }.encode();
                    let item = MailItem {
                        source: LocalMessage {
                            payload,
                            ..source.clone()
                        },
                        to: message.to.clone(),
                        note: String::new(),
                    };
                    change.queue_mail(&MailMessage {
                        id: Id::random()?,
                        due: self.now,
                        payload: item.encode(),
                    });
                }
            }
        }
        for (to, kind) in homes {
            let payload = Payload { kind, at: self.now }.encode();
            change.queue_local(&LocalMessage {
                to,
                payload,
                ..source.clone()
            });
        }
        Ok(())
    }

    fn alike(&self) -> &Alike {
        self.alike.unwrap_or(&self.own)
    }

    /// What the store is told of an object.
    fn object(&self, calendar: &Arc<Component>, name: &str, (uid, tag): (&str, Tag)) -> Put {
        let printed = self.alike().printed(calendar);
        Put {
            name: name.to_owned(),
            text: printed.text,
            uid: Some(uid.to_owned()),
            component: Some(component_of(calendar)),
            summary: printed.summary,
            tag,
            shared: Sharing::Moves,
        }
    }

    /// Everybody whom a message and the object it is about name, seen by the owner of this home.
    fn addresses(&self, message: &Message, object: Option<&Arc<Component>>) -> Addresses {
        let look_up = || {
            let people = self.people(message);
            people.in_calendar(object.map(Arc::as_ref)).addresses()
        };
        let named = (message.calendar.clone(), object.cloned());
        let people = self.alike().people(named, look_up);
        people.seen_by(&self.home.id().to_string())
    }

    fn people(&self, message: &Message) -> People<'_> {
        let before = (self.shared.outside, &self.people);
        People::among(&self.directory, self.home.id(), before).in_message(message)
    }
}

impl Meeting {
    /// Applies one message.
    fn judge(&mut self, desk: &Desk<'_>, message: &Message) -> Reason {
        let who = desk.addresses(message, self.object.as_ref());
        let limits = super::limits::of(&desk.shared.limits);
        let Incoming {
            object,
            messages,
            state,
            inbox,
            schedule_tag,
            reason,
        } = itip::incoming(
            self.object.as_deref(),
            &self.known.state,
            message,
            &who,
            (desk.now, &limits),
        );
        self.known.state = state;
        if let itip::Change::Put(calendar) = object {
            let sound = || CalendarObject::from_calendar(calendar.clone()).is_ok();
            if desk.origin == Origin::Outside && !sound() {
                self.decisions
                    .push(Decision::received(message, Reason::Unreadable));
                return Reason::Unreadable;
            }
            self.object = Some(calendar.into());
            self.changed = true;
            if schedule_tag == ScheduleTag::Move {
                self.tag = ScheduleTag::Move;
            }
        }
        // RFC 6638 §3.2.7: who is asked again without a change has to see it.
        let forced = desk.weight == Some(Weight::News) && reason == Reason::Known;
        if inbox == Inbox::Show || forced {
            self.inbox.push(message.clone());
        }
        let ways = messages.into_iter().map(|message| {
            let way = way(&who, &message.to);
            (message, way)
        });
        self.next.extend(ways);
        self.decisions.push(Decision::received(message, reason));
        reason
    }
}

fn component_of(calendar: &Component) -> store::Component {
    match calendar.component("VTODO") {
        Some(_) => store::Component::Todo,
        None => store::Component::Event,
    }
}
