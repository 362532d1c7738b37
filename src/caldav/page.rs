//! What a browser sees of a calendar: a short page that says what this is and how to use it.

use super::export::stored;
use crate::dav::{Context, Ending, Place, collection_href};
use crate::store::Collection;
use crate::xml::escape_html as escape;

/// Nothing is loaded and nothing is run; only the style in the page counts.
pub(super) const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// The page of a calendar.
pub(super) fn calendar(cx: &Context, place: &Place, collection: &Collection) -> String {
    let title = stored(collection, "{DAV:}displayname");
    let title = title.unwrap_or_else(|| collection.name.clone());
    let kinds: Vec<&str> = collection.settings.components.iter().map(words).collect();
    let href = collection_href(&cx.hrefs, &place.owner, &collection.name);
    let root = cx.hrefs.of(&[], Ending::Slash);
    let origin = format!("{}://{}", cx.request.scheme, cx.request.host);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\
         <style>body{{font:16px/1.5 sans-serif;max-width:40em;margin:2em auto;padding:0 1em}}\
         code{{word-break:break-all}}</style></head><body>\n\
         <h1>{title}</h1>\n\
         <p>A calendar of {owner}; objects in it: {count} ({kinds}).</p>\n\
         <p>A calendar program finds it under <code>{origin}{root}</code>; its own address is \
         <code>{origin}{href}</code>.</p>\n\
         <p><a href=\"{href}?export\">Download as one file</a></p>\n\
         </body></html>\n",
        title = escape(&title),
        owner = escape(&place.owner.display_name),
        count = collection.count,
        kinds = kinds.join(", "),
        origin = escape(&origin),
        root = escape(&root),
        href = escape(&href),
    )
}

fn words(component: crate::store::Component) -> &'static str {
    use crate::store::Component;
    match component {
        Component::Event => "events",
        Component::Todo => "to-dos",
        Component::Journal => "journal entries",
        Component::FreeBusy => "busy times",
        Component::Availability => "availability",
    }
}
