//! AUTOMATIC1111: Stable Diffusion on a server of one's own, started with `--api`.
//!
//! `POST /sdapi/v1/<endpoint>` answers with the pictures, one job after the other. Nothing is charged. Source: what its users
//! report, and its source code from memory; it has no documentation of answers.

use crate::adapter::{Access, Adapter, Ask, Failure, Polled, Product, Submission, Submitted, Traits};
use crate::answer;
use crate::http::{Request, Response};
use crate::{classify, mapping};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use darkroom_proto::{ErrorClass, StepError};
use secrecy::ExposeSecret;
use serde_json::Value;

/// The adapter. The endpoint of a route is `txt2img`, `img2img` or `extra-single-image`. The key, if there is one, is
/// `user:password`.
#[derive(Debug)]
pub(crate) struct A1111;

const NAME: &str = "a1111";
const HOST: &str = "http://127.0.0.1:7860";

/// How long a picture may take.
const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(300);

impl Adapter for A1111 {
    fn name(&self) -> &'static str {
        NAME
    }

    fn traits(&self) -> Traits {
        Traits {
            synchronous: true,
            webhook: false,
            signed: false,
            // Its `/interrupt` ends whatever runs, whoever it is for.
            cancels: false,
            looks_up: false,
            at_once: 1,
            rate: None,
        }
    }

    fn hosts(&self) -> &'static [&'static str] {
        &[]
    }

    fn needs_key(&self) -> bool {
        false
    }

    fn submit(&self, access: &Access, ask: &Ask<'_>) -> Result<Submission, StepError> {
        let mut mapped = mapping::body(ask)?;
        // Without sides it would make a square of every picture.
        if ask.route.endpoint == "img2img"
            && let Some((width, height)) = ask.files.iter().find_map(|file| file.size).map(answer::fitted)
            && !mapped.body.contains_key("width")
            && !mapped.body.contains_key("height")
        {
            mapped.body.insert("width".to_owned(), width.into());
            mapped.body.insert("height".to_owned(), height.into());
        }
        let url = access.url(HOST, &format!("/sdapi/v1/{}", ask.route.endpoint));
        let request = Request::post(url, Value::Object(mapped.body)).within(TIMEOUT);
        Ok(Submission { request: keyed(access, request), ignored: mapped.ignored, notes: mapped.notes })
    }

    fn submitted(&self, _access: &Access, ask: &Ask<'_>, response: &Response) -> Submitted {
        if !response.is_success() {
            return answer::refused(self, response);
        }
        let body = response.json();
        if !body.is_object() {
            return answer::unreadable(NAME);
        }
        let data = body.pointer("/images/0").or_else(|| body.get("image")).and_then(Value::as_str);
        let file = data.and_then(|data| match data.starts_with("data:") {
            true => answer::at(answer::output_of(ask.op), data),
            false => answer::inline(answer::output_of(ask.op), data, "image/png"),
        });
        let mut product = Product { files: file.into_iter().collect(), ..Product::default() };
        let info = answer::text_in(&body, "info").and_then(|info| serde_json::from_str::<Value>(info).ok());
        if let Some(seed) = info.as_ref().and_then(|info| info.get("seed")).filter(|seed| seed.is_number()) {
            product.facts.insert("seed".to_owned(), seed.clone());
        }
        match answer::made(NAME, product) {
            Ok(product) => Submitted::Done(product),
            Err(failure) => Submitted::Refused(Failure::unbilled(failure.error)),
        }
    }

    fn check(&self, access: &Access) -> Option<Request> {
        Some(keyed(access, Request::get(access.url(HOST, "/sdapi/v1/progress"))))
    }

    fn poll(&self, _access: &Access, _handle: &Value) -> Result<Request, StepError> {
        Err(classify::bad_handle(NAME))
    }

    fn polled(&self, _access: &Access, _handle: &Value, _stage: &str, response: &Response) -> Polled {
        Polled::Again(self.classify(response))
    }

    fn classify(&self, response: &Response) -> StepError {
        let body = response.json();
        let kind = answer::text_in(&body, "error").unwrap_or_default();
        let said = ["errors", "detail"].iter().find_map(|name| answer::text_in(&body, name)).unwrap_or_default();
        if answer::is_out_of_memory(kind) || answer::is_out_of_memory(said) {
            let class = Some(ErrorClass::ServerUnavailable);
            return classify::error(NAME, response, class, said).code("out_of_memory");
        }
        let is_full = said.contains("No space left").then_some(ErrorClass::QuotaExceeded);
        classify::error(NAME, response, is_full, said)
    }
}

