//! The loop of a request: who asks, what of, may they, do it, commit, answer.
//!
//! A request that may change homes waits for their turn and decides on the views it gets with
//! it. Where the commit meets a conflict the attempt is dropped and made again; the handler acts
//! on its context only, so nothing has happened.

use super::{methods, respond, route};
use crate::auth::{Auth, Presented};
use crate::caldav;
use crate::dav::{
    self, Caller, Context, Ending, Headers, Hrefs, Mode, Outside, Request, Resource, Response,
    Return, Shared, Table, Tables,
};
use crate::ical::Timestamp;
use crate::schedule;
use crate::store::{self, Actor, Change, Store};
use crate::web::Pages;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};

/// What answers requests.
pub struct Server {
    /// What handlers see of it.
    pub shared: Arc<Shared>,
    /// Who may come in.
    pub auth: Arc<Auth>,
    /// What the challenge calls the server.
    pub realm: String,
    /// The pages on which guests answer, where there are some.
    pub pages: OnceLock<Pages>,
}

/// The rows of all modules.
static ROWS: [&Table; 3] = [&dav::TABLE, &schedule::TABLE, &caldav::TABLE];

impl Server {
    /// A server over this store that reaches nobody but its own people.
    pub fn new(
        store: Arc<Store>,
        auth: Arc<Auth>,
        limits: dav::Limits,
        realm: &str,
    ) -> Arc<Server> {
        Server::reaching(store, auth, limits, realm, Outside::Unreachable)
    }

    /// A server over this store that reaches people of other servers in this way.
    pub fn reaching(
        store: Arc<Store>,
        auth: Arc<Auth>,
        limits: dav::Limits,
        realm: &str,
        outside: Outside,
    ) -> Arc<Server> {
        Server::over(shared(store, limits, outside), auth, realm)
    }

    /// A server over these parts.
    pub fn over(shared: Arc<Shared>, auth: Arc<Auth>, realm: &str) -> Arc<Server> {
        Arc::new(Server {
            shared,
            auth,
            realm: realm.to_owned(),
            pages: OnceLock::new(),
        })
    }
}

/// What handlers share, over this store, with the rows of all modules.
pub fn shared(store: Arc<Store>, limits: dav::Limits, outside: Outside) -> Arc<Shared> {
    Arc::new(Shared {
        store,
        tables: Tables::join(&ROWS),
        limits,
        outside,
        queued: tokio::sync::Notify::new(),
        to_mail: tokio::sync::Notify::new(),
        mail_now: tokio::sync::Notify::new(),
        free_bytes: AtomicU64::new(u64::MAX),
    })
}

/// Answers a request that came at this time.
pub async fn answer(server: &Server, request: Request, now: Timestamp) -> Response {
    if let Some(response) = route::open(&request) {
        return response;
    }
    if let Some(pages) = server.pages.get()
        && let Some(response) = pages.answer(&request, now).await
    {
        return response;
    }
    let presented = Presented {
        authorization: request.headers.get("Authorization"),
        address: request.peer,
        confidential: request.secure,
    };
    let caller = match server.auth.authenticate(presented, now).await {
        Ok(who) => Caller {
            client: client(&request, who.client),
            principal: who.principal,
        },
        Err(denied) => return respond::denied(&denied, &server.realm, &request),
    };
    let request = Arc::new(request);
    store::again(|| attempt(server, &caller, &request, now))
        .await
        .unwrap_or_else(|error| respond::error(error, &request))
}

/// What history shows as the client: the app password's label, else the program's name.
fn client(request: &Request, label: Option<String>) -> String {
    let agent = || request.headers.get("User-Agent").unwrap_or_default();
    label.unwrap_or_else(|| agent().chars().take(100).collect())
}

async fn attempt(
    server: &Server,
    caller: &Caller,
    request: &Arc<Request>,
    now: Timestamp,
) -> Result<Response, dav::Error> {
    let mut cx = context(&server.shared, caller, request, now).await?;
    let method = match request.method.as_str() {
        "HEAD" => "GET",
        other => other,
    };
    let row = match methods::find(&cx, method) {
        Ok(row) => row,
        Err(response) => return Ok(response),
    };
    if let Some(privilege) = row.privilege {
        cx.require(&cx.target, privilege)?;
    }
    dav::if_header::check(&cx).await?;
    if row.mode == Mode::Writes || method == "GET" {
        let current = dav::conditional::Current::of(&cx.target);
        if let Err(failed) = dav::conditional::check(request, &current) {
            return present(&mut cx, request).await.unwrap_or(Err(failed));
        }
    }
    let response = (row.run)(&mut cx, request).await?;
    if let Some(turn) = cx.turn.take().filter(|_| response.status < 400)
        && !cx.change.is_empty()
    {
        let receipt = server.shared.store.commit(cx.change, turn).await?;
        schedule::deliver(&server.shared, &receipt, now).await;
    }
    Ok(response)
}

/// What a PUT that came too late would have replaced, for who prefers to be told. RFC 8144 §3.2
async fn present(cx: &mut Context, request: &Request) -> Option<Result<Response, dav::Error>> {
    let preference = Return::of(&request.headers);
    if request.method != "PUT" || preference != Return::Representation {
        return None;
    }
    let row = cx.shared.tables.method("GET", cx.target.kind())?;
    let plain = Request {
        headers: Headers::default(),
        ..request.clone()
    };
    let location = cx.hrefs.own(&request.path, Ending::Nothing);
    let response = (row.run)(cx, &plain).await;
    Some(response.map(|response| {
        Response {
            status: 412,
            ..response
        }
        .with("Content-Location", location)
        .with("Preference-Applied", "return=representation")
    }))
}

/// The context of one attempt, in the turn of the homes it may change.
async fn context(
    shared: &Arc<Shared>,
    caller: &Caller,
    request: &Arc<Request>,
    now: Timestamp,
) -> Result<Context, dav::Error> {
    let mut directory = shared.store.directory().await?;
    let writes = route::writes(&shared.tables, &directory, &caller.principal, request);
    let turn = match writes.is_empty() {
        true => None,
        false => Some(shared.store.turn(&writes).await?),
    };
    if let Some(newest) = turn.as_ref().and_then(|turn| turn.directory()) {
        directory = newest.clone();
    }
    let actor = Actor {
        principal: Some(caller.principal.id),
        client: caller.client.clone(),
    };
    let mut cx = Context {
        shared: shared.clone(),
        request: request.clone(),
        now,
        viewer: caller.clone(),
        directory,
        hrefs: Hrefs::like(&request.prefix, &request.path),
        target: Resource::Missing,
        change: Change::new(now, actor, request.method.as_str()),
        turn,
        writes,
    };
    cx.target = cx.resolve(&request.path).await?;
    Ok(cx)
}
