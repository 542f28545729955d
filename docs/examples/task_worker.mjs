// Serves the task `count-words`: a step gives it a text and gets back how many words it has. npm install amqplib
import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "amqplib";

const connection = await connect(process.env.AMQP_URL ?? "amqp://localhost");
const channel = await connection.createConfirmChannel();

/** Says how an attempt ended, or that it goes on; resolves when the broker has it. */
async function report(task, said) {
  const body = Buffer.from(JSON.stringify({ v: 1, token: task.token, ...said }));
  const { exchange, routing_key } = task.report_to;
  channel.publish(exchange, routing_key, body, { contentType: "application/json", persistent: true, mandatory: true });
  await channel.waitForConfirms();
}

/** Asks the API; what it refuses is an error with a class. */
async function ask(url, options) {
  const answer = await fetch(url, options).catch((error) => fail("network", `${error.cause ?? error}`));
  return answer.ok ? answer : fail("server_unavailable", `HTTP ${answer.status}`);
}

function fail(kind, message, code) {
  throw Object.assign(new Error(message), { said: { class: kind, message, code } });
}

async function countWords(task) {
  const { text, seconds_per_line = 0 } = task.with;
  const lines = (await (await ask(text?.url)).text()).trimEnd().split("\n");
  const words = [];
  for (const [number, line] of lines.entries()) {
    words.push(...line.split(/\s+/).filter(Boolean));
    await sleep(seconds_per_line * 1000); // what takes long
    // A sign of life: without one within `timeout_seconds` the step is given to somebody else.
    await report(task, { outcome: "working", progress: (number + 1) / lines.length, note: `line ${number + 1}` });
  }
  if (words.length === 0) fail("invalid_input", "this text has no words", "no_words");
  const sent = await ask(`${task.upload}&name=words.txt`, { method: "POST", body: words.join("\n") });
  const longest = words.reduce((one, other) => (other.length > one.length ? other : one));
  return { words: words.length, longest, list: (await sent.json()).file };
}

await channel.prefetch(1);
await channel.consume(`${process.env.NAMESPACE ?? "dr"}.steps.task.count-words`, async (message) => {
  const task = JSON.parse(message.content);
  try {
    await report(task, { outcome: "succeeded", outputs: await countWords(task) });
  } catch (error) {
    if (!error.said) throw error;
    await report(task, { outcome: "failed", error: error.said });
  }
  channel.ack(message); // only now: a worker that is killed before leaves the step to another
});
console.log("ready");
