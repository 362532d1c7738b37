//! A server in memory with a few people, for tests that ask it as clients do.

use super::{Server, answer};
use crate::auth::accounts::{self, By, NewPrincipal};
use crate::auth::password::{self, Cost};
use crate::auth::{self, Auth};
use crate::dav::{self, Path, Request, Response};
use crate::ical::Timestamp;
use crate::store::kv::{
    Answer, Batch, CommitError, Key, Kv, Ordered, ReadError, Row, Scan, Value, View,
};
use crate::store::memory::Memory;
use crate::store::{self, Actor, Change, Component, Id, PrincipalKind, Put, Sharing, Store, Tag};
use crate::xml::{self, Element, Name};
use base64::Engine as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

pub(super) const NOW: Timestamp = Timestamp(1_800_000_000);

/// A server with alice, bob and the administrator root, the group staff with alice in it and
/// the room attic.
pub(super) struct World {
    pub(super) server: Arc<Server>,
}

pub(super) fn by() -> By {
    By {
        actor: Actor {
            principal: None,
            client: "test".to_owned(),
        },
        now: NOW,
    }
}

impl World {
    pub(super) async fn new() -> World {
        World::on(Arc::new(Memory::new())).await
    }

    pub(super) async fn on(kv: Arc<dyn Kv>) -> World {
        let store = Store::open(kv, store::Limits::default()).await.unwrap();
        for (kind, name, title) in [
            (PrincipalKind::User, "alice", "Alice Adams"),
            (PrincipalKind::User, "bob", "Bob Brown"),
            (PrincipalKind::User, "root", "Root"),
            (PrincipalKind::Group, "staff", "The Staff"),
            (PrincipalKind::Room, "attic", "Attic"),
        ] {
            let new = NewPrincipal {
                display_name: title.to_owned(),
                addresses: vec![format!("{name}@example.org")],
                admin: name == "root",
                password: Some(password::hash(name, Cost::LEAST).unwrap()),
                ..NewPrincipal::named(kind, name)
            };
            accounts::add(&store, &new, &by()).await.unwrap();
        }
        accounts::change_members(&store, "staff", &["alice".to_owned()], &[], &by())
            .await
            .unwrap();
        let limits = auth::Limits {
            cost: Cost::LEAST,
            ..auth::Limits::default()
        };
        let auth = Arc::new(Auth::new(store.clone(), &limits).unwrap());
        let server = Server::new(store, auth, dav::Limits::default(), "Kalends");
        World { server }
    }

    pub(super) async fn id(&self, name: &str) -> Id {
        let directory = self.server.shared.store.directory().await.unwrap();
        directory.by_name(name).unwrap().id
    }

    /// What the request line, the header lines and the body ask as this person; "" for nobody.
    pub(super) async fn ask(&self, who: &str, head: &str, body: &str) -> Response {
        answer(&self.server, request(who, head, body), NOW).await
    }

    /// Puts an object past every protocol.
    pub(super) async fn put(&self, owner: &str, collection: &str, (name, uid): (&str, &str)) {
        let text = format!("BEGIN:VCALENDAR\r\nUID:{uid}\r\nEND:VCALENDAR\r\n");
        let id = self.id(owner).await;
        let store = &self.server.shared.store;
        let turn = store.turn(&[id]).await.unwrap();
        let home = turn.home(id).unwrap().clone();
        let collection = home.collection(collection).unwrap().id;
        let mut change = Change::new(NOW, by().actor, "PUT");
        change.home(&home).put(
            collection,
            Put {
                name: name.to_owned(),
                text: text.into(),
                uid: Some(uid.to_owned()),
                component: Some(Component::Event),
                summary: Vec::new(),
                tag: Tag::None,
                shared: Sharing::Moves,
            },
        );
        store.commit(change, turn).await.unwrap();
    }
}

pub(super) fn request(who: &str, head: &str, body: &str) -> Request {
    let mut lines = head.lines();
    let (method, target) = lines.next().unwrap().split_once(' ').unwrap();
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (target, None),
    };
    let mut request = Request::new(method, Path::parse(path).unwrap());
    request.query = query;
    request.host = "cal.example.org".to_owned();
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap();
        request.headers.push(name, value);
    }
    if !who.is_empty() {
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("{who}:{who}"));
        request
            .headers
            .push("Authorization", format!("Basic {pair}"));
    }
    request.body = body.to_owned().into();
    request
}

/// The responses of a multistatus: href, and the texts of the properties found.
pub(super) fn multistatus(response: &Response) -> Vec<(String, Element)> {
    assert_eq!(response.status, 207, "{:?}", response.body);
    let root = Element::parse(&response.body, &xml::Limits::default()).unwrap();
    let responses = root.children(Name::dav("response"));
    responses
        .map(|r| {
            (
                r.child(Name::dav("href")).unwrap().text().into_owned(),
                r.clone(),
            )
        })
        .collect()
}

/// The status and element of a property in a DAV:response.
pub(super) fn property<'a>(response: &'a Element, name: Name<'_>) -> Option<(u16, &'a Element)> {
    response
        .children(Name::dav("propstat"))
        .find_map(|propstat| {
            let prop = propstat.child(Name::dav("prop"))?;
            let element = prop.elements().find(|element| element.is(name))?;
            let status = propstat.child(Name::dav("status"))?.text().into_owned();
            let code = status.split(' ').nth(1)?.parse().ok()?;
            Some((code, element))
        })
}

/// The name of the condition in a DAV:error.
pub(super) fn condition(response: &Response) -> String {
    let root = Element::parse(&response.body, &xml::Limits::default()).unwrap();
    assert!(root.is(Name::dav("error")), "{:?}", response.body);
    let element = root.elements().next().unwrap();
    assert_eq!(root.elements().count(), 1);
    element.name().local.to_owned()
}

/// A DAV:propfind for these properties of DAV:.
pub(super) fn propfind(names: &[&str]) -> String {
    let names: String = names.iter().map(|name| format!("<{name}/>")).collect();
    format!(
        "<propfind xmlns='DAV:' xmlns:C='{}' xmlns:CS='{}'><prop>{names}</prop></propfind>",
        xml::CALDAV,
        xml::CALENDARSERVER
    )
}

/// An engine whose next commits meet a conflict.
#[derive(Debug, Default)]
pub(super) struct Unlucky {
    kv: Memory,
    pub(super) conflicts: AtomicU32,
}

impl Kv for Unlucky {
    fn get_many<'a>(
        &'a self,
        view: View,
        keys: &'a [Key],
    ) -> Answer<'a, Result<Vec<Option<Value>>, ReadError>> {
        self.kv.get_many(view, keys)
    }

    fn get<'a>(
        &'a self,
        view: View,
        key: &'a [u8],
    ) -> Answer<'a, Result<Option<Value>, ReadError>> {
        self.kv.get(view, key)
    }

    fn scan(&self, view: View, scan: Scan) -> Answer<'_, Result<Vec<Row>, ReadError>> {
        self.kv.scan(view, scan)
    }

    fn submit(&self, batch: Batch) -> Answer<'_, Result<Ordered, CommitError>> {
        let left = self.conflicts.load(Ordering::SeqCst);
        if left == 0 {
            return self.kv.submit(batch);
        }
        self.conflicts.store(left - 1, Ordering::SeqCst);
        Box::pin(async { Err(CommitError::Conflict) })
    }
}
