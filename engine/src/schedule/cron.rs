//! Cron lines: minute, hour, day of the month, month, weekday.

use jiff::civil::{Date, Weekday};

/// What a field of a cron line may hold.
struct Field {
    name: &'static str,
    low: u8,
    high: u8,
    /// Words for its values, from `low`.
    words: &'static [&'static str],
}

const MONTHS: &[&str] = &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

const FIELDS: [Field; 5] = [
    Field { name: "minute", low: 0, high: 59, words: &[] },
    Field { name: "hour", low: 0, high: 23, words: &[] },
    Field { name: "day of the month", low: 1, high: 31, words: &[] },
    Field { name: "month", low: 1, high: 12, words: MONTHS },
    // 7 is Sunday as well.
    Field { name: "weekday", low: 0, high: 7, words: WEEKDAYS },
];

const NAMED: &[(&str, &str)] = &[
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

const ALL_HOURS: u64 = (1 << 24) - 1;

/// Every week of a month, bits 1 to 5; bit 0 is the last one.
const ALL_WEEKS: u8 = 0b11_1111;

/// A cron line that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron {
    minutes: u64,
    hours: u64,
    days: u64,
    last_day: bool,
    months: u64,
    /// For each weekday from Sunday, in which weeks of the month.
    weeks: [u8; 7],
    /// Both day fields say something: then either is enough, as cron has it.
    either_day: bool,
}

/// What is wrong with a cron line, and where in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CronError {
    /// What is wrong.
    pub message: String,
    /// What to write.
    pub help: String,
    /// Where in the text, in bytes.
    pub place: std::ops::Range<usize>,
}

impl std::str::FromStr for Cron {
    type Err = CronError;

    fn from_str(text: &str) -> Result<Cron, CronError> {
        let trimmed = text.trim();
        if trimmed.starts_with('@') {
            return match NAMED.iter().find(|(name, _)| *name == trimmed) {
                Some((_, line)) => line.parse(),
                None => Err(CronError {
                    message: format!("`{}` is no cron line", shown(trimmed)),
                    help: crate::suggest::advice(trimmed, NAMED.iter().map(|(name, _)| *name), ""),
                    place: 0..text.len(),
                }),
            };
        }
        let fields: Vec<(usize, &str)> =
            text.split_whitespace().map(|part| (part.as_ptr() as usize - text.as_ptr() as usize, part)).collect();
        let [minute, hour, day, month, weekday] = fields[..] else {
            return Err(CronError {
                message: format!("a cron line has 5 fields, and `{}` has {}", shown(text), fields.len()),
                help:
                    "write minute, hour, day, month and weekday, such as \"0 3 * * 1-5\"; for seconds use `every: 10s`"
                        .to_owned(),
                place: 0..text.len(),
            });
        };
        let (minutes, hours, months) =
            (plain(&FIELDS[0], minute)?, plain(&FIELDS[1], hour)?, plain(&FIELDS[3], month)?);
        let (days, last_day) = days(day)?;
        let weeks = weeks(weekday)?;
        let says = |(_, text): (usize, &str)| !text.starts_with('*');
        let cron = Cron { minutes, hours, days, last_day, months, weeks, either_day: says(day) && says(weekday) };
        if cron.never() {
            return Err(CronError {
                message: format!("there is no such day: `{}` never comes", shown(text)),
                help: "correct the day of the month, or the month".to_owned(),
                place: day.0..month.0 + month.1.len(),
            });
        }
        Ok(cron)
    }
}

impl Cron {
    /// Whether something is done on this day.
    pub(super) fn is_on(&self, date: Date) -> bool {
        if !self.has_month(date) {
            return false;
        }
        let day = date.day();
        let by_day = self.days & (1 << day) != 0 || (self.last_day && day == date.days_in_month());
        let in_week = self.weeks[weekday(date.weekday())];
        let is_last = day + 7 > date.days_in_month();
        let by_weekday = in_week & (1 << ((day + 6) / 7)) != 0 || (is_last && in_week & 1 != 0);
        if self.either_day { by_day || by_weekday } else { by_day && by_weekday }
    }

    /// Whether something may be done in the month of this day.
    pub(super) fn has_month(&self, date: Date) -> bool {
        self.months & (1 << date.month()) != 0
    }

    pub(super) fn has_hour(&self, hour: i8) -> bool {
        self.hours & (1 << hour) != 0
    }

    pub(super) fn has_minute(&self, minute: i8) -> bool {
        self.minutes & (1 << minute) != 0
    }

    /// Whether it goes by hours that pass rather than by an hour of the day.
    pub(super) fn is_every_hour(&self) -> bool {
        self.hours == ALL_HOURS
    }

