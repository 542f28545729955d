//! What differs between two texts, line by line, as a unified diff.

use std::fmt::Write as _;

/// How many lines around a change are shown.
const CONTEXT: usize = 3;

/// The most pairs of lines that are compared; of texts that differ in more, the whole middle is shown as changed.
const PAIRS_MAX: usize = 4_000_000;

/// A line of both texts, of the old one, or of the new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line<'a> {
    Both(&'a str),
    Old(&'a str),
    New(&'a str),
}

/// The unified diff; empty if the texts are equal.
pub(super) fn unified(old: (&str, &str), new: (&str, &str)) -> String {
    let lines = lines(old.1, new.1);
    let changed: Vec<usize> = (0..lines.len()).filter(|at| !matches!(lines[*at], Line::Both(_))).collect();
    let Some(&first) = changed.first() else { return String::new() };
    let mut text = format!("--- {}\n+++ {}\n", old.0, new.0);
    let mut from = first.saturating_sub(CONTEXT);
    let mut until = first;
    for &at in &changed {
        if at > until + 2 * CONTEXT + 1 {
            hunk(&mut text, &lines, from, (until + CONTEXT + 1).min(lines.len()));
            from = at - CONTEXT;
        }
        until = at;
    }
    hunk(&mut text, &lines, from, (until + CONTEXT + 1).min(lines.len()));
    text
}

fn hunk(text: &mut String, lines: &[Line<'_>], from: usize, until: usize) {
    let olds = |lines: &[Line<'_>]| lines.iter().filter(|line| !matches!(line, Line::New(_))).count();
    let news = |lines: &[Line<'_>]| lines.iter().filter(|line| !matches!(line, Line::Old(_))).count();
    let (before, shown) = (&lines[..from], &lines[from..until]);
    // An empty side stands behind the line before it.
    let start = |before: usize, count: usize| before + usize::from(count > 0);
    let (old, new) = (olds(shown), news(shown));
    let _ = writeln!(text, "@@ -{},{old} +{},{new} @@", start(olds(before), old), start(news(before), new));
    for line in shown {
        let _ = match line {
            Line::Both(line) => writeln!(text, " {line}"),
            Line::Old(line) => writeln!(text, "-{line}"),
            Line::New(line) => writeln!(text, "+{line}"),
        };
    }
}

/// All lines of both: the longest common subsequence, between what only one of them has.
fn lines<'a>(old: &'a str, new: &'a str) -> Vec<Line<'a>> {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let head = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let tail = old[head..].iter().rev().zip(new[head..].iter().rev()).take_while(|(a, b)| a == b).count();
    let (olds, news) = (&old[head..old.len() - tail], &new[head..new.len() - tail]);
    let mut lines: Vec<Line<'a>> = old[..head].iter().map(|line| Line::Both(line)).collect();
    if olds.len().saturating_mul(news.len()) > PAIRS_MAX {
        lines.extend(olds.iter().map(|line| Line::Old(line)));
        lines.extend(news.iter().map(|line| Line::New(line)));
    } else {
        middle(olds, news, &mut lines);
    }
    lines.extend(old[old.len() - tail..].iter().map(|line| Line::Both(line)));
    lines
}

fn middle<'a>(old: &[&'a str], new: &[&'a str], lines: &mut Vec<Line<'a>>) {
    let width = new.len() + 1;
    let mut common = vec![0u32; (old.len() + 1) * width];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i * width + j] = match old[i] == new[j] {
                true => common[(i + 1) * width + j + 1] + 1,
                false => common[(i + 1) * width + j].max(common[i * width + j + 1]),
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            lines.push(Line::Both(old[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == new.len() || i < old.len() && common[(i + 1) * width + j] >= common[i * width + j + 1] {
            lines.push(Line::Old(old[i]));
            i += 1;
        } else {
            lines.push(Line::New(new[j]));
            j += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changed_is_shown_with_three_lines_around_it() {
        let old: Vec<String> = (1..=20).map(|line| line.to_string()).collect();
        let mut new = old.clone();
        new[1] = "two".into();
        new.remove(17);
        let diff = unified(("a", &old.join("\n")), ("b", &new.join("\n")));
        let expected = "--- a\n+++ b\n@@ -1,5 +1,5 @@\n 1\n-2\n+two\n 3\n 4\n 5\n\
            @@ -15,6 +15,5 @@\n 15\n 16\n 17\n-18\n 19\n 20\n";
        assert_eq!(diff, expected);
        assert_eq!(unified(("a", "x\ny"), ("b", "x\ny")), "");
        assert_eq!(unified(("a", ""), ("b", "x")), "--- a\n+++ b\n@@ -0,0 +1,1 @@\n+x\n");
    }
}
