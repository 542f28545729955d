//! Forms with files (`multipart/form-data`), read whole.

use crate::asked::Asked;
use axum::body::Bytes;

/// A field of a form.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Field {
    pub(crate) name: String,
    /// Of a file.
    pub(crate) file_name: Option<String>,
    pub(crate) media_type: Option<String>,
    pub(crate) bytes: Bytes,
}

/// The fields of a form.
#[derive(Debug, Clone, Default)]
pub(crate) struct Form(pub(crate) Vec<Field>);

impl Form {
    /// Reads the body of a request; nothing if it is no form.
    pub(crate) fn of(asked: &Asked) -> Option<Form> {
        let kind = asked.header("content-type")?;
        let boundary = kind.strip_prefix("multipart/form-data")?.split(';').find_map(|part| {
            let value = part.trim().strip_prefix("boundary=")?;
            Some(value.trim_matches('"'))
        })?;
        read(&asked.body, boundary)
    }

    /// The text of a field.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        let field = self.0.iter().find(|field| field.name == name && field.file_name.is_none())?;
        Some(String::from_utf8_lossy(&field.bytes).into_owned())
    }

    /// The files of a field, also of one that is called `name[]`.
    pub(crate) fn files<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Field> {
        self.0.iter().filter(move |field| {
            field.file_name.is_some() && field.name.strip_suffix("[]").unwrap_or(&field.name) == name
        })
    }

    /// What charges show of it: text as it is, files by name and length.
    pub(crate) fn document(&self) -> serde_json::Value {
        let mut document = serde_json::Map::new();
        for field in &self.0 {
            let value = match &field.file_name {
                Some(name) => format!("file {name}, {} bytes", field.bytes.len()),
                None => String::from_utf8_lossy(&field.bytes).into_owned(),
            };
            document.insert(field.name.clone(), value.into());
        }
        document.into()
    }
}

fn read(body: &Bytes, boundary: &str) -> Option<Form> {
    let (first, between) = (format!("--{boundary}"), format!("\r\n--{boundary}"));
    let mut at = find(body, first.as_bytes(), 0)? + first.len();
    let mut fields = Vec::new();
    // Behind the last boundary stands `--`.
    while !body[at..].starts_with(b"--") {
        let headers_end = find(body, b"\r\n\r\n", at)?;
        let end = find(body, between.as_bytes(), headers_end + 2)?;
        let headers = String::from_utf8_lossy(&body[at..headers_end]).into_owned();
        fields.push(field(&headers, body.slice((headers_end + 4).min(end)..end))?);
        at = end + between.len();
    }
    Some(Form(fields))
}

fn field(headers: &str, bytes: Bytes) -> Option<Field> {
    let header = |name: &str| {
        headers.lines().find_map(|line| {
            let (known, value) = line.split_once(':')?;
            known.trim().eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    };
    let disposition = header("content-disposition")?;
    let parameter = |name: &str| {
        disposition.split(';').find_map(|part| {
            let value = part.trim().strip_prefix(name)?.strip_prefix('=')?;
            Some(value.trim_matches('"').to_owned())
        })
    };
    let name = parameter("name")?;
    Some(Field { name, file_name: parameter("filename"), media_type: header("content-type"), bytes })
}

fn find(body: &[u8], what: &[u8], from: usize) -> Option<usize> {
    let rest = body.get(from..)?;
    rest.windows(what.len()).position(|window| window == what).map(|at| at + from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_field_by_field() {
        let body = "--B\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\na mug\r\n--B\r\n\
            content-disposition: form-data; name=\"image[]\"; filename=\"a.png\"\r\ncontent-type: image/png\r\n\r\n\
            \r\n--x\r\n\r\n--B\r\nContent-Disposition: form-data; name=\"none\"; filename=\"\"\r\n\r\n\r\n--B--\r\n";
        let form = read(&Bytes::from(body), "B").unwrap();
        assert_eq!(form.text("prompt").as_deref(), Some("a mug"));
        let file = form.files("image").next().unwrap();
        assert_eq!((file.media_type.as_deref(), &file.bytes[..]), (Some("image/png"), &b"\r\n--x\r\n"[..]));
        assert_eq!(form.files("none").next().unwrap().bytes.len(), 0);
    }

    #[test]
    fn a_form_that_breaks_off_is_none() {
        for body in ["", "--B", "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx", "--B\r\n\r\nx\r\n--B--"] {
            assert!(read(&Bytes::from(body), "B").is_none(), "{body:?}");
        }
    }
}
