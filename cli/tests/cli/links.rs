//! Inputs that are given as links.

use crate::folder::{Folder, photo, workflow};
use std::io::{Read as _, Write as _};
use std::net::TcpListener;

const OPEN: (&str, &str) = ("DARKROOM__NET__ALLOW_PRIVATE", "true");

/// A server that has these files, and the start of its URLs.
fn serving(files: Vec<(&'static str, &'static str, Vec<u8>)>) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let place = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = Vec::new();
            let mut chunk = [0; 1024];
            while !request.windows(4).any(|window| window == b"\r\n\r\n") {
                match stream.read(&mut chunk) {
                    Ok(0) | Err(_) => break,
                    Ok(read) => request.extend_from_slice(&chunk[..read]),
                }
            }
            let line = String::from_utf8_lossy(&request).into_owned();
            let path = line.split([' ', '?']).nth(1).unwrap_or_default();
            let found = files.iter().find(|(name, _, _)| *name == path);
            let (status, media_type, body) = match found {
                Some((_, media_type, body)) => (200, *media_type, &body[..]),
                None => (404, "text/plain", &b"no such file"[..]),
            };
            let head =
                format!("HTTP/1.1 {status} X\r\ncontent-type: {media_type}\r\ncontent-length: {}\r\n", body.len());
            // Whoever has heard enough hangs up.
            let _ = stream.write_all(format!("{head}connection: close\r\n\r\n").as_bytes());
            let _ = stream.write_all(body);
        }
    });
    place
}

fn coffee() -> Vec<u8> {
    std::fs::read(photo("coffee.png")).unwrap()
}

#[test]
fn a_link_is_fetched_and_taken_in_as_a_file_is() {
    let place = serving(vec![("/a/coffee.png", "application/octet-stream", coffee())]);
    let folder = Folder::new();
    let link = format!("images={place}/a/coffee.png?signature=sesame");
    folder.copy_photo("coffee.png", "mug.png");
    folder.run_with(&[OPEN], &["plan", &workflow("web-ready"), "-i", &link]).expect(0).prints(&["each ×1"]);
    folder.run_with(&[OPEN], &["run", &workflow("web-ready"), "-i", &link, "-i", "images=mug.png"]).expect(0);
    let json = folder.run(&["show", "@latest", "-o", "json"]).expect(0).never_says(&["sesame"]).json();
    let images = json["inputs"]["images"].as_array().unwrap();
    for key in ["sha256", "media_type", "bytes", "width", "height", "ext"] {
        assert_eq!(images[0][key], images[1][key], "{key}");
        assert!(!images[0][key].is_null(), "{key}");
    }
    assert_eq!((&images[0]["stem"], &images[1]["stem"]), (&"coffee".into(), &"mug".into()));
}

#[test]
fn no_proxy_of_the_environment_is_asked() {
    let place = serving(vec![("/coffee.png", "image/png", coffee())]);
    let folder = Folder::new();
    // Nobody listens there, so whoever asks it fails.
    let nobody = "http://127.0.0.1:1";
    let variables = [OPEN, ("http_proxy", nobody), ("HTTP_PROXY", nobody), ("ALL_PROXY", nobody)];
    let link = format!("images={place}/coffee.png");
    folder.run_with(&variables, &["plan", &workflow("web-ready"), "-i", &link]).expect(0);
}

#[test]
fn a_link_may_be_a_default_and_a_single_file() {
    let place = serving(vec![("/coffee.png", "image/png", coffee())]);
    let folder = Folder::new();
    let text = format!(
        "workflow: one\ninputs:\n  photo:\n    type: image\n    default: {place}/coffee.png\nsteps:\n  - uses: image.info\n"
    );
    folder.write("one.yaml", text);
    folder.run_with(&[OPEN], &["run", "one.yaml"]).expect(0);
    let given = format!("photo=@{place}/coffee.png");
    folder.run_with(&[OPEN], &["run", "one.yaml", "--new", "-i", &given]).expect(0);
}

#[test]
fn links_lead_to_public_places_only_unless_the_settings_say_otherwise() {
    let place = serving(vec![("/coffee.png", "image/png", coffee())]);
    let folder = Folder::new();
    let web = workflow("web-ready");
    let links = [
        format!("{place}/coffee.png"),
        "https://127.0.0.1/a.png".to_owned(),
        "https://localhost/a.png".to_owned(),
        "https://169.254.169.254/latest/meta-data/".to_owned(),
        "https://0x7f.1/a.png".to_owned(),
        "http://example.com/a.png".to_owned(),
    ];
    for link in &links {
        let ended = folder.run(&["run", &web, "-i", &format!("images={link}")]).expect(2);
        ended.says(&["`images`", "is not fetched", "net.allow_private"]);
    }
    for link in ["file:///etc/passwd", "https://user:sesame@example.com/a.png"] {
        let ended = folder.run_with(&[OPEN], &["run", &web, "-i", &format!("images={link}")]).expect(2);
        ended.says(&["is not fetched"]).never_says(&["sesame"]);
    }
    folder.write("darkroom.toml", "[net]\nallow_private = true\n");
    folder.run(&["config", "show"]).expect(0).prints(&["net.allow_private = true  (darkroom.toml)"]);
    folder.run(&["run", &web, "-i", &format!("images={}", links[0])]).expect(0);
}

#[test]
fn what_a_link_leads_to_must_be_of_the_kind_and_within_the_limit_of_the_input() {
    let page = b"<!doctype html><p>Please log in".to_vec();
    let place = serving(vec![
        ("/page.png", "text/html", page.clone()),
        ("/lies.png", "image/png", page),
        ("/coffee.png", "image/png", coffee()),
    ]);
    let folder = Folder::new();
    let one = |limit: &str| {
        format!("workflow: one\ninputs:\n  photo:\n    type: image\n{limit}steps:\n  - uses: image.info\n")
    };
    folder.write("one.yaml", one(""));
    folder.write("small.yaml", one("    max-bytes: 1KB\n"));
    let run = |file: &str, path: &str, exit: i32| {
        folder.run_with(&[OPEN], &["run", file, "-i", &format!("photo={place}{path}?sesame")]).expect(exit)
    };
    run("one.yaml", "/coffee.png", 0);
    run("one.yaml", "/page.png", 2).says(&["`photo`", "no picture but text/html", "help:"]).never_says(&["sesame"]);
    run("one.yaml", "/lies.png", 2).says(&["`photo`", "says that it is image/png, but it is text/html"]);
    run("one.yaml", "/gone.png", 2).says(&["`photo`", "/gone.png", "404", "help:"]).never_says(&["sesame"]);
    run("small.yaml", "/coffee.png", 2).says(&["`photo`", "more than 1024 bytes"]).never_says(&["sesame"]);
}
