use super::*;
use serde_json::json;

fn input(ty: InputType) -> Input {
    Input {
        name: "x".into(),
        ty,
        default: None,
        required: true,
        min: None,
        max: None,
        pattern: None,
        bytes_max: None,
        title: None,
    }
}

#[test]
fn text_from_the_command_line_is_read_as_the_type_says() {
    let words = || InputType::Enum(vec!["png".into(), "webp".into()]);
    let cases = [
        (InputType::String, "85", Some(json!("85"))),
        (InputType::Integer, "85", Some(json!(85))),
        (InputType::Integer, "8.5", None),
        (InputType::Integer, "many", None),
        (InputType::Number, "1.5", Some(json!(1.5))),
        (InputType::Number, "3", Some(json!(3))),
        (InputType::Number, "nan", None),
        (InputType::Boolean, "Yes", Some(json!(true))),
        (InputType::Boolean, "0", Some(json!(false))),
        (InputType::Boolean, "maybe", None),
        (words(), "webp", Some(json!("webp"))),
        (words(), "wepb", None),
        (InputType::Image, "./a.png", Some(json!("./a.png"))),
        (InputType::Image, "", None),
        (InputType::Images, "./a.png", Some(json!(["./a.png"]))),
        (InputType::Json, "[1, {\"a\": null}]", Some(json!([1, {"a": null}]))),
        (InputType::Json, "[1", None),
        (InputType::Csv, "a,b\n1,2\n", Some(json!([{"a": "1", "b": "2"}]))),
        (InputType::JsonLines, "{\"a\": 1}\n2\n", Some(json!([{"a": 1}, 2]))),
    ];
    for (ty, text, want) in cases {
        let name = format!("{ty:?} {text}");
        assert_eq!(coerce(&input(ty), Given::Text(text)).ok(), want, "{name}");
    }
}

#[test]
fn limits_hold_and_say_what_they_are() {
    let number = Input { min: Some(1.0), max: Some(100.0), ..input(InputType::Integer) };
    let error = coerce(&number, Given::Text("101")).unwrap_err();
    assert_eq!(error.to_string(), "the input `x` is from 1 to 100, and 101 is not");
    let list = Input { min: Some(1.0), ..input(InputType::Images) };
    let error = coerce(&list, Given::Json(&json!([]))).unwrap_err();
    assert_eq!(error.to_string(), "the input `x` has at least 1 items, and 0 items is not");
    let text = Input { pattern: Some("[a-z]+".into()), ..input(InputType::String) };
    assert!(coerce(&text, Given::Text("abc")).is_ok());
    assert!(coerce(&text, Given::Text("abc1")).is_err(), "a pattern matches the whole text");
}

#[test]
fn inputs_are_completed_and_every_mistake_is_told() {
    let quality =
        Input { name: "quality".into(), default: Some(json!(85)), required: false, ..input(InputType::Integer) };
    let photo = Input { name: "photo".into(), required: false, ..input(InputType::Image) };
    let images = Input { name: "images".into(), ..input(InputType::Images) };
    let inputs = [quality, photo, images];
    let given = |value: Value| value.as_object().unwrap().clone();
    assert_eq!(
        complete(&inputs, &given(json!({"images": "a.png"}))).unwrap(),
        given(json!({"quality": 85, "photo": null, "images": ["a.png"]}))
    );
    let errors = complete(&inputs, &given(json!({"qualty": 3, "quality": "high"}))).unwrap_err();
    assert_eq!(errors.len(), 3, "{errors:?}");
    assert_eq!(errors[0].advice(), "Did you mean `quality`?");
}

