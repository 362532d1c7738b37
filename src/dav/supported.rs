//! Properties that say what a resource supports, read from the tables. RFC 3253 §3.1

use super::kind::Kinds;
use super::tables::{Found, Get, Listed, Needs, Property, Reading, Set};
use crate::xml::{Name, Writer};

const fn row(name: Name<'static>, spec: &'static str, get: super::tables::GetFn) -> Property {
    Property {
        name,
        spec,
        on: Kinds::EXISTING,
        allprop: Listed::OnRequest,
        needs: Needs::Row,
        get: Get::Content(get),
        set: Set::Protected,
    }
}

/// The rows.
pub(super) const PROPERTIES: &[Property] = &[
    row(
        Name::dav("supported-method-set"),
        "RFC 3253 §3.1.3",
        supported_method_set,
    ),
    row(
        Name::dav("supported-live-property-set"),
        "RFC 3253 §3.1.4",
        supported_live_property_set,
    ),
    row(
        Name::dav("supported-report-set"),
        "RFC 3253 §3.1.5",
        supported_report_set,
    ),
];

fn supported_method_set(r: &Reading<'_>, w: &mut Writer) -> Found {
    for name in r.cx.shared.tables.methods(r.resource.kind()) {
        w.open_with(Name::dav("supported-method"), &[("name", name)]);
        w.close(Name::dav("supported-method"));
    }
    Found::Yes
}

fn supported_live_property_set(r: &Reading<'_>, w: &mut Writer) -> Found {
    let rows = r.cx.shared.tables.properties(r.resource.kind());
    // What is made of the text is asked for in reports only: CALDAV:calendar-data is no property.
    for row in rows.filter(|row| row.needs == Needs::Row) {
        w.raw("<D:supported-live-property><D:prop>");
        w.empty(row.name);
        w.raw("</D:prop></D:supported-live-property>");
    }
    Found::Yes
}

fn supported_report_set(r: &Reading<'_>, w: &mut Writer) -> Found {
    for row in r.cx.shared.tables.reports(r.resource.kind()) {
        w.raw("<D:supported-report><D:report>");
        w.empty(row.name);
        w.raw("</D:report></D:supported-report>");
    }
    Found::Yes
}
