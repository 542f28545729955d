//! `schedule:`.

use super::Reader;
use crate::code;
use crate::definition::InputDef;
use crate::input::{Given, coerce};
use crate::node::{Entry, Name, Node, NodeKind};
use crate::schedule::{
    CATCH_UP_DEFAULT, Calendar, CronError, Declared, EVERY_MIN, Overlap, Rhythm, Rule, Timing, TimingError, Zone,
};
use crate::source::Span;
use crate::suggest;
use darkroom_proto::{Duration, Map, ScheduleId, Timestamp};

pub(crate) const SCHEDULE_KEYS: &[&str] =
    &["cron", "every", "timezone", "overlap", "jitter", "start", "end", "catch-up", "inputs", "id", "paused"];
const SYNONYMS: &[(&str, &str)] = &[
    ("interval", "every"),
    ("rate", "every"),
    ("tz", "timezone"),
    ("time-zone", "timezone"),
    ("concurrency", "overlap"),
    ("catchup", "catch-up"),
    ("from", "start"),
    ("until", "end"),
    ("with", "inputs"),
    ("name", "id"),
];

/// The most schedules of one workflow.
const SCHEDULES_MAX: usize = 100;

/// The keys of one schedule, as they stand in the file.
#[derive(Default)]
struct Written<'a> {
    rhythm: Option<(&'a Node, Option<Rhythm>)>,
    timezone: Option<&'a Node>,
    overlap: Overlap,
    jitter: Option<(&'a Node, Duration)>,
    start: Option<&'a Node>,
    end: Option<&'a Node>,
    catch_up: Option<Duration>,
    inputs: &'a [Entry],
    id: Option<&'a Node>,
    paused: bool,
}

impl Reader<'_> {
    /// The schedules of a workflow. It has been read already, so that what they give its runs can be checked.
    pub(super) fn schedules(
        &mut self,
        key: &Name,
        value: &Node,
        workflow: &str,
        inputs: &[InputDef<'_>],
    ) -> Vec<Declared> {
        let one = std::slice::from_ref(value);
        let items = match &value.kind {
            NodeKind::List(items) => items.as_slice(),
            _ => one,
        };
        if items.len() > SCHEDULES_MAX {
            let help = format!("a workflow has at most {SCHEDULES_MAX}");
            self.error(code::OUT_OF_RANGE, key.span, format!("there are {} schedules", items.len()), "", help);
            return Vec::new();
        }
        let mut declared: Vec<Declared> = Vec::new();
        for (at, item) in items.iter().enumerate() {
            let named = match at {
                0 => workflow.to_owned(),
                _ => format!("{workflow}-{}", at + 1),
            };
            let Some(schedule) = self.schedule(key, item, &named, inputs) else { continue };
            if declared.iter().any(|other| other.id == schedule.id) {
                let message = format!("two schedules are called `{}`", schedule.id);
                self.error(code::DUPLICATE_ID, item.span, message, "", "give one of them another `id`");
            }
            declared.push(schedule);
        }
        declared
    }

    fn schedule(&mut self, key: &Name, item: &Node, named: &str, inputs: &[InputDef<'_>]) -> Option<Declared> {
        let mut written = Written::default();
        for Entry { key, value } in self.map(key, item) {
            match key.text.as_str() {
                "cron" | "every" => {
                    let rhythm = match key.text.as_str() {
                        "cron" => self.cron(key, value),
                        _ => self.every(key, value),
                    };
                    if written.rhythm.is_some() {
                        let help = "write two schedules, or remove one of them";
                        self.error(code::CONFLICT, key.span, "`cron` and `every` exclude each other", "", help);
                    }
                    written.rhythm = Some((value, rhythm));
                }
                "timezone" => written.timezone = Some(value),
                "overlap" => {
                    let words = Overlap::ALL.map(Overlap::name);
                    let word = self.word(key, value, &words);
                    let overlap = Overlap::ALL.into_iter().find(|overlap| Some(overlap.name()) == word);
                    written.overlap = overlap.unwrap_or_default();
                }
                "jitter" => written.jitter = self.duration(key, value).map(|jitter| (value, jitter)),
                "start" => written.start = Some(value),
                "end" => written.end = Some(value),
                "catch-up" => written.catch_up = self.duration(key, value),
                "inputs" => written.inputs = self.map(key, value),
                "id" => written.id = Some(value),
                "paused" => written.paused = self.boolean(key, value).unwrap_or_default(),
                _ => self.unknown_key(key, SCHEDULE_KEYS, SYNONYMS, "`schedule`"),
            }
        }
        self.declared(item, written, named, inputs)
    }

    fn declared(
        &mut self,
        item: &Node,
        written: Written<'_>,
        named: &str,
        inputs: &[InputDef<'_>],
    ) -> Option<Declared> {
        let (timezone, zone) = self.zone(written.timezone);
        let start = written.start.and_then(|node| self.moment("start", node, &zone));
        let end = written.end.and_then(|node| self.moment("end", node, &zone));
        if let (Some(node), Some(from), Some(to)) = (written.end, start, end)
            && to < from
        {
            self.error(code::CONFLICT, node.span, "the schedule ends before it starts", "", "swap `start` and `end`");
        }
        let inputs = self.overrides(item.span, written.inputs, inputs);
        let id = self.schedule_id(item.span, written.id, named)?;
        let Some((rhythm_node, rhythm)) = written.rhythm else {
            let help = "add `cron: \"0 3 * * 1-5\"` (minute, hour, day, month, weekday) or `every: 1h`";
            self.error(code::MISSING_KEY, item.span, "the schedule does not say when: `cron` or `every`", "", help);
            return None;
        };
        let rhythm = rhythm?;
        if let (Some((node, jitter)), Rhythm::Every(period)) = (written.jitter, &rhythm)
            && jitter > *period
        {
            let message = format!("`jitter` is longer than the time between two runs, {period}");
            self.error(code::OUT_OF_RANGE, node.span, message, "", "shorten it");
        }
        let jitter = written.jitter.map(|(_, jitter)| jitter).unwrap_or_default();
        let timing = Timing { rhythm, timezone, start, end, jitter };
        let calendar: Option<Calendar> = timing.calendar().ok();
        if calendar.is_some_and(|calendar| calendar.next(Timestamp(0)).is_none()) {
            let message = "this time never comes between `start` and `end`";
            self.error(code::CONFLICT, rhythm_node.span, message, "", "correct the time, or `start` and `end`");
        }
        let catch_up = written.catch_up.unwrap_or(CATCH_UP_DEFAULT);
        Some(Declared { id, rule: Rule { timing, overlap: written.overlap, catch_up }, inputs, paused: written.paused })
    }

    fn cron(&mut self, key: &Name, value: &Node) -> Option<Rhythm> {
        let text = self.text(key, value)?;
        let timing = Timing {
            rhythm: Rhythm::Cron(text.clone()),
            timezone: "UTC".into(),
            start: None,
            end: None,
            jitter: Duration(0),
        };
        match timing.calendar() {
            Ok(_) => Some(timing.rhythm),
            Err(TimingError::Cron(CronError { message, help, place })) => {
                self.error(code::BAD_TIME, inside(value.span, &text, place), message, "", help);
                None
            }
            Err(TimingError::Zone(_)) => None,
        }
    }

    fn every(&mut self, key: &Name, value: &Node) -> Option<Rhythm> {
        let period = self.duration(key, value)?;
        if period < EVERY_MIN {
            let message = format!("`every` can't be {period}");
            self.error(code::OUT_OF_RANGE, value.span, message, "", "it is at least 1s");
            return None;
        }
        Some(Rhythm::Every(period))
    }

    fn zone(&mut self, node: Option<&Node>) -> (String, Zone) {
        let utc = || ("UTC".to_owned(), Zone::utc());
        let Some(node) = node else { return utc() };
        let Some(name) = node.as_text() else {
            let help = "write a name such as `Europe/Berlin`";
            self.error(code::WRONG_SHAPE, node.span, "`timezone` is the name of a time zone", node.describe(), help);
            return utc();
        };
        match name.parse::<Zone>() {
            Ok(zone) => (name.to_owned(), zone),
            Err(error) => {
                self.error(code::BAD_TIME, node.span, error.to_string(), "", error.help);
                utc()
            }
        }
    }

    fn moment(&mut self, key: &str, node: &Node, zone: &Zone) -> Option<Timestamp> {
        let read = node.as_text().and_then(|text| zone.read(text));
        if read.is_none() {
            let message = format!("`{key}` is no point in time");
            let help = "write a date, such as `2027-01-31`, or a date and time: `2027-01-31T08:00` in the schedule's zone, or \
                        with an offset, `2027-01-31T08:00:00+01:00`";
            self.error(code::BAD_TIME, node.span, message, "", help);
        }
        read
    }

    fn schedule_id(&mut self, span: Span, node: Option<&Node>, named: &str) -> Option<ScheduleId> {
        let text = match node {
            Some(node) => node.as_text().unwrap_or_default(),
            None => named,
        };
        match text.parse() {
            Ok(id) => Some(id),
            // The workflow's own id was reported.
            Err(_) if node.is_none() => None,
            Err(error) => {
                let span = node.map_or(span, |node| node.span);
                let message = "this can't be the id of a schedule";
                self.error(code::BAD_ID, span, message, "", format!("{error}"));
                None
            }
        }
    }

    /// What a schedule gives its runs: known inputs with values that they take, and all that have to be given.
    fn overrides(&mut self, span: Span, given: &[Entry], inputs: &[InputDef<'_>]) -> Map {
        let mut overrides = Map::new();
        for Entry { key, value } in given {
            let Some(def) = inputs.iter().find(|def| def.name.text == key.text) else {
                let names = inputs.iter().map(|def| def.name.text.as_str());
                let help = suggest::advice(&key.text, names, "the workflow takes no inputs");
                let message = format!("there is no input `{}`", key.text);
                self.error(code::UNKNOWN_INPUT, key.span, message, "", help);
                continue;
            };
            let json = value.to_json_unescaped();
            if let Err(error) = coerce(&def.input, Given::Json(&json))
                && !def.broken
            {
                self.error(code::WRONG_TYPE, value.span, error.to_string(), "", error.advice());
            }
            overrides.insert(key.text.clone(), json);
        }
        for def in inputs.iter().filter(|def| !def.broken && def.input.required && def.input.default.is_none()) {
            if !overrides.contains_key(&def.name.text) {
                let name = &def.name.text;
                let message = format!("nobody gives the input `{name}` when the schedule starts a run");
                let help = format!("give it under `inputs:` of the schedule, or `{name}` a `default`");
                self.error(code::MISSING_KEY, span, message, "", help);
            }
        }
        overrides
    }
}

/// A part of a text in the file: the text as it is, or in quotes.
fn inside(span: Span, text: &str, part: std::ops::Range<usize>) -> Span {
    let quote = match (span.end - span.start).checked_sub(text.len()) {
        Some(0) => 0,
        Some(2) => 1,
        // Escapes or several lines.
        _ => return span,
    };
    let start = span.start + quote;
    Span { start: start + part.start, end: start + part.end.min(text.len()) }
}
