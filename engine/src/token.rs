//! The words of an expression, so that the names in it can be found before it is evaluated.

use std::ops::Range;

/// A word of an expression.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Token {
    pub kind: TokenKind,
    pub range: Range<usize>,
}

/// What a word is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum TokenKind {
    Name(String),
    Integer(i64),
    Float,
    Text(String),
    Sign(&'static str),
}

/// Why a text can't be cut into words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LexError {
    pub message: String,
    pub help: String,
    pub range: Range<usize>,
}

const SIGNS: &[&str] = &[
    "**", "//", "==", "!=", "<=", ">=", "<", ">", "+", "-", "*", "/", "%", "~", "|", "(", ")", "[", "]", "{", "}", ",",
    ".", ":", "=",
];

/// Signs of other languages, and what to write instead.
const FOREIGN: &[(&str, &str)] = &[
    ("&&", "write `and`"),
    ("||", "write `or`"),
    ("===", "write `==`"),
    ("!==", "write `!=`"),
    ("&", "write `and`"),
    ("?", "write `a if condition else b`"),
    ("!", "write `not`"),
    ("${{", "expressions are not nested: write the name as it is"),
    ("$", "names have no `$` here"),
    (";", "there are no statements in an expression"),
];

impl Token {
    pub(crate) fn is(&self, sign: &str) -> bool {
        matches!(&self.kind, TokenKind::Sign(found) if *found == sign)
    }

    pub(crate) fn name(&self) -> Option<&str> {
        match &self.kind {
            TokenKind::Name(name) => Some(name),
            _ => None,
        }
    }
}

/// The words of `source`.
pub(crate) fn tokens(source: &str) -> Result<Vec<Token>, LexError> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(c) = source[at..].chars().next() {
        if c.is_whitespace() {
            at += c.len_utf8();
            continue;
        }
        let (kind, len) = word(source, at, c)?;
        tokens.push(Token { kind, range: at..at + len });
        at += len;
    }
    balanced(&tokens)?;
    Ok(tokens)
}

fn word(source: &str, at: usize, first: char) -> Result<(TokenKind, usize), LexError> {
    let rest = &source[at..];
    if first.is_ascii_alphabetic() || first == '_' {
        let len = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
        return Ok((TokenKind::Name(rest[..len].to_owned()), len));
    }
    if first.is_ascii_digit() {
        return Ok(number(rest));
    }
    if first == '"' || first == '\'' {
        return text(rest, first).ok_or_else(|| LexError {
            message: "a text in the expression is not closed".to_owned(),
            help: format!("add the missing {first}"),
            range: at..source.len(),
        });
    }
    let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign));
    let foreign = FOREIGN.iter().find(|(foreign, _)| rest.starts_with(foreign));
    match (sign, foreign) {
        (Some(sign), foreign) if foreign.is_none_or(|(foreign, _)| foreign.len() <= sign.len()) => {
            Ok((TokenKind::Sign(sign), sign.len()))
        }
        (_, Some((sign, help))) => Err(LexError {
            message: format!("`{sign}` means nothing in an expression"),
            help: (*help).to_owned(),
            range: at..at + sign.len(),
        }),
        _ => Err(LexError {
            message: format!("`{first}` means nothing in an expression"),
            help: "text needs quotes: 'like this'".to_owned(),
            range: at..at + first.len_utf8(),
        }),
    }
}

fn number(rest: &str) -> (TokenKind, usize) {
    let digits = |text: &str| text.find(|c: char| !(c.is_ascii_digit() || c == '_')).unwrap_or(text.len());
    let whole = digits(rest);
    let mut len = whole;
    if rest[len..].starts_with('.') && rest[len + 1..].starts_with(|c: char| c.is_ascii_digit()) {
        len += 1 + digits(&rest[len + 1..]);
    }
    if let Some(exponent) = rest[len..].strip_prefix(['e', 'E']) {
        let sign = usize::from(exponent.starts_with(['+', '-']));
        let count = digits(&exponent[sign..]);
        if count > 0 {
            len += 1 + sign + count;
        }
    }
    let integer = (len == whole).then(|| rest[..len].replace('_', "").parse().ok()).flatten();
    (integer.map_or(TokenKind::Float, TokenKind::Integer), len)
}

fn text(rest: &str, quote: char) -> Option<(TokenKind, usize)> {
    let mut value = String::new();
    let mut chars = rest.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => value.push(chars.next()?.1),
            c if c == quote => return Some((TokenKind::Text(value), at + 1)),
            c => value.push(c),
        }
    }
    None
}

fn balanced(tokens: &[Token]) -> Result<(), LexError> {
    let mut open: Vec<&Token> = Vec::new();
    for token in tokens {
        let TokenKind::Sign(sign) = token.kind else { continue };
        let opens = match sign {
            "(" | "[" | "{" => {
                open.push(token);
                continue;
            }
            ")" => "(",
            "]" => "[",
            "}" => "{",
            _ => continue,
        };
        if !open.pop().is_some_and(|token| token.is(opens)) {
            return Err(LexError {
                message: format!("`{sign}` closes nothing"),
                help: format!("remove it, or add the missing `{opens}`"),
                range: token.range.clone(),
            });
        }
    }
    match open.pop() {
        Some(token) => Err(LexError {
            message: "a bracket is not closed".to_owned(),
            help: "add the missing bracket".to_owned(),
            range: token.range.clone(),
        }),
        None => Ok(()),
    }
}