#[test]
fn scripts_are_read_scene_by_scene() {
    let text = "Scene 1:\nPrompt: a lighthouse: at dawn,\n  soft light\n\nNarration: Every journey\nstarts.\n\nscene 5\nPrompt: a town\nCamera move: pan left\n";
    let want = json!([
        {"number": 1, "prompt": "a lighthouse: at dawn, soft light", "narration": "Every journey starts."},
        {"number": 5, "prompt": "a town", "camera_move": "pan left"},
    ]);
    assert_eq!(coerce(&input(InputType::Scenes), Given::Text(text)), Ok(want));
    let cases = [
        ("", "line 1: there is no `Scene 1:` in it"),
        ("Prompt: x", "line 1: text before the first `Scene 1:`"),
        ("Scene 1:\nfoo", "line 2: text without a label; write `Prompt:` or `Narration:` before it"),
        ("Scene 1:\nPrompt: a\nScene 1:\nPrompt: b", "line 3: scene 1 stands twice"),
        ("Scene one\nScene:", "line 1: text before the first `Scene 1:`"),
        ("Scene 1:\n\nScene 2:\nPrompt: a", "line 1: the scene is empty"),
        ("Scene 1:\nPrompt: a\nPrompt: b", "line 3: `prompt` stands twice in this scene"),
    ];
    for (text, want) in cases {
        match coerce(&input(InputType::Scenes), Given::Text(text)) {
            Err(InputError::Unreadable { detail, .. }) => assert_eq!(detail, want, "{text}"),
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn tables_are_read_with_quotes_and_other_separators() {
    let parse = |text: &str| coerce(&input(InputType::Csv), Given::Text(text));
    let row = json!([{"a": "x, \"y\"\nz", "b": ""}]);
    assert_eq!(parse("a,b\r\n\"x, \"\"y\"\"\nz\",\r\n\r\n"), Ok(row));
    assert_eq!(parse("a;b;c,d\n1;2;3"), Ok(json!([{"a": "1", "b": "2", "c,d": "3"}])));
    assert_eq!(parse("a\tb\n1\t2"), Ok(json!([{"a": "1", "b": "2"}])));
    assert_eq!(parse("a,b\n"), Ok(json!([])));
    for text in ["", "a,b\n1", "a,a\n1,2", "a,\n1,2", "a\n\"x"] {
        assert!(parse(text).is_err(), "{text:?}");
    }
}

#[test]
fn json_lines_are_read_and_what_is_wrong_has_its_line() {
    let parse = |text: &str| coerce(&input(InputType::JsonLines), Given::Text(text));
    assert_eq!(parse("\u{feff}{\"a\": \"x\"}\r\n\r\n  [1]  \nnull"), Ok(json!([{"a": "x"}, [1], null])));
    assert_eq!(parse(""), Ok(json!([])));
    let long = format!("1\n\"{}\"\n", "x".repeat(1 << 20));
    let cases = [
        ("1\n\n{\"a\": }\n", "line 3: expected value, at column 7"),
        ("{\"a\": 1}\n{\n  \"a\": 2\n}", "line 2: EOF while parsing an object; every value has one line of its own"),
        ("1 2", "line 1: trailing characters, at column 3"),
        (long.as_str(), "line 2: 1048578 bytes, over the limit of 1048576"),
        (&"1\n".repeat(1_000_001), "line 1000001: more than 1000000 values"),
    ];
    for (text, want) in cases {
        match parse(text) {
            Err(InputError::Unreadable { format: "JSON lines", detail, .. }) => assert_eq!(detail, want),
            other => panic!("{want}: {other:?}"),
        }
    }
    let limited = Input { max: Some(1.0), ..input(InputType::JsonLines) };
    assert!(coerce(&limited, Given::Text("1\n2")).is_err(), "`max` limits how many there are");
    assert_eq!(coerce(&input(InputType::JsonLines), Given::Json(&json!([1, "a"]))), Ok(json!([1, "a"])));
}

#[test]
fn json_lines_for_an_input_of_one_value_are_recognised() {
    match coerce(&input(InputType::Json), Given::Text("{\"a\": 1}\n{\"a\": 2}\n")) {
        Err(InputError::Unreadable { detail, .. }) => assert!(detail.contains("`jsonl`"), "{detail}"),
        other => panic!("{other:?}"),
    }
}
