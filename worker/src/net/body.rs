//! What a request carries, as bytes.

use darkroom_proto::Sha256;
use darkroom_provider::{Body, Part};

/// How long the line between parts is. 70 are allowed (RFC 2046).
const BOUNDARY_CHARS: usize = 60;

/// The type and the bytes; `None` where there is nothing to send.
pub(super) fn encode(body: &Body) -> Option<(String, Vec<u8>)> {
    match body {
        Body::Empty => None,
        Body::Json(value) => Some(("application/json".to_owned(), value.to_string().into_bytes())),
        Body::Bytes { media_type, bytes } => Some((media_type.clone(), bytes.clone())),
        Body::Multipart(parts) => Some(form(parts)),
    }
}

fn form(parts: &[Part]) -> (String, Vec<u8>) {
    let boundary = boundary(parts);
    let mut bytes = Vec::with_capacity(parts.iter().map(|part| part.bytes.len() + 256).sum());
    for part in parts {
        let mut head = format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{}\"", quoted(&part.name));
        if let Some(name) = &part.file_name {
            head.push_str(&format!("; filename=\"{}\"", quoted(name)));
        }
        if let Some(media_type) = &part.media_type {
            head.push_str(&format!("\r\nContent-Type: {}", media_type.replace(['\r', '\n'], " ")));
        }
        head.push_str("\r\n\r\n");
        bytes.extend_from_slice(head.as_bytes());
        bytes.extend_from_slice(&part.bytes);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    (format!("multipart/form-data; boundary={boundary}"), bytes)
}

/// A line that is in none of the parts, because it follows from all of them: whoever made a file can't end its part early.
fn boundary(parts: &[Part]) -> String {
    let digests: String = parts.iter().map(|part| Sha256::of(&part.bytes).to_string()).collect();
    let mut boundary = format!("darkroom-{}", Sha256::of(digests.as_bytes()));
    boundary.truncate(BOUNDARY_CHARS);
    boundary
}

/// A name inside quotes, written as browsers do.
fn quoted(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(parts: Vec<Part>) -> (String, String) {
        let (media_type, bytes) = encode(&Body::Multipart(parts)).unwrap();
        (media_type, String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn a_form_is_what_servers_expect() {
        let picture = Part {
            name: "image".into(),
            file_name: Some("a \"b\"\r\n.png".into()),
            media_type: Some("image/png".into()),
            bytes: b"PNG".to_vec(),
        };
        let (media_type, body) = encoded(vec![Part::text("prompt", "a fox"), picture]);
        let boundary = media_type.strip_prefix("multipart/form-data; boundary=").unwrap();
        assert_eq!(boundary.len(), BOUNDARY_CHARS);
        let line = format!("--{boundary}");
        let want = [
            line.as_str(),
            "Content-Disposition: form-data; name=\"prompt\"",
            "",
            "a fox",
            line.as_str(),
            "Content-Disposition: form-data; name=\"image\"; filename=\"a %22b%22%0D%0A.png\"",
            "Content-Type: image/png",
            "",
            "PNG",
            &format!("{line}--"),
            "",
        ];
        assert_eq!(body, want.join("\r\n"));
    }

    #[test]
    fn a_file_cannot_end_its_part() {
        let (first, _) = encoded(vec![Part::text("a", "x")]);
        let boundary = first.split_once('=').unwrap().1;
        let (second, body) = encoded(vec![Part::text("a", format!("x\r\n--{boundary}--\r\n"))]);
        let other = second.split_once('=').unwrap().1;
        assert_eq!(body.matches(other).count(), 2, "it begins and ends the form, and is nowhere else");
    }
}
