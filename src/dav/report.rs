//! REPORT: the body's root element names the row. RFC 3253 §3.6

use super::context::Context;
use super::error::Error;
use super::request::{Request, Response};
use crate::xml::Element;

/// Answers REPORT on what is there.
pub(super) async fn run(cx: &mut Context, request: &Request) -> Result<Response, Error> {
    let body = Element::parse(&request.body, &cx.shared.limits.xml)?;
    let row = cx.shared.tables.report(body.name(), cx.target.kind())?;
    cx.require(&cx.target, row.privilege)?;
    (row.run)(cx, &body).await
}
