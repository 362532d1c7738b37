//! WebDAV without calendars: requests and responses, kinds of resource, conditions, privileges.
//!
//! RFC 4918, RFC 3744 §3. **Gaps**: LOCK and UNLOCK (class 2), the ACL method, BIND, SEARCH.

mod condition;
pub mod date;
mod kind;
mod path;
mod privilege;
mod request;

pub use condition::{Condition, Row};
pub use kind::{Kind, Kinds};
pub use path::{BadPath, Ending, Hrefs, Path};
pub use privilege::{Privilege, Privileges, Who, granted};
pub use request::{Coding, Headers, Request, Response};
