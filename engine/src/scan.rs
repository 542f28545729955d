//! Cuts `${{ … }}` out of text. Everything around it is text, whatever it looks like.

/// A piece of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Text as it is.
    Text(String),
    /// What stands between the braces, trimmed, and where it begins in the text.
    Expr { source: String, at: usize },
}

/// An expression that does not end, and where it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unclosed {
    pub at: usize,
}

/// The pieces of `text`.
pub(crate) fn pieces(text: &str) -> Result<Vec<Piece>, Unclosed> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut at = 0;
    while let Some(found) = text[at..].find("${{") {
        let start = at + found;
        if text[at..start].ends_with('$') {
            // `$${{` is how a literal `${{` is written.
            plain.push_str(&text[at..start]);
            plain.push_str("{{");
            at = start + 3;
            continue;
        }
        plain.push_str(&text[at..start]);
        let len = expression_len(&text[start..]).ok_or(Unclosed { at: start })?;
        if !plain.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut plain)));
        }
        let inner = &text[start + 3..start + len - 2];
        let lead = inner.len() - inner.trim_start().len();
        pieces.push(Piece::Expr { source: inner.trim().to_owned(), at: start + 3 + lead });
        at = start + len;
    }
    plain.push_str(&text[at..]);
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain));
    }
    Ok(pieces)
}

/// How long the expression at the beginning of `text` is, from `${{` to `}}`. Quotes and nested braces are respected.
pub(crate) fn expression_len(text: &str) -> Option<usize> {
    let inner = text.strip_prefix("${{")?;
    let mut quote = None;
    let mut depth = 0usize;
    let mut chars = inner.char_indices();
    while let Some((at, c)) = chars.next() {
        match (quote, c) {
            (Some(_), '\\') => {
                chars.next();
            }
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '{') => depth += 1,
            (None, '}') if depth > 0 => depth -= 1,
            (None, '}') if inner[at..].starts_with("}}") => return Some(3 + at + 2),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_cut_out_and_the_rest_stays_text() {
        let text = |text: &str| Piece::Text(text.into());
        let expr = |source: &str, at| Piece::Expr { source: source.into(), at };
        let cases = [
            ("plain {{ x }} {% y %} {# z #}", vec![text("plain {{ x }} {% y %} {# z #}")]),
            ("${{ inputs.a }}", vec![expr("inputs.a", 4)]),
            ("a ${{x}} b", vec![text("a "), expr("x", 5), text(" b")]),
            ("${{ '}}' ~ \"}}\" }}!", vec![expr("'}}' ~ \"}}\"", 4), text("!")]),
            ("${{ {'a': {'b': 1}} }}", vec![expr("{'a': {'b': 1}}", 4)]),
            ("cost: $${{ x }}", vec![text("cost: ${{ x }}")]),
            ("$ $$ $${", vec![text("$ $$ $${")]),
            ("", vec![]),
        ];
        for (given, want) in cases {
            assert_eq!(pieces(given), Ok(want), "{given}");
        }
        assert_eq!(pieces("a ${{ x }"), Err(Unclosed { at: 2 }));
        assert_eq!(pieces("${{ 'x }}"), Err(Unclosed { at: 0 }));
    }
}
