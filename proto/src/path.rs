//! Paths of step instances, such as `branded[3]/resize`.

use serde::{Deserialize, Serialize};

/// The longest path that is accepted, in bytes.
pub(crate) const PATH_BYTES_MAX: usize = 512;

/// Names one step instance inside a run: ids joined by `/`, instances of a fan-out numbered from 1 in brackets.
///
/// `branded` is a top-level step (or a fan-out as a whole), `branded[3]` its third instance, `branded[3]/resize` a step
/// in that instance's body. `branded[1001-2000]` are a thousand instances that are done together, in a run of their own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepPath(Box<str>);

impl StepPath {
    /// The path of a top-level step.
    pub fn top(id: &str) -> StepPath {
        StepPath(id.into())
    }

    /// The path of an instance of this fan-out; `number` counts from 1.
    pub fn instance(&self, number: u32) -> StepPath {
        StepPath(format!("{}[{number}]", self.0).into())
    }

    /// The path of the instances `first` to `last` of this fan-out together; numbers count from 1.
    pub fn part(&self, first: u32, last: u32) -> StepPath {
        StepPath(format!("{}[{first}-{last}]", self.0).into())
    }

    /// The path of a step in the body of this instance.
    pub fn child(&self, id: &str) -> StepPath {
        StepPath(format!("{}/{id}", self.0).into())
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last segment's id and, for an instance, its number; for several together, that of the first.
    pub fn last(&self) -> (&str, Option<u32>) {
        let (id, numbers) = self.last_segment();
        (id, numbers.map(|(first, _)| first))
    }

    /// The first and the last instance, if it is that of several together.
    pub fn range(&self) -> Option<(u32, u32)> {
        let (first, last) = self.last_segment().1?;
        Some((first, last?))
    }

    fn last_segment(&self) -> (&str, Option<(u32, Option<u32>)>) {
        let segment = self.0.rsplit('/').next().unwrap_or(&self.0);
        match segment.strip_suffix(']').and_then(|segment| segment.rsplit_once('[')) {
            Some((id, text)) => (id, instance_numbers(text)),
            None => (segment, None),
        }
    }

    /// What contains it: the fan-out of an instance, the instance of a body step, nothing for a top-level step.
    pub fn parent(&self) -> Option<StepPath> {
        if self.0.ends_with(']') {
            self.0.rfind('[').map(|at| StepPath(self.0[..at].into()))
        } else {
            self.0.rfind('/').map(|at| StepPath(self.0[..at].into()))
        }
    }

    /// Whether it is `ancestor` or lies under it.
    pub fn is_within(&self, ancestor: &StepPath) -> bool {
        self.0.strip_prefix(&*ancestor.0).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '[']))
    }
}

/// What stands in the brackets of a segment: the number of an instance, or the first and the last of several.
pub fn instance_numbers(text: &str) -> Option<(u32, Option<u32>)> {
    let number = |text: &str| text.parse::<u32>().ok().filter(|number| *number >= 1);
    match text.split_once('-') {
        Some((first, last)) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some((first, Some(last)))
        }
        None => Some((number(text)?, None)),
    }
}

impl std::fmt::Display for StepPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

/// The text is no path of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a step path: expected something like `resize`, `branded[3]` or `branded[3]/resize`")]
pub struct StepPathError;

impl std::str::FromStr for StepPath {
    type Err = StepPathError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let segment_is_good = |segment: &str| {
            let (id, number) = match segment.strip_suffix(']') {
                Some(rest) => match rest.split_once('[') {
                    Some((id, number)) => (id, Some(number)),
                    None => return false,
                },
                None => (segment, None),
            };
            let id_is_good = !id.is_empty() && id.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_');
            id_is_good && number.is_none_or(|number| instance_numbers(number).is_some())
        };
        if text.len() <= PATH_BYTES_MAX && text.split('/').all(segment_is_good) {
            Ok(StepPath(text.into()))
        } else {
            Err(StepPathError)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_knows_its_parent_and_its_last_segment() {
        let path: StepPath = "branded[3]/resize".parse().unwrap();
        assert_eq!(path, StepPath::top("branded").instance(3).child("resize"));
        assert_eq!(path.last(), ("resize", None));
        let instance = path.parent().unwrap();
        assert_eq!(instance.last(), ("branded", Some(3)));
        assert_eq!(instance.parent(), Some(StepPath::top("branded")));
        assert_eq!(StepPath::top("branded").parent(), None);
        assert!(path.is_within(&StepPath::top("branded")) && !path.is_within(&StepPath::top("brand")));
        let part: StepPath = "branded[1001-2000]".parse().unwrap();
        assert_eq!(part, StepPath::top("branded").part(1_001, 2_000));
        assert_eq!((part.last(), part.range()), (("branded", Some(1_001)), Some((1_001, 2_000))));
        assert_eq!((part.parent(), path.range()), (Some(StepPath::top("branded")), None));
        for text in ["", "/", "a[0]", "a[", "a]b", "a//b", "a b", "a[2-1]", "a[0-1]", "a[1-]", "a[-1]"] {
            assert!(text.parse::<StepPath>().is_err(), "{text}");
        }
    }
}
