//! Objects compiled by `recur`, as far as questions about instances asked for them lately: a query
//! that comes again, or another of the same calendar, reads no text.
//!
//! Texts are immutable, so what is kept never becomes wrong.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::header::Header;
use super::home::Home;
use super::{Error, Id, Position};
use crate::ical::{Component, Limits, parse};
use crate::recur::{Compiled, compile};

/// What one entry takes besides the compiled object.
const OVERHEAD: usize = 128;

/// Texts that are read at once.
const BATCH: usize = 256;

/// Compiled objects under a budget of bytes.
#[derive(Debug)]
pub(super) struct CompiledObjects {
    kept: Mutex<Kept>,
    budget: usize,
}

#[derive(Debug, Default)]
struct Kept {
    objects: HashMap<(Id, Position), Entry>,
    bytes: usize,
    clock: u64,
}

#[derive(Debug)]
struct Entry {
    compiled: Arc<Compiled>,
    size: usize,
    used: u64,
}

impl CompiledObjects {
    pub(super) fn new(budget: usize) -> Self {
        Self {
            kept: Mutex::default(),
            budget,
        }
    }

    fn find(&self, headers: &[Header]) -> Vec<Option<Arc<Compiled>>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clock += 1;
        let now = kept.clock;
        let mut find = |header: &Header| {
            let entry = kept.objects.get_mut(&(header.collection, header.text))?;
            entry.used = now;
            Some(entry.compiled.clone())
        };
        headers.iter().map(&mut find).collect()
    }

    fn keep(&self, header: &Header, compiled: &Arc<Compiled>) {
        let size = compiled.size() + OVERHEAD;
        if size > self.budget / 16 {
            return;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = Entry {
            compiled: compiled.clone(),
            size,
            used: kept.clock,
        };
        let before = kept.objects.insert((header.collection, header.text), entry);
        kept.bytes += size;
        kept.bytes -= before.map_or(0, |entry| entry.size);
        if kept.bytes > self.budget {
            kept.halve();
        }
    }
}

impl Kept {
    /// Drops the half that was not used for the longest time.
    fn halve(&mut self) {
        let mut uses: Vec<u64> = self.objects.values().map(|entry| entry.used).collect();
        let middle = uses.len() / 2;
        if uses.is_empty() {
            return;
        }
        let (_, median, _) = uses.select_nth_unstable(middle);
        let median = *median;
        self.objects.retain(|_, entry| entry.used > median);
        self.bytes = self.objects.values().map(|entry| entry.size).sum();
    }
}

impl Home {
    /// The compiled object of a header, if a question has asked for it lately.
    pub fn compiled_already(&self, header: &Header) -> Option<Arc<Compiled>> {
        let found = self.shared.compiled.find(std::slice::from_ref(header));
        found.into_iter().next().flatten()
    }

    /// The compiled objects of many headers, in their order. A text that holds no calendar is
    /// compiled as an empty one.
    pub async fn compiled(&self, headers: &[Header]) -> Result<Vec<Arc<Compiled>>, Error> {
        let cache = &self.shared.compiled;
        let mut found = cache.find(headers);
        let missing: Vec<usize> = (0..found.len())
            .filter(|at| found.get(*at).is_some_and(Option::is_none))
            .collect();
        for batch in missing.chunks(BATCH) {
            let wanted: Vec<Header> = batch
                .iter()
                .filter_map(|at| headers.get(*at))
                .cloned()
                .collect();
            let texts = self.texts(&wanted).await?;
            for ((at, header), text) in batch.iter().zip(&wanted).zip(texts) {
                let compiled = Arc::new(compile_text(&text));
                cache.keep(header, &compiled);
                if let Some(slot) = found.get_mut(*at) {
                    *slot = Some(compiled);
                }
            }
        }
        Ok(found.into_iter().flatten().collect())
    }
}

fn compile_text(text: &[u8]) -> Compiled {
    let calendars = parse(text, &Limits::default()).calendars;
    match calendars.into_iter().next() {
        Some(calendar) => compile(&calendar),
        None => compile(&Component::new("VCALENDAR")),
    }
}
