// The official client of Replicate, unchanged but for the base URL.

import assert from "node:assert/strict";
import Replicate, { validateWebhook } from "replicate";
import { SIMULATOR, fetched, png } from "./place.mjs";

const replicate = new Replicate({ auth: "r8_x", baseUrl: `${SIMULATOR}/replicate/v1` });

const made = await replicate.predictions.create({
  model: "black-forest-labs/flux-1.1-pro",
  input: { prompt: "a mug", output_format: "png" },
  wait: 5,
});
assert.equal(made.status, "succeeded");
await fetched(made.output, "\x89PNG");

const begun = await replicate.predictions.create({
  version: "5".repeat(64),
  input: { prompt: "a mug" },
});
assert.equal(begun.status, "starting");
const done = await replicate.wait(begun, { interval: 50 });
assert.equal(done.status, "succeeded");
const page = await replicate.predictions.list();
assert.ok(page.results.some((known) => known.id === begun.id));

const [file] = await replicate.run("black-forest-labs/flux-dev", { input: { prompt: "a mug", image: png } });
// It makes files of https links only.
await fetched(file, "RIFF");

const film = await replicate.predictions.create({ model: "minimax/video-01", input: { prompt: "a mug" } });
assert.equal((await replicate.predictions.cancel(film.id)).status, "canceled");

const sent = await replicate.files.create(png, { name: "mug.png" });
assert.equal(sent.size, png.length);
assert.equal((await replicate.files.get(sent.id)).id, sent.id);
assert.equal(await replicate.files.delete(sent.id), true);

assert.equal((await replicate.models.get("black-forest-labs", "flux-1.1-pro")).name, "flux-1.1-pro");
const secret = await replicate.webhooks.default.secret.get();
assert.ok(
  await validateWebhook({
    id: "msg_1",
    timestamp: "1700000000",
    body: '{"id":"P1","status":"succeeded"}',
    signature: "v1,erLh+W2rgPzXMg+XsSDHxaySHg8Nu02RgpNZKY3YnN8=",
    secret: secret.key,
  }),
);

await assert.rejects(replicate.predictions.create({ model: "black-forest-labs/flux-1.1-pro", input: {} }), /prompt/);
await assert.rejects(replicate.predictions.get("nothing"), /404/);
