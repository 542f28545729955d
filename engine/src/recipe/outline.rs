//! What a recipe is made of: its head, and sentences with what they stand under.

use super::token::{Kind, Line, Token};
use crate::code;
use crate::diagnostic::Diagnostic;
use crate::source::Span;

/// A recipe, cut into sentences.
#[derive(Debug, Default)]
pub(super) struct Outline<'a> {
    pub(super) name: Option<&'a Token>,
    pub(super) blocks: Vec<Block<'a>>,
}

/// Sentences that stand under one heading.
#[derive(Debug)]
pub(super) struct Block<'a> {
    pub(super) heading: Heading<'a>,
    pub(super) sentences: Vec<Sentence<'a>>,
}

/// What sentences stand under.
#[derive(Debug, Clone, Copy)]
pub(super) enum Heading<'a> {
    /// Nothing: they are the steps of the recipe.
    None,
    /// `For each image in FOLDER:`
    ForEach { folder: &'a Token, span: Span },
    /// `Phase 2 (per image):`
    Phase { per_image: bool, one_by_one: bool, span: Span },
}

/// A sentence: its words, and the lists that stand under it.
#[derive(Debug, Default)]
pub(super) struct Sentence<'a> {
    /// The number before it.
    pub(super) number: Option<u64>,
    pub(super) tokens: Vec<&'a Token>,
    /// `- Models: a, b`
    pub(super) bullets: Vec<Vec<&'a Token>>,
}

impl Sentence<'_> {
    pub(super) fn span(&self) -> Span {
        match (self.tokens.first(), self.tokens.last()) {
            (Some(first), Some(last)) => Span::new(first.span.start, last.span.end),
            _ => Span::default(),
        }
    }
}

impl Outline<'_> {
    pub(super) fn sentences(&self) -> usize {
        self.blocks.iter().map(|block| block.sentences.len()).sum()
    }
}

pub(super) fn outline<'a>(lines: &'a [Line], found: &mut Vec<Diagnostic>) -> Outline<'a> {
    let mut outline = Outline::default();
    for (at, line) in lines.iter().enumerate() {
        let tokens: Vec<&Token> = line.tokens.iter().collect();
        let [first, rest @ ..] = tokens.as_slice() else { continue };
        let second = rest.first();
        if at == 0 && first.is_word(&["workflow"]) {
            head(&mut outline, rest, found);
        } else if first.is('-') {
            bullet(&mut outline, rest, found);
        } else if first.is_word(&["for"]) && second.is_some_and(|token| token.is_word(&["each", "every"])) {
            for_each(&mut outline, &tokens, found);
        } else if first.is_word(&["phase"]) && second.is_some_and(|token| token.count().is_some()) {
            phase(&mut outline, &tokens, found);
        } else if numbered(&tokens).is_some() {
            steps(&mut outline, &tokens, found);
        } else if line.is_indented && outline.blocks.last().is_some_and(|block| !block.sentences.is_empty()) {
            if let Some(sentence) = outline.blocks.last_mut().and_then(|block| block.sentences.last_mut()) {
                sentence.tokens.extend(tokens);
            }
        } else {
            add(&mut outline, Sentence { tokens, ..Sentence::default() });
        }
    }
    outline
}

fn form(span: Span, message: impl Into<String>, help: &str) -> Diagnostic {
    Diagnostic::error(code::RECIPE_FORM, span, message).help(help)
}

fn across(tokens: &[&Token]) -> Span {
    match (tokens.first(), tokens.last()) {
        (Some(first), Some(last)) => Span::new(first.span.start, last.span.end),
        _ => Span::default(),
    }
}

/// `Workflow "name" (checkpointed):`
fn head<'a>(outline: &mut Outline<'a>, tokens: &[&'a Token], found: &mut Vec<Diagnostic>) {
    let help = "write `Workflow \"product-photo\":`, or `Workflow \"product-photo\" (checkpointed):`";
    let Some(name) = tokens.first().filter(|token| token.kind == Kind::Quoted) else {
        found.push(form(across(tokens), "the workflow's name is missing", help));
        return;
    };
    outline.name = Some(name);
    let extra: Vec<&Token> = tokens[1..]
        .iter()
        .copied()
        .filter(|token| {
            !matches!(token.kind, Kind::Mark('(' | ')' | ':' | ',' | '.')) && !token.is_word(&["checkpointed"])
        })
        .collect();
    if !extra.is_empty() {
        let words = extra.iter().map(|token| token.text.as_str()).collect::<Vec<_>>().join(" ");
        let found_extra = Diagnostic::error(code::RECIPE_UNREAD, across(&extra), format!("can't read `{words}`"));
        found.push(found_extra.label("not known after a workflow's name").help(help));
    }
}

/// The number that a step begins with: `3.` or `3)`.
fn numbered(tokens: &[&Token]) -> Option<u64> {
    match tokens {
        [number, mark, ..] if mark.is('.') || mark.is(')') => match number.kind {
            Kind::Number { .. } => number.count(),
            _ => None,
        },
        _ => None,
    }
}

