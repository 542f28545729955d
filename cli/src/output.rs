//! What goes to stdout and stderr: data on the one, everything else on the other, and no panic on a closed pipe.

use serde::Serialize;
use std::io::{IsTerminal, Write};

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people
    Table,
    /// One JSON document
    Json,
}

/// Prints a line of data. Whoever reads may have gone; then there is nobody left to tell.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// Prints a line that is not data.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Prints one JSON document.
pub(crate) fn say_json<T: Serialize>(value: &T) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => say(&text),
        Err(error) => complain(&format!("error: the result is no JSON: {error}")),
    }
}

/// Whether stderr shows colours: a terminal, and nobody said no.
pub(crate) fn color_on_stderr() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) && std::io::stderr().is_terminal()
}

/// Columns as wide as what is in them, two spaces apart. The last one runs free.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([header[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut line = String::new();
        for (cell, width) in cells.zip(&widths) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.chars().count()) + 2));
        }
        line.trim_end().to_owned()
    };
    let mut lines = vec![line(&mut header.iter().copied())];
    lines.extend(rows.iter().map(|row| line(&mut row.iter().map(String::as_str))));
    lines.join("\n")
}

/// A span of time for people: `20ms`, `0.4s`, `12s`, `3m 05s`, `2h 10m`.
pub(crate) fn span(duration: darkroom_proto::Duration) -> String {
    let seconds = duration.0 / 1_000;
    match seconds {
        0 if duration.0 < 100 => format!("{}ms", duration.0),
        0..10 => format!("{:.1}s", duration.as_secs_f64()),
        10..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h {:02}m", seconds / 3_600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use darkroom_proto::Duration;

    #[test]
    fn spans_read_as_people_say_them() {
        let cases = [(20, "20ms"), (400, "0.4s"), (12_300, "12s"), (185_000, "3m 05s"), (7_800_000, "2h 10m")];
        for (ms, want) in cases {
            assert_eq!(span(Duration(ms)), want);
        }
    }

    #[test]
    fn columns_line_up() {
        let rows = vec![vec!["a".to_owned(), "long cell".to_owned()], vec!["bbb".to_owned(), "x".to_owned()]];
        assert_eq!(table(&["N", "WHAT"], &rows), "N    WHAT\na    long cell\nbbb  x");
    }
}
