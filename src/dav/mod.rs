//! WebDAV without calendars: resources, conditions, properties, reports, methods.
//!
//! RFC 4918 (class 1 and 3), 3253 §3, 3744 (read), 4331, 5397, 5689, 5842 §3.1, 5995, 6578, 7240,
//! 8144. What is supported is a row in a table ([`TABLE`], and those of the modules above); this
//! module knows no calendar. A handler reads through its [`Context`] and stages what it changes.
//!
//! **Gaps**: LOCK and UNLOCK (class 2), the ACL method, BIND, SEARCH.

mod acl;
mod add_member;
mod condition;
pub mod conditional;
mod context;
pub mod date;
mod delete;
pub mod draft;
mod error;
mod expand;
mod fields;
pub mod if_header;
mod kind;
mod limits;
mod live;
pub mod mkcol;
pub mod multistatus;
mod options;
mod page;
mod path;
mod privilege;
mod propfind;
mod proppatch;
mod report;
mod request;
mod resolve;
mod resource;
mod rows;
mod search;
mod supported;
pub mod sync;
mod tables;
mod transfer;

pub use condition::{Condition, Row};
pub use context::{Caller, Context, Outside, Shared};
pub use error::{Detail, Error, Refusal};
pub use fields::{Depth, Overwrite, Return, destination, destination_of};
pub use kind::{Kind, Kinds};
pub use limits::Limits;
pub use live::media_type;
pub use path::{BadPath, Ending, Hrefs, Path, decode};
pub use privilege::{Privilege, Privileges, Who, granted};
pub use request::{Coding, Headers, Request, Response};
pub use resolve::home_of;
pub use resource::{Place, PrincipalSet, Resource, collection_href, home_href, principal_href};
pub use rows::TABLE;
pub use tables::{
    Answer, Boxed, Deviation, Draft, Entering, Found, Get, GetFn, Listed, Method, Mode, Needs,
    NewCollection, Property, Reading, Report, Rules, Set, SetFn, Table, Tables, Token, Transfer,
};
