//! What one attempt of one request sees, and what it stages.
//!
//! A handler acts on its [`Context`] only: when the commit meets a conflict the attempt is
//! dropped and another begins on newer views.

use super::error::Error;
use super::limits::Limits;
use super::path::Hrefs;
use super::privilege::{Privilege, Privileges, Who, granted};
use super::request::Request;
use super::resource::Resource;
use super::tables::Tables;
use crate::ical::Timestamp;
use crate::store::{Change, Directory, Home, Id, Principal, Store, Turn};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// What lives as long as the server.
#[derive(Debug)]
pub struct Shared {
    /// The store.
    pub store: Arc<Store>,
    /// What is supported.
    pub tables: Tables,
    /// How much of it.
    pub limits: Limits,
    /// How people who are not of this server are reached.
    pub outside: Outside,
    /// Told when messages are queued that nobody is delivering.
    pub queued: tokio::sync::Notify,
    /// Told when messages are queued that leave by mail.
    pub to_mail: tokio::sync::Notify,
    /// Told when somebody wants what waits to be mailed at once, whatever happened before.
    pub mail_now: tokio::sync::Notify,
    /// Free bytes where the data is, as last seen; `u64::MAX` where nobody looks.
    pub free_bytes: AtomicU64,
}

/// How people who are not of this server are reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outside {
    /// Not at all.
    Unreachable,
    /// By mail.
    ByMail,
}

/// Who asks.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The principal that signed in.
    pub principal: Arc<Principal>,
    /// The label of the app password it signed in with, or the program it uses.
    pub client: String,
}

/// One attempt of one request.
#[derive(Debug)]
pub struct Context {
    /// The server's parts.
    pub shared: Arc<Shared>,
    /// The request.
    pub request: Arc<Request>,
    /// When it came.
    pub now: Timestamp,
    /// Who asks.
    pub viewer: Caller,
    /// The principals at one revision.
    pub directory: Arc<Directory>,
    /// How hrefs are written in the answer.
    pub hrefs: Hrefs,
    /// What the request's path names.
    pub target: Resource,
    /// What the attempt changes: committed when the handler answers without an error.
    pub change: Change,
    /// The turn of the homes that may be changed; views are taken from it.
    pub turn: Option<Turn>,
    /// The homes of the turn.
    pub writes: Vec<Id>,
}

impl Context {
    /// Commits what is staged so far and goes on in a new turn of the same homes: for what is
    /// too much for one commit. What came before stays if the rest fails.
    pub async fn commit_part(&mut self) -> Result<(), Error> {
        let next = Change::new(
            self.now,
            self.change.actor.clone(),
            self.change.what.clone(),
        );
        let change = std::mem::replace(&mut self.change, next);
        let store = self.shared.store.clone();
        if let Some(turn) = self.turn.take() {
            store.commit(change, turn).await?;
        }
        self.turn = Some(store.turn(&self.writes).await?);
        Ok(())
    }

    /// The home as this attempt sees it: as ordered when its turn is taken, else as durable.
    pub async fn home(&self, id: Id) -> Result<Arc<Home>, Error> {
        match self.turn.as_ref().and_then(|turn| turn.home(id)) {
            Some(home) => Ok(home.clone()),
            None => Ok(self.shared.store.home(id).await?),
        }
    }

    /// Whether the viewer looks after it: an administrator, or somebody in charge of the room it belongs to.
    fn keeps(&self, resource: &Resource) -> bool {
        let viewer = &self.viewer.principal;
        match resource.owner() {
            Some(owner) => self.directory.may_keep(viewer, owner.id),
            None => viewer.admin,
        }
    }

    /// Who the viewer is to the resource.
    pub fn who(&self, resource: &Resource) -> Who {
        let own = |owner: &Arc<Principal>| owner.id == self.viewer.principal.id;
        if resource.owner().is_some_and(own) {
            Who::Owner
        } else if self.keeps(resource) {
            Who::Admin
        } else {
            Who::Account
        }
    }

    /// What the viewer may do with the resource.
    pub fn privileges(&self, resource: &Resource) -> Privileges {
        granted(self.who(resource), resource.kind())
    }

    /// Whether the viewer may do this; else why not. RFC 3744 §7.1.1
    pub fn require(&self, resource: &Resource, privilege: Privilege) -> Result<(), Error> {
        if self.privileges(resource).contains(privilege) {
            return Ok(());
        }
        let href = resource.href(&self.hrefs);
        let detail = super::error::Detail::Privilege(href, privilege);
        Err(super::condition::Condition::NeedPrivileges.with(detail))
    }
}
