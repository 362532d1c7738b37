//! Delivery: what waits for somebody becomes a change of their home, one commit for each row of the queue.
//!
//! The commit checks that the row is still there, so a message is applied once whoever else tries: the request that
//! queued it, another one, or the worker after a crash. Rows of one sender, recipient and UID are applied in the order
//! of the sender's revisions, because whoever has the recipient's turn begins with the oldest. RFC 6638 §4

use super::default_calendar;
use super::journal::{self, Decision};
use super::known::Known;
use super::messages::{self, Prepared, prepared};
use super::queue::{Kind, MailItem, Payload};
use super::tag;
use super::who::{People, Way, way};
use super::withdraw;
use crate::dav::Shared;
use crate::ical::{CalendarObject, Component, Timestamp, print};
use crate::itip::{self, Inbox, Incoming, Message, Method, Reason, ScheduleTag, Weight};
use crate::recur;
use crate::store::{
    self, Actor, Change, Collection, Error, Header, Home, Id, LocalMessage, MailMessage, Position,
    Principal, Put, Receipt, Sharing, Tag,
};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// How long an answer waits for deliveries; the rest goes on without it.
const WITHIN: Duration = Duration::from_secs(5);

/// Deliveries at once.
const AT_ONCE: usize = 16;

/// How often a delivery is tried before the worker has to.
const ATTEMPTS: u32 = 16;

/// Rows of one sender and UID that are looked at together.
const TOGETHER: usize = 100;

/// Delivers what a commit queued for people of this server, and what follows from that, as far as time allows.
pub async fn deliver(shared: &Arc<Shared>, receipt: &Receipt, now: Timestamp) {
    if receipt.has_mail() {
        shared.to_mail.notify_one();
    }
    let rows = receipt.queued().to_vec();
    if rows.is_empty() {
        return;
    }
    // In a task of its own: what has begun goes on when the time is over.
    let task = shared.clone();
    let work = tokio::spawn(async move {
        if work_off(&task, rows, now).await == Worked::Partly {
            task.queued.notify_one();
        }
    });
    if tokio::time::timeout(WITHIN, work).await.is_err() {
        tracing::info!("a request was answered before all its messages were delivered");
    }
}

