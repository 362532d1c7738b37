//! The sync of a home as a whole: RFC 6578 on the home collection, as Apple's clients use it.
//!
//! The newest change of a calendar's row or members is the calendar's change in the home. A name
//! that no calendar has any more is remembered like a tombstone.

use super::collection::{Collection, Kind, Viewer};
use super::header::Origin;
use super::home::Home;
use super::sync::{BadToken, Depth, HomeChanges, HomeEntry, Since};
use super::{Error, Position};
use std::sync::Arc;

type Found = Vec<(Position, HomeEntry)>;

impl Home {
    /// The sync token of the home.
    pub fn token(&self, viewer: Viewer) -> String {
        Since::upto(self.contents.last()).token(&self.origin(), viewer)
    }

    /// The CTag of the home: it moves with every change of a calendar or of its members.
    pub fn ctag(&self) -> String {
        self.token(Viewer::Owner)
    }

    fn origin(&self) -> Origin {
        Origin {
            collection: self.id,
            epochs: self.head.epochs.clone(),
        }
    }

    /// What changed in the home since `token` was made, oldest change first; without a token all of
    /// it. At most `limit` entries (a collection that became visible at once with all its objects is
    /// not divided), and a token that continues behind them.
    pub async fn changes(
        &self,
        token: Option<&str>,
        depth: Depth,
        limit: Option<usize>,
    ) -> Result<Result<HomeChanges, BadToken>, Error> {
        let last = self.contents.last();
        let since = match token {
            None => Since::initial(last),
            Some(token) => match Since::read(token, &self.origin(), last) {
                Ok(since) => since,
                Err(bad) => return Ok(Err(bad)),
            },
        };
        if since.known < self.contents.floor {
            return Ok(Err(BadToken::Old));
        }
        let mut found = self.gone(since);
        for collection in &self.contents.named {
            if collection.changed() <= since.walked {
                continue;
            }
            match depth {
                Depth::Members => {
                    let entry = HomeEntry::Collection(collection.clone());
                    found.push((collection.changed(), entry));
                }
                Depth::All => {
                    if let Err(bad) = self.deep(collection, since, &mut found).await? {
                        return Ok(Err(bad));
                    }
                }
            }
        }
        found.sort_by_key(|(at, _)| *at);
        Ok(Ok(self.page(since, found, limit)))
    }

    fn gone(&self, since: Since) -> Found {
        let gone = self.contents.gone.iter();
        let gone = gone.filter(|(_, at)| **at > since.walked && **at > since.known);
        gone.map(|(name, at)| (*at, HomeEntry::CollectionGone(name.clone())))
            .collect()
    }

    /// The changes of one collection and of its members.
    async fn deep(
        &self,
        collection: &Arc<Collection>,
        since: Since,
        found: &mut Found,
    ) -> Result<Result<(), BadToken>, Error> {
        let appeared = collection.visible > since.walked;
        if collection.kind == Kind::Outbox && appeared {
            // Its own report is not there: RFC 6578 §3.3.
            let entry = HomeEntry::NoSync(collection.clone());
            found.push((collection.row_changed, entry));
            return Ok(Ok(()));
        }
        if collection.row_changed > since.walked {
            let entry = HomeEntry::Collection(collection.clone());
            found.push((collection.row_changed, entry));
        }
        let members = self.members(collection).await?;
        // Its members came into sight with it, whenever they were written. Where it took the name of another that the
        // client may have been told of, also on a page of its first sync, nobody can say what was in that.
        let knew_other = appeared && collection.reused && collection.visible > since.known;
        if knew_other || (!appeared && members.floor > since.known) {
            return Ok(Err(BadToken::Old));
        }
        let from = if appeared {
            Position::START
        } else {
            since.walked
        };
        for (at, name, header) in members.since(from) {
            match header {
                Some(header) => {
                    let entry = HomeEntry::Object(collection.clone(), header);
                    found.push((at.max(collection.visible), entry));
                }
                None if appeared || at <= since.known => {}
                None => found.push((at, HomeEntry::ObjectGone(collection.clone(), name))),
            }
        }
        Ok(Ok(()))
    }

    fn page(&self, since: Since, found: Found, limit: Option<usize>) -> HomeChanges {
        let limit = limit.unwrap_or(usize::MAX).max(1);
        let mut entries = Vec::new();
        let mut walked = since.walked;
        for (at, entry) in found {
            if entries.len() >= limit && at != walked {
                return HomeChanges {
                    entries,
                    token: since.walked(walked).token(&self.origin(), Viewer::Owner),
                    truncated: true,
                };
            }
            entries.push(entry);
            walked = at;
        }
        HomeChanges {
            entries,
            token: self.token(Viewer::Owner),
            truncated: false,
        }
    }
}
