//! What mails and pages say, in every language: catalogues as files that a translator can add to.
//!
//! A catalogue is `XX.words` beside this file, XX being the language's code: lines of `key = text`, as
//! the head of `en.words` describes. A new one is that file and a line in [`CATALOGUES`]; a test compares
//! its keys and what is filled in with the English ones.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::ical::{Date, LocalTime, Timestamp, Weekday};
use crate::recur::Zone;

/// The languages, each with its catalogue.
const CATALOGUES: &[(&str, &str)] = &[
    ("en", include_str!("en.words")),
    ("de", include_str!("de.words")),
    ("fr", include_str!("fr.words")),
    ("es", include_str!("es.words")),
    ("it", include_str!("it.words")),
    ("nl", include_str!("nl.words")),
    ("pl", include_str!("pl.words")),
    ("pt", include_str!("pt.words")),
    ("ja", include_str!("ja.words")),
    ("zh", include_str!("zh.words")),
];

static ALL: LazyLock<Vec<Words>> = LazyLock::new(|| {
    let read = |(code, text): &(&'static str, &'static str)| Words::read(code, text);
    CATALOGUES.iter().map(read).collect()
});

/// One language's words.
#[derive(Debug)]
pub struct Words {
    code: &'static str,
    texts: BTreeMap<&'static str, &'static str>,
}

