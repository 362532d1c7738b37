//! `check`: every rule of the store, and what is derived mended.

use serde_json::{Value, json};

use super::failure::{Code, Failure};
use super::output::Out;
use super::run::Ground;
use crate::ical::Timestamp;
use crate::store::{Repair, Report};

/// What was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// Whether to mend.
    pub(super) repair: bool,
    /// Whether to print JSON.
    pub(super) json: bool,
}

/// `check`.
pub(super) async fn run(
    asked: Asked,
    ground: &Ground,
    now: Timestamp,
    out: &Out,
) -> Result<(), Failure> {
    let repair = if asked.repair {
        Repair::At(now)
    } else {
        Repair::No
    };
    let report = ground.store.check(repair).await?;
    if asked.json {
        out.line(described(&report).to_string()).await;
    } else {
        for finding in &report.findings {
            out.line(finding.to_string()).await;
        }
        if report.more > 0 {
            out.line(format!("... and {} more", report.more)).await;
        }
        out.line(format!(
            "{} homes, {} collections, {} objects and {} older versions looked at: {}",
            report.homes,
            report.collections,
            report.objects,
            report.versions,
            verdict(&report)
        ))
        .await;
    }
    if report.is_mended() {
        Ok(())
    } else {
        Err(Failure::new(Code::Findings, ""))
    }
}

fn verdict(report: &Report) -> String {
    let mended = report
        .findings
        .iter()
        .filter(|finding| finding.repaired)
        .count() as u64;
    let all = report.findings.len() as u64 + report.more;
    match (all, all - mended) {
        (0, _) => "all is well.".to_owned(),
        (all, 0) => format!("{all} things mended."),
        (_, left) if mended > 0 => format!("{mended} things mended, {left} left."),
        (all, _) => format!("{all} things are wrong; `kalends check --repair` mends what it can."),
    }
}

fn described(report: &Report) -> Value {
    let findings: Vec<Value> = report
        .findings
        .iter()
        .map(|finding| {
            json!({
                "home": finding.home.map(|id| id.to_string()),
                "what": finding.what,
                "repaired": finding.repaired,
            })
        })
        .collect();
    json!({
        "homes": report.homes,
        "collections": report.collections,
        "objects": report.objects,
        "versions": report.versions,
        "findings": findings,
        "more": report.more,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Finding;

    #[test]
    fn the_verdict_counts_what_was_mended_and_what_was_not() {
        let finding = |repaired| Finding {
            home: None,
            what: "x".to_owned(),
            repaired,
        };
        for (findings, more, expected) in [
            (vec![], 0, "all is well."),
            (vec![finding(true)], 0, "1 things mended."),
            (
                vec![finding(true), finding(false)],
                0,
                "1 things mended, 1 left.",
            ),
            (
                vec![finding(false)],
                2,
                "3 things are wrong; `kalends check --repair` mends what it can.",
            ),
        ] {
            let report = Report {
                findings,
                more,
                ..Report::default()
            };
            assert_eq!(verdict(&report), expected);
        }
    }
}
