//! Answers one question a line: `start rule from to` to the instances at or after `from` and before
//! `to`, or `!` and a reason. Where `to` is the word `first` the answer is the first instance.

use std::io::{BufRead as _, Write as _};

use ical::recur::expand::IcalRecurExpand;
use ical::recur::{IcalRecurDateTime, IcalRecurRule};

fn main() {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("a line");
        let answer = answer(&line).unwrap_or_else(|error| format!("!{error}"));
        writeln!(out, "{answer}").expect("output");
        out.flush().expect("output");
    }
}

fn answer(line: &str) -> Result<String, String> {
    let fields: Vec<&str> = line.split(' ').collect();
    let [start, rule, from, to] = fields[..] else {
        return Err("four fields".to_owned());
    };
    let rule = IcalRecurRule::parse(rule).map_err(|error| format!("{error:?}"))?;
    let start = IcalRecurDateTime::parse(start).map_err(|error| format!("{error:?}"))?;
    let mut times = IcalRecurExpand::new(rule, start).map(text);
    if to == "first" {
        return Ok(times.next().unwrap_or_default());
    }
    let times = times
        .skip_while(|time| time.as_str() < from)
        .take_while(|time| time.as_str() < to);
    Ok(times.collect::<Vec<_>>().join(" "))
}

fn text(time: IcalRecurDateTime) -> String {
    format!(
        "{:04}{:02}{:02}T{:02}{:02}{:02}",
        time.year, time.month, time.day, time.hour, time.minute, time.second
    )
}