impl Words {
    /// The words for a locale such as `de`, `de-AT` or `de_AT.UTF-8`; none if nobody wrote them yet.
    #[must_use]
    pub fn of(locale: &str) -> Option<&'static Words> {
        let code = locale.split(['-', '_', '.']).next().unwrap_or_default();
        ALL.iter()
            .find(|words| words.code.eq_ignore_ascii_case(code.trim()))
    }

    /// The words for the first locale that has some, else English.
    #[must_use]
    pub fn first<'a>(locales: impl IntoIterator<Item = &'a str>) -> &'static Words {
        let found = locales.into_iter().find_map(Words::of);
        found.unwrap_or_else(Words::english)
    }

    /// The English words.
    #[must_use]
    pub fn english() -> &'static Words {
        static NONE: Words = Words {
            code: "en",
            texts: BTreeMap::new(),
        };
        ALL.first().unwrap_or(&NONE)
    }

    /// The languages there are, by code.
    pub fn codes() -> impl Iterator<Item = &'static str> {
        CATALOGUES.iter().map(|(code, _)| *code)
    }

    fn read(code: &'static str, text: &'static str) -> Words {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let pair = |line: &'static str| {
            let (key, text) = line.split_once('=')?;
            Some((key.trim(), text.trim()))
        };
        Words {
            code,
            texts: lines.filter_map(pair).collect(),
        }
    }

    /// The language's code, for `lang` and Content-Language.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// The text of a key as it is; empty for a key that does not exist, which a test excludes.
    #[must_use]
    pub fn text(&self, key: &str) -> &'static str {
        self.texts.get(key).copied().unwrap_or_default()
    }

    /// The text of a key with its places filled in.
    #[must_use]
    pub fn say(&self, key: &str, places: &[(&str, &str)]) -> String {
        let mut said = String::new();
        let mut rest = self.text(key);
        while let Some((before, after)) = rest.split_once('{') {
            let (name, tail) = after.split_once('}').unwrap_or((after, ""));
            said.push_str(before);
            let filled = places.iter().find(|(place, _)| *place == name);
            said.push_str(filled.map_or("", |(_, text)| text));
            rest = tail;
        }
        said.push_str(rest);
        said
    }

    /// The same for a number, which is filled in as `{n}` and decides between the forms.
    #[must_use]
    pub fn count(&self, key: &str, n: u32, places: &[(&str, &str)]) -> String {
        let is_few = (2..=4).contains(&(n % 10)) && !(12..=14).contains(&(n % 100));
        let form = match n {
            1 => format!("{key}.one"),
            _ if is_few => format!("{key}.few"),
            _ => key.to_owned(),
        };
        let key = match self.texts.contains_key(form.as_str()) {
            true => form.as_str(),
            false => key,
        };
        let number = n.to_string();
        let mut all = vec![("n", number.as_str())];
        all.extend_from_slice(places);
        self.say(key, &all)
    }

    /// The item of a list, counted from 0.
    #[must_use]
    pub fn item(&self, key: &str, place: usize) -> &'static str {
        let items = self.text(key).split('|').nth(place);
        items.unwrap_or_default().trim()
    }

    /// The items joined as the language enumerates.
    #[must_use]
    pub fn list(&self, items: &[String]) -> String {
        let Some((first, rest)) = items.split_first() else {
            return String::new();
        };
        let mut list = first.clone();
        for (place, item) in rest.iter().enumerate() {
            let key = match place + 1 == rest.len() {
                true => "list.last",
                false => "list.between",
            };
            list = self.say(key, &[("list", &list), ("item", item)]);
        }
        list
    }

    /// At most so many of the items joined, and how many there are more.
    #[must_use]
    pub fn short_list(&self, items: &[String], most: usize) -> String {
        let Some(more) = items.len().checked_sub(most).filter(|more| *more > 0) else {
            return self.list(items);
        };
        let mut list = String::new();
        for item in items.iter().take(most) {
            list = match list.is_empty() {
                true => item.clone(),
                false => self.say("list.between", &[("list", &list), ("item", item)]),
            };
        }
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        self.count("list.more", more, &[("list", &list)])
    }

    /// The name of a day of the week, from this list.
    #[must_use]
    pub fn weekday(&self, key: &str, day: Weekday) -> &'static str {
        self.item(key, usize::try_from(day.number()).unwrap_or(0))
    }

    /// The name of a month, 1 to 12, from this list.
    #[must_use]
    pub fn month(&self, key: &str, month: u8) -> &'static str {
        self.item(key, usize::from(month.saturating_sub(1)))
    }

    /// A date with its weekday and year.
    #[must_use]
    pub fn date(&self, date: Date) -> String {
        self.fill_date("date", date)
    }

    /// A day of the year, without the year.
    #[must_use]
    pub fn day_of_year(&self, date: Date) -> String {
        self.fill_date("date.day", date)
    }

    /// The number of a day of a month.
    #[must_use]
    pub fn day(&self, day: i16) -> String {
        match day {
            1 => self.text("date.first").to_owned(),
            day => day.to_string(),
        }
    }

    fn fill_date(&self, key: &str, date: Date) -> String {
        let (day, year) = (self.day(date.day().into()), date.year().to_string());
        let weekday = self.weekday("weekdays", date.weekday());
        let month = self.month("months", date.month());
        let places = [
            ("weekday", weekday),
            ("day", &day),
            ("month", month),
            ("year", &year),
        ];
        self.say(key, &places)
    }

    /// A time of day.
    #[must_use]
    pub fn time(&self, time: LocalTime) -> String {
        let hour12 = match time.hour() % 12 {
            0 => 12,
            hour => hour,
        };
        let half = self.item("halves", usize::from(time.hour() / 12));
        let minute = format!("{:02}", time.minute());
        let places = [
            ("hour", format!("{:02}", time.hour())),
            ("hour12", hour12.to_string()),
            ("minute", minute),
            ("half", half.to_owned()),
        ];
        self.say("time", &places.each_ref().map(|(k, v)| (*k, v.as_str())))
    }

    /// A day and a time of it.
    #[must_use]
    pub fn date_time(&self, at: LocalTime) -> String {
        let (date, time) = (self.date(at.date()), self.time(at));
        self.say("time.at", &[("date", &date), ("time", &time)])
    }

    /// A zone by its name and what it differs from UTC at a time: the same name means two things in
    /// summer and winter.
    #[must_use]
    pub fn zone(&self, zone: &Zone, at: Timestamp) -> String {
        let minutes = zone.offset(at) / 60;
        let sign = if minutes < 0 { '-' } else { '+' };
        let (hours, rest) = (minutes.abs() / 60, minutes.abs() % 60);
        let offset = match (hours, rest) {
            (0, 0) => "UTC".to_owned(),
            (hours, 0) => format!("UTC{sign}{hours}"),
            (hours, rest) => format!("UTC{sign}{hours}:{rest:02}"),
        };
        match zone.id() {
            "UTC" | "Etc/UTC" => offset,
            id => format!("{id}, {offset}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names in braces, sorted.
    fn places(text: &str) -> Vec<&str> {
        let rest = text.split('{').skip(1);
        let mut found: Vec<_> = rest.filter_map(|part| part.split('}').next()).collect();
        found.sort_unstable();
        found
    }

    #[test]
    fn every_catalogue_has_the_keys_and_places_of_the_english_one() {
        let english = Words::english();
        for words in ALL.iter() {
            let code = words.code;
            let forms = |key: &&str| key.ends_with(".one") || key.ends_with(".few");
            for (key, text) in english.texts.iter().filter(|(key, _)| !forms(key)) {
                let Some(own) = words.texts.get(key) else {
                    panic!("{code}.words lacks {key}");
                };
                assert!(!own.is_empty(), "{code}.words: {key} is empty");
                let same = match *key {
                    "time" => places(own)
                        .iter()
                        .all(|p| ["hour", "hour12", "minute", "half"].contains(p)),
                    "date" | "date.day" => places(own).len() >= places("{day}{month}").len(),
                    _ => places(own) == places(text),
                };
                assert!(same, "{code}.words: {key} fills in something else");
                let (ours, theirs) = (own.matches('|').count(), text.matches('|').count());
                assert_eq!(ours, theirs, "{code}.words: {key} has another length");
            }
            for key in words.texts.keys() {
                let plain = key.strip_suffix(".few").or(key.strip_suffix(".one"));
                let plain = plain.unwrap_or(key);
                assert!(
                    english.texts.contains_key(plain),
                    "{code}.words: nobody says {key}"
                );
            }
        }
    }

    #[test]
    fn no_catalogue_says_a_key_twice() {
        for (code, text) in CATALOGUES {
            let keys = text.lines().filter(|line| !line.starts_with('#'));
            let keys: Vec<_> = keys.filter_map(|line| line.split_once(" =")).collect();
            let words = Words::of(code).unwrap();
            assert_eq!(keys.len(), words.texts.len(), "{code}.words");
        }
    }

    #[test]
    fn a_locale_finds_its_language() {
        for (locale, code) in [
            ("de", "de"),
            ("de-AT", "de"),
            ("pt_BR.UTF-8", "pt"),
            ("EN-us", "en"),
        ] {
            assert_eq!(Words::of(locale).map(Words::code), Some(code));
        }
        assert!(Words::of("tlh").is_none());
        assert_eq!(Words::first(["tlh", "", "fr-CA"]).code(), "fr");
        assert_eq!(Words::first([]).code(), "en");
    }

    #[test]
    fn numbers_choose_their_form() {
        let polish = Words::of("pl").unwrap();
        let weeks = |n| polish.count("rule.weekly.n", n, &[("days", "w środy")]);
        assert_eq!(weeks(2), "co 2 tygodnie w środy");
        assert_eq!(weeks(5), "co 5 tygodni w środy");
        assert_eq!(weeks(13), "co 13 tygodni w środy");
        assert_eq!(weeks(22), "co 22 tygodnie w środy");
        let times = |code, n| {
            let words = Words::of(code).unwrap();
            words.count("rule.count", n, &[("rule", "x")])
        };
        assert_eq!(
            (times("pl", 1), times("pl", 2)),
            ("x, jeden raz".into(), "x, 2 razy".into())
        );
        assert_eq!(
            (times("en", 1), times("en", 2)),
            ("x, once".into(), "x, 2 times".into())
        );
    }

    #[test]
    fn lists_and_times_are_the_languages_own() {
        let words = Words::english();
        let items = ["a", "b", "c", "d"].map(str::to_owned);
        assert_eq!(words.list(&items), "a, b, c and d");
        assert_eq!(words.list(&items[..1]), "a");
        assert_eq!(words.short_list(&items, 2), "a, b and 2 more");
        assert_eq!(words.short_list(&items, 4), "a, b, c and d");
        let at = LocalTime::parse("20261124T000500").unwrap();
        assert_eq!(words.date_time(at), "Tuesday, 24 November 2026, 12:05 am");
        let german = Words::of("de").unwrap();
        assert_eq!(
            german.date_time(at),
            "Dienstag, 24. November 2026, 00:05 Uhr"
        );
        let first = LocalTime::parse("20270401T090000").unwrap();
        let date = |code| Words::of(code).unwrap().date(first.date());
        assert_eq!(date("fr"), "jeudi 1er avril 2027");
        assert_eq!(date("pt"), "quinta-feira, 1º de abril de 2027");
        let vienna = Zone::named("Europe/Vienna").unwrap();
        assert_eq!(words.zone(&vienna, at.as_utc()), "Europe/Vienna, UTC+1");
        assert_eq!(words.zone(&Zone::utc(), at.as_utc()), "UTC");
    }
}
