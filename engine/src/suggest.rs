//! "Did you mean": the nearest of the words that would have been right.

/// The candidate that `word` was most probably meant to be.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = fold(word);
    candidates
        .into_iter()
        .filter(|candidate| *candidate != word)
        .map(|candidate| (distance(&folded, &fold(candidate)), candidate))
        .filter(|(distance, candidate)| {
            let length = candidate.chars().count().max(folded.chars().count());
            *distance <= (length / 3).max(1) || prefixed(&folded, &fold(candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// "did you mean `x`?", or the list of what there is.
pub fn advice<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str> + Clone, none: &str) -> String {
    if let Some(nearest) = nearest(word, candidates.clone()) {
        return format!("did you mean `{nearest}`?");
    }
    let all: Vec<&str> = candidates.into_iter().collect();
    match all.len() {
        0 => none.to_owned(),
        _ => format!("there is {}", list(all)),
    }
}

/// `` `a`, `b` and `c` ``, cut where it gets long.
pub fn list<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.into_iter().map(|word| format!("`{word}`")).collect();
    const MOST: usize = 16;
    match words.as_slice() {
        [] => "nothing".to_owned(),
        [one] => one.clone(),
        many if many.len() > MOST => format!("{} and {} more", many[..MOST].join(", "), many.len() - MOST),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

fn distance(a: &str, b: &str) -> usize {
    // Comparing very long words is slow and never helps anybody.
    if a.len() > 100 || b.len() > 100 { usize::MAX } else { strsim::damerau_levenshtein(a, b) }
}

fn fold(word: &str) -> String {
    word.chars().filter(|c| !matches!(c, '-' | '_' | '.' | ' ')).flat_map(char::to_lowercase).take(101).collect()
}

fn prefixed(word: &str, candidate: &str) -> bool {
    word.len() >= 3 && candidate.len() >= 3 && (candidate.starts_with(word) || word.starts_with(candidate))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_other_words_are_not() {
        let words = ["image.crop", "image.resize", "save", "max-parallel", "boxes"];
        let cases = [
            ("image.corp", Some("image.crop")),
            ("image.resise", Some("image.resize")),
            ("max_parallel", Some("max-parallel")),
            ("maxParallel", Some("max-parallel")),
            ("box", Some("boxes")),
            ("banana", None),
        ];
        for (word, want) in cases {
            assert_eq!(nearest(word, words), want, "{word}");
        }
    }
}
