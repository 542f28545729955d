//! Serves the task `count-words`: a step gives it a text and gets back how many words it has.

use darkroom_taskworker::{ErrorClass, Handler, Map, Options, Task, TaskError, serve};
use serde_json::{Value, json};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

struct CountWords;

impl Handler for CountWords {
    async fn handle(&self, task: Task) -> Result<Map, TaskError> {
        let given = task.with();
        let text = task.fetch(given.get("text").unwrap_or(&Value::Null)).await?;
        let text = String::from_utf8(text).map_err(|_| invalid("it is no text"))?;
        let seconds = given.get("seconds_per_line").and_then(Value::as_f64).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let mut words: Vec<&str> = Vec::new();
        for (number, line) in lines.iter().enumerate() {
            words.extend(line.split_whitespace());
            tokio::time::sleep(Duration::from_secs_f64(seconds)).await; // what takes long
            let done = number + 1;
            task.working(Some(done as f64 / lines.len() as f64), &format!("line {done}")).await;
        }
        let longest = words.iter().max_by_key(|word| word.len()).ok_or_else(|| invalid("this text has no words"))?;
        let list = task.upload("words.txt", words.join("\n").into_bytes()).await?;
        Ok(Map::from_iter([
            ("words".to_owned(), json!(words.len())),
            ("longest".to_owned(), json!(longest)),
            ("list".to_owned(), list),
        ]))
    }
}

fn invalid(message: &str) -> TaskError {
    TaskError { code: "no_words".into(), ..TaskError::new(ErrorClass::InvalidInput, message) }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let setting = |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
    let url = setting("AMQP_URL", "amqp://localhost").into();
    let options = Options { namespace: setting("NAMESPACE", "dr"), ..Options::new(url, "count-words") };
    #[expect(clippy::print_stdout, reason = "it tells whoever started it")]
    let begun = || println!("ready");
    serve(options, CountWords, begun, CancellationToken::new()).await?;
    Ok(())
}
