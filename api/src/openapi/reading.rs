//! The page at `/docs`: the document as HTML, made here, with nothing fetched from anywhere.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::fmt::Write as _;

/// The page's only style. What the policy lets in is its digest.
const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
    code,pre{font:14px/1.4 ui-monospace,monospace}pre{overflow:auto;padding:.5rem;border:1px solid #8884}\
    table{border-collapse:collapse;width:100%}td,th{border-bottom:1px solid #8884;padding:.25rem .5rem;text-align:left;vertical-align:top}\
    h3{margin-top:2.5rem}summary{cursor:pointer}:root{color-scheme:light dark}";

/// What a browser may do with the page: show it, with its style.
pub(super) fn policy() -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, STYLE.as_bytes());
    let digest = STANDARD.encode(digest.as_ref());
    format!(
        "default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

/// The page of a document.
pub(super) fn page(document: &Value) -> String {
    let mut body = String::new();
    // Writing to a String does not fail.
    let _ = body_of(&mut body, document);
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>Darkroom API</title><style>{STYLE}</style></head>\n<body>{body}</body></html>\n"
    )
}

fn body_of(out: &mut String, document: &Value) -> std::fmt::Result {
    let info = &document["info"];
    write!(
        out,
        "<h1>{} API {}</h1>\n<p>{}</p>\n<p>For programs: <a href=\"/openapi.json\">openapi.json</a></p>\n",
        text(&info["title"]),
        text(&info["version"]),
        text(&info["description"]),
    )?;
    for tag in document["tags"].as_array().into_iter().flatten() {
        write!(out, "<h2>{}</h2>\n<p>{}</p>\n", text(&tag["name"]), text(&tag["description"]))?;
        for (path, item) in document["paths"].as_object().into_iter().flatten() {
            for (method, operation) in item.as_object().into_iter().flatten() {
                if operation["tags"][0] == tag["name"] {
                    self::operation(out, path, method, operation)?;
                }
            }
        }
    }
    out.push_str("<h2>Schemas</h2>\n");
    for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
        let name = escaped(name);
        write!(out, "<h3 id=\"{name}\">{name}</h3>\n<pre>{}</pre>\n", escaped(&format!("{schema:#}")))?;
    }
    Ok(())
}

fn operation(out: &mut String, path: &str, method: &str, operation: &Value) -> std::fmt::Result {
    write!(
        out,
        "<h3 id=\"{}\"><code>{} {}</code></h3>\n<p>{} {}</p>\n",
        text(&operation["operationId"]),
        method.to_ascii_uppercase(),
        escaped(path),
        text(&operation["summary"]),
        text(&operation["description"]),
    )?;
    if let Some(parameters) = operation["parameters"].as_array() {
        out.push_str("<table><tr><th>parameter</th><th>in</th><th></th></tr>\n");
        for parameter in parameters {
            writeln!(
                out,
                "<tr><td><code>{}</code></td><td>{}</td><td>{}</td></tr>",
                text(&parameter["name"]),
                text(&parameter["in"]),
                text(&parameter["description"]),
            )?;
        }
        out.push_str("</table>\n");
    }
    for (media_type, content) in operation["requestBody"]["content"].as_object().into_iter().flatten() {
        writeln!(out, "<p>Body: <code>{}</code> {}</p>", escaped(media_type), schema(&content["schema"]))?;
    }
    out.push_str("<table><tr><th>answer</th><th></th><th></th></tr>\n");
    for (status, response) in operation["responses"].as_object().into_iter().flatten() {
        let contents = response["content"].as_object().into_iter().flatten();
        let contents: Vec<String> = contents
            .map(|(kind, content)| format!("<code>{}</code> {}", escaped(kind), schema(&content["schema"])))
            .collect();
        let (status, about) = (escaped(status), text(&response["description"]));
        writeln!(out, "<tr><td>{status}</td><td>{about}</td><td>{}</td></tr>", contents.join("<br>"))?;
    }
    out.push_str("</table>\n");
    Ok(())
}

/// A link to a schema, or the schema itself where it has no name.
fn schema(schema: &Value) -> String {
    match schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()) {
        Some(name) => format!("<a href=\"#{0}\">{0}</a>", escaped(name)),
        None => format!("<details><summary>schema</summary><pre>{}</pre></details>", escaped(&format!("{schema:#}"))),
    }
}

fn text(value: &Value) -> String {
    escaped(value.as_str().unwrap_or_default())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nothing_in_the_document_becomes_markup() {
        let document = json!({
            "info": { "title": "<script>", "version": "1", "description": "a & b" },
            "tags": [{ "name": "runs", "description": "\"" }],
            "paths": { "/<b>": { "get": { "tags": ["runs"], "operationId": "x", "summary": "<i>", "responses": {} } } },
        });
        let page = page(&document);
        assert!(page.contains("&lt;script&gt;") && page.contains("GET /&lt;b&gt;") && page.contains("&lt;i&gt;"));
        assert!(!page.contains("<script") && !page.contains("<b>") && !page.contains("<i>"), "{page}");
    }
}
