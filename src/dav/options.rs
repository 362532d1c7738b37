//! OPTIONS: what is there, as the tables say it. RFC 9110 §9.3.7, RFC 4918 §10.1

use super::context::Context;
use super::error::Error;
use super::request::{Request, Response};

/// Answers OPTIONS.
pub(super) async fn run(cx: &mut Context, _: &Request) -> Result<Response, Error> {
    let tables = &cx.shared.tables;
    Ok(Response::status(200)
        .with("DAV", tables.dav())
        .with("Allow", tables.allow(cx.target.kind())))
}
