//! `mocks:` of a test.

use super::{Reader, unknown_key};
use crate::case::Mocks;
use crate::inputs::outputs_of;
use crate::kit::check_mock;
use crate::mock::Mock;
use darkroom_engine::code;
use darkroom_engine::node::{Entry, Name, Node, NodeKind};
use darkroom_proto::{ErrorClass, StepError};
use serde_json::Value;

const MOCK_KEYS: &[&str] =
    &["outputs", "image", "error", "code", "message", "timeout", "times", "takes", "cost", "then"];

impl Reader<'_> {
    pub(super) fn mocks(&mut self, key: &Name, value: &Node) -> Mocks {
        let mut mocks = Mocks::new();
        for Entry { key, value } in self.map(key, value) {
            if let Err(why) = check_mock(self.plan(), &key.text) {
                self.error(code::BAD_TEST, key.span, format!("no mock can be of `{}`: {why}", key.text), "");
            }
            if let Some(mock) = self.mock(key, value) {
                mocks.push((key.text.clone(), mock));
            }
        }
        mocks
    }

    fn mock(&mut self, key: &Name, value: &Node) -> Option<Mock> {
        let entries = self.map(key, value);
        let (mut kinds, mut error, mut next) = (Vec::new(), (None, None, None), None);
        let (mut times, mut takes, mut cost) = (None, None, None);
        for Entry { key, value } in entries {
            match key.text.as_str() {
                "outputs" => {
                    self.map(key, value);
                    let outputs = value.to_json();
                    if let Value::Object(outputs) = &outputs
                        && let Err(why) = outputs_of(outputs, self.stage, self.folder)
                    {
                        self.error(code::BAD_TEST, value.span, why, "paths are relative to this file; `@@` is an `@`");
                    }
                    kinds.push((key, Mock::outputs(outputs)));
                }
                "image" => {
                    let text = self.text(key, value)?;
                    let sides = text.split_once('x').and_then(|(w, h)| w.parse().ok().zip(h.parse().ok()));
                    match sides {
                        Some((width, height)) => kinds.push((key, Mock::image(width, height))),
                        None => self.wrong_shape(key, value, "width and height in pixels", "write `image: 640x480`"),
                    }
                }
                "error" => {
                    let classes = ErrorClass::ALL.map(|class| (class.name(), class));
                    error.0 = self.word(key, value, &classes);
                    kinds.extend(error.0.map(|class| (key, Mock::error(class))));
                }
                "code" => error.1 = self.text(key, value),
                "message" => error.2 = self.text(key, value),
                "timeout" => match value.kind {
                    NodeKind::Bool(true) => kinds.push((key, Mock::timeout())),
                    _ => self.wrong_shape(key, value, "true", "leave it out where there is no time-out"),
                },
                "times" => times = self.count(key, value, 1),
                "takes" => takes = self.duration(key, value),
                "cost" => cost = self.number(key, value),
                "then" => next = self.mock(key, value),
                _ => unknown_key(self.found, key, MOCK_KEYS, "a mock"),
            }
        }
        let mut kinds = kinds.into_iter();
        let (Some((_, mut mock)), other) = (kinds.next(), kinds.next()) else {
            let help = "write one of `outputs`, `image`, `error` and `timeout`";
            self.error(code::MISSING_KEY, key.span, format!("the mock `{}` answers nothing", key.text), help);
            return None;
        };
        if let Some((key, _)) = other {
            let message = format!("`{}` is a second answer in one mock", key.text);
            self.error(code::BAD_TEST, key.span, message, "put it under `then:`");
        }
        if let (Some(class), code, message) = error
            && (code.is_some() || message.is_some())
        {
            let said = message.unwrap_or_else(|| "the mock fails".to_owned());
            mock = Mock::failure(StepError::new(class, said).code(code.unwrap_or_else(|| "mocked".to_owned())));
        }
        if let Some(times) = times {
            mock = mock.times(times);
        }
        if let Some(takes) = takes {
            mock = mock.takes(takes.to_std());
        }
        if let Some(cost) = cost {
            mock = mock.costs(cost);
        }
        Some(match next {
            Some(next) => mock.then(next),
            None => mock,
        })
    }
}