    /// Whether its days are only such as `31 2`.
    fn never(&self) -> bool {
        let exists = |month: u32| {
            let length = match month {
                2 => 29,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            self.months & (1 << month) != 0 && self.days & ((1 << (length + 1)) - 1) != 0
        };
        !self.last_day && !self.either_day && !(1..=12).any(exists)
    }
}

fn weekday(weekday: Weekday) -> usize {
    weekday.to_sunday_zero_offset() as usize
}

fn shown(text: &str) -> String {
    text.chars().take(60).collect()
}

/// A field with its place: parts between commas.
fn parts((start, text): (usize, &str)) -> impl Iterator<Item = (usize, &str)> {
    text.split(',').map(move |part| (start + (part.as_ptr() as usize - text.as_ptr() as usize), part))
}

fn plain(field: &Field, text: (usize, &str)) -> Result<u64, CronError> {
    parts(text).try_fold(0, |mask, part| Ok(mask | range(field, part)?))
}

fn days(text: (usize, &str)) -> Result<(u64, bool), CronError> {
    let (mut days, mut last) = (0, false);
    for part in parts(text) {
        match part.1 {
            "L" | "l" => last = true,
            _ => days |= range(&FIELDS[2], part)?,
        }
    }
    Ok((days, last))
}

fn weeks(text: (usize, &str)) -> Result<[u8; 7], CronError> {
    let field = &FIELDS[4];
    let mut weeks = [0; 7];
    for (start, part) in parts(text) {
        let (days, which) = match (part.split_once('#'), part.strip_suffix(['L', 'l'])) {
            (Some((day, week)), _) => match week.parse::<u8>() {
                Ok(week @ 1..=5) => (1u64 << value(field, (start, day))?, 1u8 << week),
                _ => {
                    return Err(CronError {
                        message: format!("`{}` is no week of a month", shown(week)),
                        help: "write 1 to 5, such as `1#2` for the second Monday".to_owned(),
                        place: start..start + part.len(),
                    });
                }
            },
            (None, Some(day)) if !day.is_empty() => (1 << value(field, (start, day))?, 1),
            _ => (range(field, (start, part))?, ALL_WEEKS),
        };
        for day in (0..=7).filter(|day| days & (1 << day) != 0) {
            weeks[day % 7] |= which;
        }
    }
    Ok(weeks)
}

/// `*`, `5`, `1-5`, and each of them with `/2`.
fn range(field: &Field, (start, part): (usize, &str)) -> Result<u64, CronError> {
    let (span, step) = part.split_once('/').map_or((part, None), |(span, step)| (span, Some(step)));
    let wrong = |message: String, help: String| CronError { message, help, place: start..start + part.len().max(1) };
    let by: u8 = match step.map(str::parse) {
        None => 1,
        Some(Ok(by)) if by > 0 && by <= field.high.max(1) => by,
        Some(_) => {
            let message = format!("the {} can't go by `{}`", field.name, shown(step.unwrap_or_default()));
            return Err(wrong(message, format!("write a number from 1 to {} behind the slash", field.high)));
        }
    };
    let (low, high) = match (span, span.split_once('-')) {
        ("*" | "?", _) => (field.low, if field.words.len() == 7 { 6 } else { field.high }),
        (_, Some((low, high))) => {
            let high_at = start + low.len() + 1;
            (value(field, (start, low))?, value(field, (high_at, high))?)
        }
        (_, None) => {
            let low = value(field, (start, span))?;
            (low, if step.is_some() { field.high } else { low })
        }
    };
    if low > high {
        let message = format!("the {} can't go from {low} to {high}", field.name);
        return Err(wrong(message, "write the smaller one first, or two ranges with a comma between them".to_owned()));
    }
    Ok((low..=high).step_by(usize::from(by)).fold(0, |mask, value| mask | 1 << value))
}

fn value(field: &Field, (start, text): (usize, &str)) -> Result<u8, CronError> {
    let word = field.words.iter().position(|word| word.eq_ignore_ascii_case(text));
    let number = word.map(|at| at as u8 + field.low).or_else(|| text.parse().ok());
    number.filter(|number| (field.low..=field.high).contains(number)).ok_or_else(|| {
        let words = match field.words {
            [first, .., last] => format!(", or {first} to {last}"),
            _ => String::new(),
        };
        CronError {
            message: format!("the {} can't be `{}`", field.name, shown(text)),
            help: format!("it is {} to {}{words}", field.low, field.high),
            place: start..start + text.len().max(1),
        }
    })
}
