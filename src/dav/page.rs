//! What a browser is shown where there is nothing to download: a short page that says what this
//! is and what to type into a calendar program.
//!
//! RFC 9110 §9.3.1. **Gaps**: calendars answer GET themselves.

use super::conditional::{Current, not_modified};
use super::context::Context;
use super::error::Error;
use super::live::media_type;
use super::request::{Request, Response};
use super::resource::{Resource, home_href, principal_href};
use crate::xml::escape_html;

/// Answers GET on the server's own structure and on homes.
pub(super) async fn run(cx: &mut Context, _: &Request) -> Result<Response, Error> {
    let viewer = &cx.viewer.principal;
    let mut lines = Vec::new();
    let title = match &cx.target {
        Resource::Principal(principal) => principal.display_name.clone(),
        Resource::Home(place) => {
            for collection in place.home.collections() {
                let resource = Resource::Collection(place.clone(), collection.clone());
                lines.push(link(&resource.href(&cx.hrefs), &collection.name));
            }
            format!("Calendars of {}", place.owner.display_name)
        }
        Resource::Collection(_, collection) => collection.name.clone(),
        _ => "Kalends".to_owned(),
    };
    lines.push(link(&home_href(&cx.hrefs, viewer), "your calendars"));
    lines.push(link(&principal_href(&cx.hrefs, viewer), "you"));
    let mut page =
        String::from("<!DOCTYPE html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>");
    page.push_str(&escape_html(&title));
    page.push_str("</title>\n<h1>");
    page.push_str(&escape_html(&title));
    page.push_str(
        "</h1>\n<p>This is a calendar server. Give its address and your name and password to a \
         calendar program (Apple Calendar, Thunderbird, DAVx5, Evolution, KDE).</p>\n<ul>\n",
    );
    for line in lines {
        page.push_str("<li>");
        page.push_str(&line);
        page.push('\n');
    }
    page.push_str("</ul>\n</html>\n");
    Ok(Response::status(200)
        .body("text/html; charset=utf-8", page)
        .with("Content-Security-Policy", "default-src 'none'")
        .with("Cache-Control", "no-store"))
}

/// Answers GET on a notification.
pub(super) async fn notification(cx: &mut Context, request: &Request) -> Result<Response, Error> {
    let Resource::Object(place, _, header) = &cx.target else {
        return Err(Error::Status(404, "There is nothing here."));
    };
    let answer = Response::status(304).with("ETag", header.etag());
    if not_modified(request, &Current::of(&cx.target)) {
        return Ok(answer);
    }
    let text = place.home.text(header).await?;
    let answer = Response {
        status: 200,
        ..answer
    };
    Ok(answer.body(media_type(&cx.target), text).uncoded())
}

fn link(href: &str, text: &str) -> String {
    format!(
        "<a href=\"{}\">{}</a>",
        escape_html(href),
        escape_html(text)
    )
}