/// Applies a message that came from outside to the home of somebody of this server, and delivers what follows from it.
/// The caller answers for the sender being who the message says.
///
/// # Errors
/// What the store answers; then nothing has happened.
pub async fn receive(
    shared: &Arc<Shared>,
    to: Id,
    message: &Message,
    now: Timestamp,
) -> Result<Reason, Error> {
    let mut last = Error::Conflict;
    for _ in 0..ATTEMPTS {
        let turn = shared.store.turn(&[to]).await?;
        let home = turn.home(to).cloned().ok_or(store::Refusal::NoHome)?;
        let desk = Desk::of(shared, home, to, now).await?;
        if desk.owner.is_none() || !desk.home.exists() {
            return Err(store::Refusal::NoHome.into());
        }
        let actor = Actor {
            principal: None,
            client: message.from.clone(),
        };
        let mut change = Change::new(now, actor, message.method.to_string());
        let reasons = desk
            .receive(&mut change, &message.uid, std::slice::from_ref(message))
            .await?;
        match shared.store.commit(change, turn).await {
            Ok(receipt) => {
                deliver(shared, &receipt, now).await;
                return Ok(reasons.first().copied().unwrap_or(Reason::Unreadable));
            }
            Err(Error::Conflict) => last = Error::Conflict,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

/// What became of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Worked {
    /// All are delivered.
    Off,
    /// Some wait for another time.
    Partly,
}

/// Works off these rows and those that follow from them.
pub(super) async fn work_off(
    shared: &Arc<Shared>,
    rows: Vec<LocalMessage>,
    now: Timestamp,
) -> Worked {
    let mut worked = Worked::Off;
    let mut waiting: VecDeque<(LocalMessage, Option<Arc<Prepared>>)> = VecDeque::new();
    queue_up(shared, &mut waiting, rows).await;
    let mut running = JoinSet::new();
    loop {
        while running.len() < AT_ONCE
            && let Some((row, prepared)) = waiting.pop_front()
        {
            let shared = shared.clone();
            running.spawn(async move {
                let done = deliver_row(&shared, &row, prepared.as_deref(), now).await;
                done.inspect_err(|error| {
                    tracing::warn!(%error, uid = row.uid, "a message waits for its delivery");
                })
            });
        }
        match running.join_next().await {
            None => return worked,
            Some(Ok(Ok(rows))) => queue_up(shared, &mut waiting, rows).await,
            Some(Ok(Err(_))) => worked = Worked::Partly,
            Some(Err(error)) => {
                tracing::error!(%error, "a delivery ended badly");
                worked = Worked::Partly;
            }
        }
    }
}

/// Puts rows in line, with what those of one change have in common.
async fn queue_up(
    shared: &Shared,
    waiting: &mut VecDeque<(LocalMessage, Option<Arc<Prepared>>)>,
    rows: Vec<LocalMessage>,
) {
    let mut last: Option<(LocalMessage, Arc<Prepared>)> = None;
    for row in rows {
        let same = last.as_ref().filter(|(other, _)| same_change(&row, other));
        let known = match same {
            Some((_, prepared)) => Some(prepared.clone()),
            None => prepared(shared, &row, None).await.ok().map(Arc::new),
        };
        if let Some(prepared) = &known {
            last = Some((row.clone(), prepared.clone()));
        }
        waiting.push_back((row, known));
    }
}

fn same_change(one: &LocalMessage, other: &LocalMessage) -> bool {
    let neutral = |row: &LocalMessage| LocalMessage {
        to: row.from,
        ..row.clone()
    };
    let forced = Payload::decode(&one.payload).is_ok_and(|p| p.kind == Kind::Forced);
    !forced && neutral(one) == neutral(other)
}

/// Delivers a row and those before it; answers what has to be delivered next.
async fn deliver_row(
    shared: &Arc<Shared>,
    row: &LocalMessage,
    known: Option<&Prepared>,
    now: Timestamp,
) -> Result<Vec<LocalMessage>, Error> {
    let store = &shared.store;
    if withdraw::is_withdrawal(row) {
        return withdraw::part(shared, row, now).await;
    }
    let mut next = Vec::new();
    let mut conflicts = 0;
    loop {
        let turn = store.turn(&[row.to]).await?;
        let waiting = store
            .queued_about((row.from, row.to), &row.uid, TOGETHER)
            .await?;
        let Some(first) = waiting
            .first()
            .filter(|first| first.revision <= row.revision)
        else {
            return Ok(next);
        };
        let own;
        let prepared = match known.filter(|_| first == row) {
            Some(known) => known,
            None => {
                own = prepared(shared, first, None).await?;
                &own
            }
        };
        let home = turn.home(row.to).cloned().ok_or(store::Refusal::NoHome)?;
        let desk = Desk::of(shared, home, row.to, now).await?;
        let newer = waiting.get(1);
        let committed = match desk.applied(first, newer, prepared).await {
            Ok(change) => store.commit(change, turn).await,
            Err(error) => Err(error),
        };
        match committed {
            Ok(receipt) => {
                next.extend_from_slice(receipt.queued());
                if receipt.has_mail() {
                    shared.to_mail.notify_one();
                }
            }
            Err(Error::Conflict) if conflicts < ATTEMPTS => conflicts += 1,
            Err(error) => return Err(error),
        }
    }
}

/// One home while something is delivered to it.
struct Desk<'a> {
    shared: &'a Shared,
    home: Arc<Home>,
    owner: Option<Arc<Principal>>,
    directory: Arc<store::Directory>,
    now: Timestamp,
}

/// What messages made of a meeting.
struct Meeting {
    found: Option<(Arc<Collection>, Header)>,
    object: Option<Component>,
    known: Known,
    changed: bool,
    tag: ScheduleTag,
    inbox: Vec<Message>,
    next: Vec<Message>,
    decisions: Vec<Decision>,
}

impl<'a> Desk<'a> {
    async fn of(
        shared: &'a Shared,
        home: Arc<Home>,
        owner: Id,
        now: Timestamp,
    ) -> Result<Desk<'a>, Error> {
        let directory = shared.store.directory().await?;
        Ok(Desk {
            shared,
            home,
            owner: directory.principal(owner).cloned(),
            directory,
            now,
        })
    }

    /// The change that delivers a row.
    async fn applied(
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
        if self.owner.is_none() || !self.home.exists() || messages.is_empty() {
            return Ok(change);
        }
        self.receive(&mut change, &row.uid, &messages).await?;
        Ok(change)
    }

    /// Stages what messages about one UID change in this home.
    async fn receive(
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
        let mut text = meeting.found.as_ref().map(|(_, header)| header.text);
        let mut place = meeting
            .found
            .as_ref()
            .map(|(collection, header)| (collection.id, header.name().to_owned()));
        if meeting.changed {
            let Some((collection, name)) = self.destination(&meeting, uid).await? else {
                for message in messages {
                    let decision = Decision::failed(
                        message.method.to_string(),
                        message.from.clone(),
                        ("NoCalendar", "there is no calendar that takes it"),
                    );
                    journal::note(change, &self.home, uid, self.now, &decision)?;
                }
                return Ok(reasons);
            };
            text = self.put(change, &mut meeting, uid, (&collection, &name))?;
            place = Some((collection.id, name));
        }
        for message in &meeting.inbox {
            self.show(change, uid, message)?;
        }
        meeting.known.gone = meeting.object.is_none();
        if meeting.known != before {
            meeting.known.keep(change.home(&self.home), uid);
        }
        let (collection, name) = place.unwrap_or((self.home.id(), String::new()));
        let source = LocalMessage {
            to: self.home.id(),
            from: self.home.id(),
            uid: uid.to_owned(),
            revision: self.home.revision().saturating_add(1),
            collection,
            name,
            old: None,
            new: text,
            payload: bytes::Bytes::new(),
        };
        self.send(change, &meeting, &source)?;
        for decision in &meeting.decisions {
            journal::note(change, &self.home, uid, self.now, decision)?;
        }
        Ok(reasons)
    }

    async fn meeting(&self, uid: &str) -> Result<Meeting, Error> {
        let found = tag::find(&self.home, uid).await?;
        let object = match &found {
            Some((_, header)) => messages::read(&self.home.text(header).await?, self.shared),
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
        let component = meeting.object.as_ref().map(component_of);
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
            .put(collection.id, object(calendar, name, (uid, tag)));
        Ok(Some(stamps.text))
    }

    /// Stages an item of the inbox. RFC 6638 §4
    fn show(&self, change: &mut Change, uid: &str, message: &Message) -> Result<(), Error> {
        let mut collections = self.home.collections();
        let Some(inbox) = collections.find(|c| c.kind == store::Kind::Inbox) else {
            return Ok(());
        };
        let name = format!("{}.ics", Id::random()?);
        let put = object(&message.calendar, &name, (uid, Tag::None));
        change.home(&self.home).put(inbox.id, put);
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
        for message in &meeting.next {
            let Some(kind) = Kind::of(message) else {
                tracing::warn!(uid = message.uid, "a message is too long to be sent on");
                continue;
            };
            let who = self.people(message).in_calendar(meeting.object.as_ref());
            match way(&who.addresses(), &message.to) {
                Way::Home(id) => {
                    let known = homes.entry(id).or_insert_with(|| kind.clone());
                    if message.weight == Weight::News {
                        *known = kind;
                    }
                }
                Way::Mail if message.weight == Weight::News => {
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
                Way::Mail | Way::Nowhere => {}
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

    fn people(&self, message: &Message) -> People<'_> {
        People::of(&self.directory, self.home.id(), self.shared.outside).in_message(message)
    }
}

impl Meeting {
    /// Applies one message.
    fn judge(&mut self, desk: &Desk<'_>, message: &Message) -> Reason {
        let people = desk.people(message).in_calendar(self.object.as_ref());
        let limits = super::limits::of(&desk.shared.limits);
        let Incoming {
            object,
            messages,
            state,
            inbox,
            schedule_tag,
            reason,
        } = itip::incoming(
            self.object.as_ref(),
            &self.known.state,
            message,
            &people.addresses(),
            (desk.now, &limits),
        );
        self.known.state = state;
        if let itip::Change::Put(calendar) = object {
            if CalendarObject::from_calendar(calendar.clone()).is_err() {
                self.decisions
                    .push(Decision::received(message, Reason::Unreadable));
                return Reason::Unreadable;
            }
            self.object = Some(calendar);
            self.changed = true;
            if schedule_tag == ScheduleTag::Move {
                self.tag = ScheduleTag::Move;
            }
        }
        if inbox == Inbox::Show {
            self.inbox.push(message.clone());
        }
        self.next.extend(messages);
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

/// What the store is told of an object.
fn object(calendar: &Component, name: &str, (uid, tag): (&str, Tag)) -> Put {
    Put {
        name: name.to_owned(),
        text: print(calendar).into(),
        uid: Some(uid.to_owned()),
        component: Some(component_of(calendar)),
        summary: recur::summary(calendar).encode(),
        tag,
        shared: Sharing::Moves,
    }
}