fn keyed(access: &Access, request: Request) -> Request {
    match access.key.expose_secret() {
        "" => request,
        key => request.secret("authorization", format!("Basic {}", STANDARD.encode(key))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::Source;
    use crate::sample::{Sample, answered, json_of, keyed_by, secret};
    use serde_json::json;

    fn drawn() -> Sample {
        let map = json!({"prompt": "prompt", "negative-prompt": "negative_prompt", "width": "width:multiple(8,64,2048)",
                         "height": "height:multiple(8,64,2048)", "seed": "seed", "steps": "steps", "guidance": "cfg_scale"});
        let fixed = json!({"override_settings": {"sd_model_checkpoint": "sd_xl_base_1.0"}});
        let params = json!({"prompt": "x", "negative-prompt": "blur", "width": 1024, "height": 764, "seed": 42, "steps": 30,
                            "guidance": 6.5});
        Sample::made("image.generate", json!({"endpoint": "txt2img", "map": map, "fixed": fixed}), params)
    }

    #[test]
    fn a_submission_says_all_that_is_asked_for() {
        let sent = A1111.submit(&keyed_by("user:word"), &drawn().ask()).unwrap();
        assert_eq!(sent.request.url, "http://127.0.0.1:7860/sdapi/v1/txt2img");
        assert_eq!(secret(&sent.request, "authorization"), "Basic dXNlcjp3b3Jk");
        let want = json!({"prompt": "x", "negative_prompt": "blur", "width": 1024, "height": 768, "seed": 42, "steps": 30,
                          "cfg_scale": 6.5, "override_settings": {"sd_model_checkpoint": "sd_xl_base_1.0"}});
        assert_eq!(*json_of(&sent.request), want);
        assert!(A1111.submit(&keyed_by(""), &drawn().ask()).unwrap().request.secrets.is_empty());
    }

    #[test]
    fn a_picture_keeps_its_proportion_and_goes_along_bare() {
        let map = json!({"prompt": "prompt", "image": "init_images:base64s", "strength": "denoising_strength"});
        let params = json!({"prompt": "x", "strength": 0.4});
        let edit = Sample::made("image.edit", json!({"endpoint": "img2img", "map": map}), params).file("image", None);
        let sent = A1111.submit(&keyed_by(""), &edit.ask()).unwrap().request;
        let want =
            json!({"prompt": "x", "init_images": ["cG5n"], "denoising_strength": 0.4, "width": 640, "height": 480});
        assert_eq!(*json_of(&sent), want);

        let map = json!({"image": "image:base64", "factor": "upscaling_resize"});
        let route = json!({"endpoint": "extra-single-image", "map": map, "fixed": {"upscaler_1": "R-ESRGAN 4x+"}});
        let upscale = Sample::made("image.upscale", route, json!({"factor": 2})).file("image", None);
        let sent = A1111.submit(&keyed_by(""), &upscale.ask()).unwrap().request;
        assert_eq!(*json_of(&sent), json!({"image": "cG5n", "upscaling_resize": 2, "upscaler_1": "R-ESRGAN 4x+"}));
    }

    #[test]
    fn a_picture_comes_at_once_with_its_seed() {
        let info = json!({"seed": 42, "all_seeds": [42]}).to_string();
        let cases = [
            json!({"images": ["cG5n", "Z3JpZA=="], "parameters": {}, "info": info}),
            json!({"images": ["data:image/png;base64,cG5n"], "parameters": {}, "info": info}),
            json!({"image": "cG5n", "html_info": "", "info": info}),
        ];
        for body in cases {
            let Submitted::Done(product) = A1111.submitted(&keyed_by(""), &drawn().ask(), &answered(200, body.clone()))
            else {
                panic!("{body} is a picture");
            };
            assert_eq!((product.files.len(), &product.facts["seed"]), (1, &json!(42)), "{body}");
            assert!(matches!(&product.files[0].source, Source::Bytes { bytes, .. } if bytes == b"png"), "{body}");
        }
    }

    #[test]
    fn failures_cost_nothing_and_have_a_class() {
        use ErrorClass::{InvalidInput, InvalidKey, ModelNotFound, QuotaExceeded, ServerUnavailable};
        let raised = |kind: &str, said: &str| json!({"error": kind, "detail": "", "body": "", "errors": said});
        let cases = [
            (200, json!({"images": [], "info": ""}), ServerUnavailable),
            (401, json!({"detail": "Incorrect username or password"}), InvalidKey),
            (404, json!({"detail": "Sampler not found"}), ModelNotFound),
            (422, json!({"detail": [{"loc": ["body", "steps"], "msg": "value is not a valid integer"}]}), InvalidInput),
            (500, raised("OutOfMemoryError", "CUDA out of memory. Tried to allocate 2 GiB"), ServerUnavailable),
            (500, raised("OSError", "[Errno 28] No space left on device"), QuotaExceeded),
            (500, raised("RuntimeError", "checkpoint broken"), ServerUnavailable),
        ];
        for (status, body, class) in cases {
            let Submitted::Refused(failure) =
                A1111.submitted(&keyed_by(""), &drawn().ask(), &answered(status, body.clone()))
            else {
                panic!("{body} is a failure");
            };
            assert_eq!((failure.error.class, failure.billed), (class, false), "{status} {body}");
        }
        let full = A1111.classify(&answered(500, raised("OutOfMemoryError", "CUDA out of memory")));
        assert_eq!(full.code, "out_of_memory");
    }
}
