//! From a path to the resource it names, as far as the viewer may know.
//!
//! Another's home is [`Resource::Missing`] whether it is there or not, so that nothing tells the
//! two apart.

use super::context::Context;
use super::error::Error;
use super::fields::local_path;
use super::kind::Kind;
use super::path::Path;
use super::privilege::Privilege;
use super::resource::{CALENDARS, PRINCIPALS, Place, PrincipalSet, ROOT, Resource};
use crate::store::{Directory, Id, Principal};
use std::sync::Arc;

impl Context {
    /// The path in an href that a client sent; none where it is not one of this server's.
    pub fn path_of(&self, reference: &str) -> Option<Path> {
        local_path(reference, &self.request.host, &self.request.prefix)
    }

    /// What the path names.
    pub async fn resolve(&self, path: &Path) -> Result<Resource, Error> {
        let segments: Vec<&str> = path.segments().iter().map(String::as_str).collect();
        let rest = match segments.as_slice() {
            [] => return Ok(Resource::Root),
            [root, rest @ ..] if *root == ROOT => rest,
            _ => return Ok(Resource::Missing),
        };
        Ok(match rest {
            [] => Resource::Root,
            [first] if *first == PRINCIPALS => Resource::PrincipalRoot,
            [first] if *first == CALENDARS => Resource::HomeRoot,
            [first, set] if *first == PRINCIPALS => match principal_set(set) {
                Some(set) => Resource::PrincipalCollection(set),
                None => Resource::Missing,
            },
            [first, set, name] if *first == PRINCIPALS => {
                match principal(&self.directory, set, name) {
                    Some(principal) => Resource::Principal(principal.clone()),
                    None => Resource::Missing,
                }
            }
            [first, owner, below @ ..] if *first == CALENDARS => {
                self.in_home(owner, below, path.slash()).await?
            }
            _ => Resource::Missing,
        })
    }

    async fn in_home(&self, owner: &str, below: &[&str], slash: bool) -> Result<Resource, Error> {
        let Some(owner) = self.directory.by_name(owner) else {
            return Ok(Resource::Missing);
        };
        let own = owner.id == self.viewer.principal.id;
        if !own && !self.directory.may_keep(&self.viewer.principal, owner.id) {
            return Ok(Resource::Missing);
        }
        let home = self.home(owner.id).await?;
        if !home.exists() {
            return Ok(Resource::Missing);
        }
        let place = Place {
            owner: owner.clone(),
            home,
        };
        let (name, object) = match below {
            [] => return Ok(Resource::Home(place)),
            [name] => (*name, None),
            [name, object] if !slash => (*name, Some(*object)),
            _ => return Ok(Resource::Missing),
        };
        let Some(collection) = place.home.collection(name).cloned() else {
            return Ok(match object {
                None => Resource::FreeCalendar(place, name.to_owned()),
                Some(_) => Resource::Missing,
            });
        };
        let Some(object) = object else {
            return Ok(Resource::Collection(place, collection));
        };
        Ok(match place.home.header(&collection, object).await? {
            Some(header) => Resource::Object(place, collection, header),
            None => Resource::FreeObject(place, collection, object.to_owned()),
        })
    }

    /// What the href names if the viewer may read it.
    pub async fn readable(&self, reference: &str) -> Result<Option<Resource>, Error> {
        let Some(path) = self.path_of(reference) else {
            return Ok(None);
        };
        let resource = self.resolve(&path).await?;
        let readable = self.privileges(&resource).contains(Privilege::Read);
        Ok(Some(resource).filter(|r| readable && r.kind() != Kind::Missing))
    }
}

/// The collection of principals of this name.
fn principal_set(segment: &str) -> Option<PrincipalSet> {
    let mut sets = PrincipalSet::ALL.into_iter();
    sets.find(|set| set.segment() == segment)
}

fn principal<'a>(directory: &'a Directory, set: &str, name: &str) -> Option<&'a Arc<Principal>> {
    let set = principal_set(set)?;
    let principal = directory.by_name(name)?;
    (PrincipalSet::of(principal.kind) == set).then_some(principal)
}

/// The homes that a request to this path may change, for its turn: nobody's where the path is
/// in no home.
pub fn home_of(directory: &Directory, path: &Path) -> Option<Id> {
    match path.segments() {
        [root, first, owner, ..] if root == ROOT && first == CALENDARS => {
            directory.by_name(owner).map(|owner| owner.id)
        }
        _ => None,
    }
}
