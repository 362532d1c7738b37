//! `conformance`: the suite against a server that a target file names.

use std::io;

use super::args::Conformance;
use super::failure::{Code, Failure};
use crate::conform::{self, Options};

/// Runs the suite; failures of cases are findings, what makes a run impossible is wrong usage.
pub(super) async fn run(asked: Conformance) -> Result<u8, Failure> {
    let options = Options {
        cases: asked.cases,
        target: asked.target,
        only: asked.only,
        report: asked.report,
    };
    let work = move || conform::run(&options, &mut io::stdout(), &mut io::stderr());
    let totals = tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Failure::failed(error.to_string()))?
        .map_err(|error| Failure::new(Code::Usage, error.to_string()))?;
    if totals.good() {
        Ok(0)
    } else {
        Ok(Code::Findings as u8)
    }
}
