//! Calendar objects: whatever is read, its instances, alarms, busy time and summary agree and cost
//! no more than allowed.

use std::ops::ControlFlow;

use kalends::ical::{self, Timestamp};
use kalends::recur::{self, Limits, Query, Range, Summary, Verdict, Zone};

/// Checks one input.
pub(crate) fn check(data: &[u8]) {
    let limits = Limits {
        instances: 500,
        work: 50_000,
    };
    let zone = Zone::named("America/New_York").unwrap_or_else(Zone::utc);
    let parsed = ical::parse(data, &ical::Limits::default());
    for calendar in parsed.calendars.iter().take(4) {
        let object = recur::compile(calendar);
        let summary = object.summary(calendar);
        let bytes = summary.encode();
        assert_eq!(Summary::decode(&bytes).as_ref(), Some(&summary));
        for range in ranges() {
            let found = object.instances(range, &zone, &limits);
            if let Ok(found) = &found {
                for instance in found {
                    assert!(instance.extent.overlaps(&range));
                }
                match summary.verdict(&range, &zone) {
                    Verdict::No => assert!(found.is_empty(), "{summary:?} {range:?}"),
                    Verdict::Yes => assert!(!found.is_empty(), "{summary:?} {range:?}"),
                    Verdict::Maybe => {}
                }
            }
            if let Ok(overlaps) = object.overlaps(range, &zone, &limits) {
                assert!(found.is_err() || overlaps == found.is_ok_and(|it| !it.is_empty()));
            }
            if let Ok(periods) = recur::busy(&object, range, &zone, &limits) {
                for period in periods {
                    assert!(range.start <= period.start && period.start < period.end);
                }
            }
            let query = Query {
                range,
                floating: &zone,
                component: None,
            };
            let mut rings = 0;
            let _ = object.visit_alarms(&query, &limits, &mut |time| {
                assert!(range.contains(time.at) && summary.may_alarm(&range, &zone));
                rings += 1;
                if rings < 100 {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            });
        }
        let _ = object.count(&limits);
    }
}

fn ranges() -> impl Iterator<Item = Range> {
    let texts = [
        ("20260101T000000Z", "20260201T000000Z"),
        ("20260329T000000Z", "20260330T000000Z"),
        ("19970901T000000Z", "19980101T000000Z"),
        ("20600101T000000Z", "20610101T000000Z"),
    ];
    let instant = |text| Timestamp::parse(text).unwrap_or(Timestamp(0));
    let known = texts.map(|(start, end)| (instant(start), instant(end)));
    let open = [
        (Timestamp::MIN, instant("19700101T000000Z")),
        (instant("20260101T000000Z"), Timestamp::MAX),
    ];
    known
        .into_iter()
        .chain(open)
        .filter_map(|(start, end)| Range::new(start, end))
}
