//! Text in a sentence, such as a prompt: where it begins and ends, and how many are asked for.

use super::{Clause, Reader, SEPARATORS_MAX, is_named_setting, is_separator, is_setting, node, pace, verb_follows};
use crate::code;
use crate::diagnostic::Diagnostic;
use crate::recipe::setting;
use crate::recipe::token::{Kind, Token};
use crate::recipe::verbs::{ALL, MADE, PICTURES};
use crate::source::Span;
use darkroom_proto::op::OpSpec;

/// What several are variations of is what each is.
const COPIES: &[&str] = &["variations", "versions", "variants", "takes", "variation", "version", "variant", "take"];

impl<'a> Reader<'a> {
    /// The text of a parameter, from `start` on.
    pub(super) fn text(&mut self, clause: &mut Clause, param: &'static str, start: usize) {
        let Some(op) = clause.op else { return };
        let is_whole = start < self.at;
        let works_on_picture = op.param("image").is_some() || op.name == "human.approve";
        if works_on_picture && !is_whole {
            self.head(clause);
        }
        let begin = if is_whole { start } else { self.at };
        self.at = self.text_end(op);
        let mut end = self.at;
        if works_on_picture {
            end = self.tail(clause, begin, end);
            // `the mug in step 1`
            while self.reference_at(0)
                && end > begin
                && self.tokens[end - 1].is_word(&["in", "on", "of", "from", "the"])
            {
                end -= 1;
            }
        }
        let words = self.tokens.get(begin..end).unwrap_or_default();
        let mut span = self.span(begin, end);
        if let Some(file) = words.iter().find(|token| token.kind == Kind::Path) {
            let message = format!("the file {} stands in the middle of a text", file.text);
            let help = "to lay a picture over it: `Overlay the logo ./logo.png`; if it is part of the text, put the text in quotes";
            self.found.push(Diagnostic::error(code::RECIPE_UNREAD, file.span, message).help(help));
            return;
        }
        // A question keeps its mark.
        if let Some(mark) =
            self.tokens.get(end).filter(|token| end == self.at && matches!(token.text.as_str(), "?" | "!"))
        {
            span.end = mark.span.end;
            self.at += 1;
        }
        let text = match words {
            [] => return,
            [one] if one.kind == Kind::Quoted => one.text.clone(),
            _ if op.name == "image.generate" => match self.several(clause, words) {
                Some(text) => text,
                None => return,
            },
            [article, rest @ ..] if op.name == "image.detect" && article.is_word(&["the", "a", "an"]) => {
                let first = rest.first().map_or(span.end, |token| token.span.start);
                self.slice(Span::new(first, span.end)).trim_matches(['"', '“', '”']).to_owned()
            }
            _ => self.joined(span),
        };
        clause.with.push((param, node(&text.into(), span)));
    }