/// The numbered steps of a line, which may have several.
fn steps<'a>(outline: &mut Outline<'a>, tokens: &[&'a Token], found: &mut Vec<Diagnostic>) {
    let mut rest = tokens;
    while let Some(number) = numbered(rest) {
        let sentences = outline.blocks.last().map(|block| block.sentences.as_slice()).unwrap_or_default();
        let before = sentences.iter().rev().find_map(|sentence| sentence.number);
        if before.map_or(number != 1, |before| number != before + 1) && outline.blocks.len() <= 1 {
            let due = before.unwrap_or(0) + 1;
            let message = format!("step {number} stands where step {due} is due");
            found.push(
                Diagnostic::error(code::RECIPE_COUNT, across(&rest[..2]), message)
                    .help("number the steps 1, 2, 3 in their order; perhaps a line is missing"),
            );
        }
        let body = &rest[2..];
        let mut depth = 0_usize;
        let next = (1..body.len()).find(|at| {
            match body[*at].kind {
                Kind::Mark('(') => depth += 1,
                Kind::Mark(')') => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0
                && number.checked_add(1).is_some_and(|next| numbered(&body[*at..]) == Some(next))
                && body.len() > at + 2
        });
        let (own, others) = body.split_at(next.unwrap_or(body.len()));
        if own.is_empty() {
            found.push(form(
                across(&rest[..2]),
                format!("step {number} says nothing"),
                "write what it does, or remove it",
            ));
        }
        add(outline, Sentence { number: Some(number), tokens: own.to_vec(), bullets: Vec::new() });
        rest = others;
    }
}

fn add<'a>(outline: &mut Outline<'a>, sentence: Sentence<'a>) {
    if outline.blocks.is_empty() {
        outline.blocks.push(Block { heading: Heading::None, sentences: Vec::new() });
    }
    if let Some(block) = outline.blocks.last_mut() {
        block.sentences.push(sentence);
    }
}

fn bullet<'a>(outline: &mut Outline<'a>, tokens: &[&'a Token], found: &mut Vec<Diagnostic>) {
    let under = outline.blocks.last_mut().and_then(|block| block.sentences.last_mut());
    match under {
        Some(sentence) if sentence.tokens.last().is_some_and(|token| token.is(':')) => {
            sentence.bullets.push(tokens.to_vec());
        }
        // A list without a sentence above it is a list of steps.
        _ if !tokens.is_empty() => add(outline, Sentence { tokens: tokens.to_vec(), ..Sentence::default() }),
        _ => found.push(form(across(tokens), "the item says nothing", "write what it does, or remove it")),
    }
}

/// `For each image in ./input/:`
fn for_each<'a>(outline: &mut Outline<'a>, tokens: &[&'a Token], found: &mut Vec<Diagnostic>) {
    let span = across(tokens);
    const PICTURES: &[&str] = &["image", "picture", "photo", "file"];
    let help = "write `For each image in ./input/:`, and the steps in the lines below";
    let colon = tokens.iter().position(|token| token.is(':')).unwrap_or(tokens.len());
    let (opening, rest) = tokens.split_at(colon);
    match opening {
        [_, _, noun, of, path @ ..]
            if noun.is_word(PICTURES) && of.is_word(&["in", "of", "from"]) && !path.is_empty() =>
        {
            let path = match path {
                [the, folder, path @ ..] if the.is_word(&["the"]) && folder.is_word(&["folder"]) => path,
                [folder, path @ ..] if folder.is_word(&["folder"]) => path,
                path => path,
            };
            if let [folder] = path
                && matches!(folder.kind, Kind::Path | Kind::Quoted)
            {
                outline.blocks.push(Block { heading: Heading::ForEach { folder, span }, sentences: Vec::new() });
                let after: Vec<&Token> = rest.iter().copied().skip(1).collect();
                if !after.is_empty() {
                    add(outline, Sentence { tokens: after, ..Sentence::default() });
                }
                return;
            }
            found.push(form(across(path), "the folder of the pictures can't be read", help));
        }
        _ => found.push(form(span, "what is done for each can't be read", help)),
    }
    outline.blocks.push(Block { heading: Heading::None, sentences: Vec::new() });
}

/// `Phase 2 (per image): …`
fn phase<'a>(outline: &mut Outline<'a>, tokens: &[&'a Token], found: &mut Vec<Diagnostic>) {
    let phases = outline.blocks.iter().filter(|block| matches!(block.heading, Heading::Phase { .. })).count() as u64;
    let colon = tokens.iter().position(|token| token.is(':')).unwrap_or(tokens.len());
    let (head, rest) = tokens.split_at(colon);
    let span = across(head);
    if let Some(number) = tokens.get(1).filter(|token| token.count() != Some(phases + 1)) {
        let message = format!("phase {} stands where phase {} is due", number.text, phases + 1);
        found.push(
            Diagnostic::error(code::RECIPE_COUNT, number.span, message)
                .help("number the phases 1, 2, 3 in their order; perhaps a line is missing"),
        );
    }
    let (mut per_image, mut one_by_one) = (false, false);
    let mut at = 2;
    while let Some(token) = head.get(at) {
        match token.kind {
            Kind::Mark('(' | ')' | ',') => {}
            _ if token.is_word(&["parallel"]) => {}
            _ if token.is_word(&["sequential", "serial"]) => one_by_one = true,
            _ if token.is_word(&["per", "each", "every"])
                && head.get(at + 1).is_some_and(|next| next.is_word(&["image", "picture", "photo", "result"])) =>
            {
                per_image = true;
                at += 1;
            }
            _ => found.push(
                Diagnostic::error(code::RECIPE_UNREAD, token.span, format!("can't read `{}`", token.text))
                    .help("a phase is `(parallel)`, `(sequential)` or `(per image)`"),
            ),
        }
        at += 1;
    }
    if rest.is_empty() {
        found.push(form(
            span,
            "what the phase does is missing",
            "write a `:` and what is done, `Phase 1: Detect → Crop`",
        ));
    }
    outline.blocks.push(Block { heading: Heading::Phase { per_image, one_by_one, span }, sentences: Vec::new() });
    let after: Vec<&Token> = rest.iter().copied().skip(1).collect();
    if !after.is_empty() {
        add(outline, Sentence { tokens: after, ..Sentence::default() });
    }
}
