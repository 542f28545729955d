//! Diagnostics as people read them in a terminal.
//!
//! Written by hand because it is short and no library prints exactly this: the code in the heading, one line of context,
//! and the help with the way to more of it in the closing line.

use crate::diagnostic::{Diagnostic, Severity};
use crate::source::Source;
use std::fmt::Write as _;
use unicode_width::UnicodeWidthChar as _;

/// The most columns of a line of the file that are shown.
const WIDTH_MAX: usize = 120;
/// How many columns stay visible before the marked text when a line has to be cut.
const LEAD: usize = 40;

/// The diagnostics of one file, each with the line it is about, ready to be printed.
pub fn render(diagnostics: &[Diagnostic], source: &Source, color: bool) -> String {
    let mut text = String::new();
    for (number, diagnostic) in diagnostics.iter().enumerate() {
        if number > 0 {
            text.push('\n');
        }
        render_one(&mut text, diagnostic, source, Paint { color });
    }
    text
}

/// The closing line: `1 error, 0 warnings in 1 file`.
pub fn summary(diagnostics: &[Diagnostic], files: usize) -> String {
    let errors = diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count();
    let count = |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
    format!("{}, {} in {}", count(errors, "error"), count(diagnostics.len() - errors, "warning"), count(files, "file"))
}

#[derive(Clone, Copy)]
struct Paint {
    color: bool,
}

impl Paint {
    const BOLD: &str = "1";
    const FRAME: &str = "34";
    const HELP: &str = "36";

    fn severity(severity: Severity) -> &'static str {
        match severity {
            Severity::Error => "1;31",
            Severity::Warning => "1;33",
        }
    }

    fn paint(self, style: &str, text: &str) -> String {
        if self.color && !text.is_empty() { format!("\x1b[{style}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

fn render_one(out: &mut String, diagnostic: &Diagnostic, source: &Source, paint: Paint) {
    let style = Paint::severity(diagnostic.severity);
    let word = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let line = source.line_at(diagnostic.span.start);
    let gutter = (line + 1).to_string().len();
    let frame = |text: &str| paint.paint(Paint::FRAME, text);
    let Diagnostic { position, .. } = diagnostic;

    // Writing to a String does not fail.
    let _ = writeln!(
        out,
        "{}{}",
        paint.paint(style, &format!("{word}[{}]", diagnostic.code)),
        paint.paint(Paint::BOLD, &format!(": {}", diagnostic.message))
    );
    let place = format!("{}:{}:{}", diagnostic.file, position.line, position.column);
    let _ = writeln!(out, "{:gutter$} {}", "", frame(&format!("╭─[{place}]")));
    if let Some(excerpt) = Excerpt::of(source, diagnostic) {
        if let Some(before) = &excerpt.before {
            let _ = writeln!(out, "{} {before}", frame(&format!("{line:>gutter$} │")));
        }
        let _ = writeln!(out, "{} {}", frame(&format!("{:>gutter$} │", line + 1)), excerpt.text);
        let dots = frame(&format!("{:gutter$} ·", ""));
        let indent = " ".repeat(excerpt.column);
        if diagnostic.label.is_empty() {
            let _ = writeln!(out, "{dots} {indent}{}", paint.paint(style, &"─".repeat(excerpt.width)));
        } else {
            let middle = excerpt.width / 2;
            let line = format!("{}┬{}", "─".repeat(middle), "─".repeat(excerpt.width - middle - 1));
            let _ = writeln!(out, "{dots} {indent}{}", paint.paint(style, &line));
            let arm = paint.paint(style, &format!("╰── {}", diagnostic.label));
            let _ = writeln!(out, "{dots} {indent}{}{arm}", " ".repeat(middle));
        }
    }
    let more = format!("more: darkroom explain {}", diagnostic.code);
    let foot = frame(&format!("{:gutter$} ╰─", ""));
    if diagnostic.help.is_empty() {
        let _ = writeln!(out, "{foot} {more}");
        return;
    }
    let mut lines = diagnostic.help.lines().peekable();
    let mut lead = format!("{foot} {}", paint.paint(Paint::HELP, "help:"));
    while let Some(text) = lines.next() {
        let more = if lines.peek().is_none() { format!("   {more}") } else { String::new() };
        let _ = writeln!(out, "{lead} {text}{more}");
        lead = format!("{:gutter$}         ", "");
    }
}

/// The line of a diagnostic, as wide as it is shown.
struct Excerpt {
    before: Option<String>,
    text: String,
    column: usize,
    width: usize,
}

impl Excerpt {
    fn of(source: &Source, diagnostic: &Diagnostic) -> Option<Excerpt> {
        let number = source.line_at(diagnostic.span.start);
        let line = source.line_span(number)?;
        let text = source.slice(line);
        if source.text().is_empty() {
            return None;
        }
        let start = diagnostic.span.start.min(line.end) - line.start;
        let end = diagnostic.span.end.min(line.end).max(line.start + start) - line.start;
        let (lead, marked, tail) = (text.get(..start)?, text.get(start..end)?, text.get(end..)?);
        let (lead, marked, tail) = (Shown::of(lead), Shown::of(marked), Shown::of(tail));
        let cut = if lead.width + marked.width > WIDTH_MAX { lead.width.saturating_sub(LEAD) } else { 0 };
        let (lead, column) = if cut > 0 {
            let kept = lead.skip(cut);
            (format!("…{}", kept.text), kept.width + 1)
        } else {
            (lead.text, lead.width)
        };
        let width = marked.width.clamp(1, WIDTH_MAX - 1);
        let text = Shown::of(&format!("{lead}{}{}", marked.text, tail.text)).take(WIDTH_MAX + LEAD);
        let before = number
            .checked_sub(1)
            .and_then(|number| source.line_span(number))
            .map(|span| source.slice(span))
            .filter(|text| !text.trim().is_empty() && cut == 0)
            .map(|text| Shown::of(text).take(WIDTH_MAX));
        Some(Excerpt { before, text, column, width })
    }
}

/// A piece of text without anything that would move the cursor, and how wide it is.
struct Shown {
    text: String,
    width: usize,
}

impl Shown {
    fn of(text: &str) -> Shown {
        let text: String = text.chars().map(|c| if c.width().is_none() { ' ' } else { c }).collect();
        let width = text.chars().map(|c| c.width().unwrap_or(0)).sum();
        Shown { text, width }
    }

    fn skip(&self, columns: usize) -> Shown {
        let mut passed = 0;
        let rest = self.text.chars().skip_while(|c| {
            passed += c.width().unwrap_or(0);
            passed <= columns
        });
        Shown::of(&rest.collect::<String>())
    }

    fn take(&self, columns: usize) -> String {
        if self.width <= columns {
            return self.text.trim_end().to_owned();
        }
        let mut passed = 0;
        let kept = self.text.chars().take_while(|c| {
            passed += c.width().unwrap_or(0);
            passed < columns
        });
        format!("{}…", kept.collect::<String>())
    }
}
