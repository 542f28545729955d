//! Contact sheets.

use crate::samples::*;
use crate::store::*;
use darkroom_proto::ErrorClass;
use darkroom_worker::media::{Area, Color, Picture, Sheet};
use serde_json::{Value, json};

const BACKGROUND: Color = Color::WHITE;

fn marked(picture: &Picture, area: Area) -> usize {
    let mut count = 0;
    for y in area.y..area.y + area.height {
        for x in area.x..area.x + area.width {
            count += usize::from(picture.pixel(x, y) != BACKGROUND);
        }
    }
    count
}

fn results(worker: &Worker) -> Value {
    let mut results = Vec::new();
    for (row, model) in ["flux-dev", "sdxl"].into_iter().enumerate() {
        for (column, seed) in [100, 200, 300].into_iter().enumerate() {
            let number = row * 3 + column + 1;
            let image = worker.files.add("shot.jpg", &jpeg(&photo(400 + number as u32, 300)));
            results.push(json!({
                "ok": true, "status": "completed", "index": number - 1, "number": number, "item": null,
                "matrix": {"model": model, "seed": seed}, "error": null, "image": image.to_value(),
            }));
        }
    }
    results[4]["ok"] = json!(false);
    results[4]["status"] = json!("failed");
    results[4]["image"] = Value::Null;
    results[4]["error"] = json!({"class": "content_rejected", "message": "no"});
    Value::Array(results)
}

#[test]
fn a_matrix_of_two_keys_has_a_row_for_each_value_of_the_first_and_labels_are_drawn() {
    let worker = Worker::default();
    let (artifact, picture) = worker.image("image.contact-sheet", json!({"results": results(&worker), "cell": 160}));
    assert_eq!(artifact.name, "shot.png", "named after the step");
    // All pictures are wide, the highest 120 pixels in its cell.
    let sheet = Sheet { cell_height: 120, ..Sheet::grid(2, 3, 160, BACKGROUND).unwrap() };
    assert_eq!(picture.size(), sheet.size());
    for row in 0..2 {
        for column in 0..3 {
            let label = marked(&picture, sheet.label_area(row, column));
            assert!(label > 50, "{row},{column}: {label} pixels of a label");
            assert!(marked(&picture, sheet.area(row, column)) > 160 * 100, "{row},{column}");
        }
    }
    // The failed one is a placeholder: almost all of it has one colour, and there is text on it.
    let failed = sheet.area(1, 1);
    let plain = picture.pixel(failed.x + 2, failed.y + 2);
    let text = (0..160 * 120).filter(|at| picture.pixel(failed.x + at % 160, failed.y + at / 160) != plain).count();
    assert!((50..160 * 16).contains(&text), "{text} pixels of text");
}

#[test]
fn images_take_their_own_labels_and_columns() {
    let worker = Worker::default();
    let images: Vec<Value> = (0..5).map(|n| worker.files.add("p.png", &png(&photo(40 + n, 90))).to_value()).collect();
    let sized = |params: Value| worker.image("image.contact-sheet", params).1.size();
    let want = |columns| Sheet::for_count(5, columns, 64, BACKGROUND).unwrap().size();
    assert_eq!(sized(json!({"images": images, "cell": 64})), want(None));
    assert_eq!(sized(json!({"images": images, "cell": 64, "columns": 5})), want(Some(5)));
    let plain = worker.image("image.contact-sheet", json!({"images": images, "cell": 64})).1;
    let named = worker.image("image.contact-sheet", json!({"images": images, "cell": 64, "labels": ["Ärger", "b"]})).1;
    assert_ne!(plain, named);
}

#[test]
fn nothing_is_an_error_and_so_is_a_sheet_too_large() {
    let worker = Worker::default();
    for params in [json!({"results": []}), json!({"images": []})] {
        let error = worker.run("image.contact-sheet", params).unwrap_err();
        assert_eq!((error.class, error.code.as_str()), (ErrorClass::InvalidInput, "empty_sheet"));
    }
    assert_eq!(worker.run("image.contact-sheet", json!({})).unwrap_err().class, ErrorClass::MissingParameter);
    let image = worker.files.add("p.png", &png(&photo(4, 4))).to_value();
    let params = json!({"images": vec![image; 100], "cell": 2048});
    assert_eq!(worker.run("image.contact-sheet", params).unwrap_err().class, ErrorClass::TooLarge);
}
