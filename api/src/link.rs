//! What is signed: links to artifacts, and references to uploaded files.
//!
//! Artifacts are named by their content and shared by all tenants, so a digest alone opens nothing. Whoever may see a run gets
//! links to its artifacts that end after a while; whoever uploads a file gets a reference that only its tenant can use.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use darkroom_proto::{Artifact, Sha256, TaskToken, Tenant, Timestamp};
use serde_json::Value;

/// What references to files begin with.
pub(crate) const FILE_PREFIX: &str = "file:";

/// How many bytes of a signature are shown: 128 bits.
const SIGNATURE_BYTES: usize = 16;

/// Signs and checks.
#[derive(Debug)]
pub(crate) struct Signer(hmac::Key);

/// What a link to an artifact says of it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize, utoipa::IntoParams)]
pub(crate) struct Linked {
    /// When it ends, in seconds since 1970.
    pub(crate) expires: u64,
    /// The media type that is answered.
    #[serde(rename = "type")]
    pub(crate) media_type: String,
    /// The length in bytes.
    pub(crate) bytes: u64,
    /// The file name that a browser saves it under.
    #[serde(default)]
    pub(crate) name: String,
    /// The signature over all of it.
    pub(crate) signature: String,
}

impl Signer {
    pub(crate) fn new(secret: &str) -> Signer {
        Signer(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()))
    }

    fn sign(&self, parts: &[&str]) -> String {
        // Each part behind its length, so that no two lists of parts are one text.
        let text: String = parts.iter().map(|part| format!("{}:{part};", part.len())).collect();
        let tag = hmac::sign(&self.0, text.as_bytes());
        URL_SAFE_NO_PAD.encode(&tag.as_ref()[..SIGNATURE_BYTES])
    }

    fn is_signed(&self, parts: &[&str], signature: &str) -> bool {
        // Digests are compared, so how long that takes tells nothing of the signature.
        Sha256::of(self.sign(parts).as_bytes()) == Sha256::of(signature.as_bytes())
    }

    /// A link to an artifact that ends at a time. `base` is where the API is reached, without a slash at its end.
    pub(crate) fn link(&self, base: &str, artifact: &Artifact, until: Timestamp) -> String {
        let (sha256, expires, bytes) =
            (artifact.sha256.to_string(), (until.0 / 1_000).to_string(), artifact.bytes.to_string());
        let signature = self.sign(&["artifact", &sha256, &expires, &artifact.media_type, &bytes, &artifact.name]);
        format!(
            "{base}/v1/artifacts/{sha256}?expires={expires}&type={}&bytes={bytes}&name={}&signature={signature}",
            escaped(&artifact.media_type),
            escaped(&artifact.name),
        )
    }

    /// The artifact that a link is to, if it is one of ours and has not ended.
    pub(crate) fn linked(&self, sha256: Sha256, link: Linked, now: Timestamp) -> Option<Artifact> {
        let parts = [
            "artifact",
            &sha256.to_string(),
            &link.expires.to_string(),
            &link.media_type,
            &link.bytes.to_string(),
            &link.name,
        ];
        let is_good = self.is_signed(&parts, &link.signature) && now.0 / 1_000 < link.expires;
        is_good.then_some(Artifact {
            sha256,
            media_type: link.media_type,
            bytes: link.bytes,
            width: None,
            height: None,
            duration: None,
            name: link.name,
        })
    }

    /// A token of a task, as it stands in a message.
    pub(crate) fn task(&self, token: &TaskToken) -> String {
        let text = token.to_string();
        let signature = self.sign(&["task", &text]);
        format!("{text}~{signature}")
    }

    /// The attempt that a token names, if it is one of ours.
    pub(crate) fn opened_task(&self, signed: &str) -> Option<TaskToken> {
        let (token, signature) = TaskToken::split(signed)?;
        self.is_signed(&["task", &token.to_string()], signature).then_some(token)
    }

    /// A reference to an uploaded file, for its tenant.
    pub(crate) fn file(&self, tenant: &Tenant, artifact: &Artifact) -> String {
        let body = URL_SAFE_NO_PAD.encode(artifact.to_value().to_string());
        let signature = self.sign(&["file", tenant.as_str(), &body]);
        format!("{FILE_PREFIX}{body}.{signature}")
    }

    /// The file that a reference is to, if it is this tenant's.
    pub(crate) fn opened(&self, tenant: &Tenant, reference: &str) -> Option<Artifact> {
        let (body, signature) = reference.strip_prefix(FILE_PREFIX)?.split_once('.')?;
        if !self.is_signed(&["file", tenant.as_str(), body], signature) {
            return None;
        }
        let value: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(body).ok()?).ok()?;
        Artifact::from_value(&value)
    }
}

/// Text as it stands in a query.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn artifact() -> Artifact {
        Artifact {
            sha256: Sha256::of(b"mug"),
            media_type: "image/png".into(),
            bytes: 3,
            width: Some(1),
            height: Some(2),
            duration: None,
            name: "a mug & b.png".into(),
        }
    }

    #[test]
    fn a_reference_to_a_file_is_of_use_to_its_tenant_alone() {
        let signer = Signer::new("secret");
        let (acme, other) = ("acme".parse().unwrap(), "other".parse().unwrap());
        let reference = signer.file(&acme, &artifact());
        assert_eq!(signer.opened(&acme, &reference), Some(artifact()));
        assert_eq!(signer.opened(&other, &reference), None);
        assert_eq!(Signer::new("another").opened(&acme, &reference), None);
        assert_eq!(signer.opened(&acme, "file:e30.x"), None);
    }

    #[test]
    fn a_link_ends_and_can_not_be_changed() {
        let signer = Signer::new("secret");
        let link = signer.link("http://127.0.0.1", &artifact(), Timestamp(10_000));
        assert!(link.contains("name=a%20mug%20%26%20b.png"), "{link}");
        let linked = Linked {
            expires: 10,
            media_type: "image/png".into(),
            bytes: 3,
            name: "a mug & b.png".into(),
            signature: link.rsplit('=').next().unwrap().to_owned(),
        };
        let sha256 = artifact().sha256;
        assert!(signer.linked(sha256, linked.clone(), Timestamp(9_999)).is_some());
        assert!(signer.linked(sha256, linked.clone(), Timestamp(10_000)).is_none());
        assert!(signer.linked(Sha256::of(b"other"), linked.clone(), Timestamp(1)).is_none());
        for changed in [
            Linked { expires: 11, ..linked.clone() },
            Linked { media_type: "text/html".into(), ..linked.clone() },
            Linked { bytes: 4, ..linked.clone() },
            Linked { name: "x".into(), ..linked },
        ] {
            assert!(signer.linked(sha256, changed, Timestamp(1)).is_none());
        }
    }
}