    /// The words of a span as one line.
    fn joined(&self, span: Span) -> String {
        self.slice(span).split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Where a text ends.
    fn text_end(&self, op: &OpSpec) -> usize {
        let mut at = self.at;
        while let Some(token) = self.tokens.get(at) {
            let behind = &self.tokens[at + 1..];
            let ends = match token.kind {
                Kind::Mark('(' | ')' | '>' | ';' | '.') => true,
                Kind::Mark(':') => behind.is_empty(),
                _ if pace(&self.tokens[at..]).is_some() => true,
                _ if is_separator(token) && verb_follows(self.tokens, at) => true,
                _ if is_separator(token) => is_setting(op, behind) && token.is(','),
                Kind::Word => match token.word.as_str() {
                    "using" => true,
                    "with" | "at" | "and" | "in" => is_named_setting(op, behind),
                    "for" => op.param("duration").is_some() && setting::duration(behind).is_some(),
                    "step" => {
                        op.param("image").is_some() && behind.first().is_some_and(|token| token.count().is_some())
                    }
                    _ => false,
                },
                _ => false,
            };
            if ends {
                break;
            }
            at += 1;
        }
        at
    }

    /// Steps over `all images:`, `it as`, `the image to` before a text.
    fn head(&mut self, clause: &mut Clause) {
        if let Some((taken, all)) = picture(self.rest()) {
            self.at += taken;
            clause.all |= all;
        }
        if let Some(path) = self.peek(0).filter(|token| token.kind == Kind::Path) {
            self.at += 1;
            clause.path = Some(node(&path.text.as_str().into(), path.span));
        }
        const LINKS: &[&str] = &["to", "as", "like", "into", "with", "so", "that", "in"];
        while self.peek(0).is_some_and(|token| token.is(':') || token.is_word(LINKS)) {
            let is_setting = clause.op.is_some_and(|op| is_named_setting(op, &self.rest()[1..]));
            if is_setting || (self.reference_at(0)) {
                break;
            }
            self.at += 1;
        }
        let style = self.rest();
        if let [the, style, of, ..] = style
            && the.is_word(&["the"])
            && style.is_word(&["style"])
            && of.is_word(&["of"])
        {
            self.at += 3;
        }
    }

    fn reference_at(&self, ahead: usize) -> bool {
        self.peek(ahead).is_some_and(|token| token.is_word(&["step"]))
            && self.peek(ahead + 1).is_some_and(|token| token.count().is_some())
    }

    /// Where a text ends that has `in the generated image` behind it.
    fn tail(&mut self, clause: &mut Clause, begin: usize, end: usize) -> usize {
        let mut at = end;
        while at > begin {
            at -= 1;
            if self.tokens[at].is_word(&["in", "on", "from", "of", "for"])
                && let Some((taken, all)) = picture(&self.tokens[at + 1..end])
                && (at + 1 + taken == end || self.tokens[at + 1 + taken].is_word(&["of", "from"]))
            {
                clause.all |= all;
                return at;
            }
        }
        end
    }

    /// What a picture shows of which there may be several: `4 product photos of a tea pot` are four of `a product photo of a
    /// tea pot`.
    fn several(&mut self, clause: &mut Clause, words: &[&'a Token]) -> Option<String> {
        const VAGUE: &[&str] = &["several", "some", "many", "multiple", "few", "various"];
        let [first, rest @ ..] = words else { return None };
        if first.is_word(VAGUE) {
            let message = format!("how many `{}` is can't be known", first.text);
            let found = Diagnostic::error(code::RECIPE_UNREAD, first.span, message).label("a number is needed");
            self.found.push(found.help("write it in figures or in words: `Generate 4 …`"));
            return None;
        }
        let last = words.last()?;
        let is_copy = |noun: &Token| noun.is_word(PICTURES) || noun.is_word(COPIES);
        let quoted = |words: &[&Token]| match words {
            [noun, of, text] if is_copy(noun) && of.is_word(&["of"]) && text.kind == Kind::Quoted => {
                Some(text.text.clone())
            }
            [noun, text] if is_copy(noun) && text.kind == Kind::Quoted => Some(text.text.clone()),
            _ => None,
        };
        let Some(count) = first.count().filter(|_| !rest.is_empty()) else {
            let after_article = if first.is_word(&["a", "an", "the"]) { rest } else { words };
            return Some(
                quoted(after_article).unwrap_or_else(|| self.joined(Span::new(first.span.start, last.span.end))),
            );
        };
        clause.count = Some((count, first.span));
        if let Some(text) = quoted(rest).or_else(|| match rest {
            [text] if text.kind == Kind::Quoted => Some(text.text.clone()),
            _ => None,
        }) {
            return Some(text);
        }
        // `variations of a logo` are of `a logo`.
        if let [noun, of, thing, ..] = rest
            && noun.is_word(COPIES)
            && of.is_word(&["of"])
        {
            return Some(self.joined(Span::new(thing.span.start, last.span.end)));
        }
        let noun = rest.iter().position(|token| token.is_word(&["of", "showing", "with", "in", "for", "that"]));
        let mut noun = noun.unwrap_or(rest.len()).saturating_sub(1);
        let is_plural = |token: &&&Token| singular(&token.text) != token.text;
        // `2 cats playing chess`
        if rest.get(noun).filter(is_plural).is_none() {
            noun = rest.iter().position(|token| is_plural(&token)).unwrap_or(noun);
        }
        let mut text = String::new();
        for (at, token) in rest.iter().enumerate() {
            let before = at.checked_sub(1).and_then(|before| rest.get(before));
            if before.is_some_and(|before| before.span.end < token.span.start) {
                text.push(' ');
            }
            match at == noun && count > 1 {
                true => text.push_str(&singular(&token.text)),
                false => text.push_str(self.slice(token.span)),
            }
        }
        let article = if text.to_lowercase().starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
        Some(format!("{article} {text}"))
    }
}

fn singular(word: &str) -> String {
    if let Some(stem) = word.strip_suffix("ies") {
        return format!("{stem}y");
    }
    let hisses = ["ches", "shes", "xes", "sses"].iter().any(|ending| word.ends_with(ending));
    match word.strip_suffix(if hisses { "es" } else { "s" }) {
        Some(one) if !one.ends_with('s') || hisses => one.to_owned(),
        _ => word.to_owned(),
    }
}

/// Words for a picture, `all the generated images` or `it`: how many, and whether all are meant.
fn picture(tokens: &[&Token]) -> Option<(usize, bool)> {
    let mut all = false;
    let mut at = 0;
    while let Some(token) = tokens.get(at).filter(|_| at < SEPARATORS_MAX) {
        if token.is_word(&["it", "them"]) {
            return Some((at + 1, all));
        }
        if token.is_word(PICTURES) {
            return Some((at + 1, all));
        }
        if token.is_word(ALL) {
            all = true;
        } else if !token.is_word(&["the", "this", "that", "these", "a", "of"]) && !token.is_word(MADE) {
            return None;
        }
        at += 1;
    }
    None
}
