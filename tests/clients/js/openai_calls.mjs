// The official client of OpenAI, unchanged but for the base URL.

import assert from "node:assert/strict";
import OpenAI, { toFile } from "openai";
import { SIMULATOR, png } from "./place.mjs";

const openai = new OpenAI({ baseURL: `${SIMULATOR}/openai/v1`, apiKey: "sk-x", maxRetries: 0 });
const first = (made) => Buffer.from(made.data[0].b64_json, "base64").subarray(0, 4).toString("latin1");

assert.equal(first(await openai.images.generate({ model: "gpt-image-2", prompt: "a mug" })), "\x89PNG");
const image = await toFile(png, "mug.png", { type: "image/png" });
assert.equal(first(await openai.images.edit({ model: "gpt-image-2", prompt: "make it blue", image })), "\x89PNG");

const said = await openai.audio.speech.create({ model: "gpt-4o-mini-tts", voice: "alloy", input: "hello" });
assert.ok((await said.arrayBuffer()).byteLength > 1000);

const wrong = openai.images.generate({ model: "gpt-image-2", prompt: "a mug", n: 11 });
await assert.rejects(wrong, { status: 400, code: "invalid_value" });
const models = [];
for await (const model of openai.models.list()) models.push(model.id);
assert.ok(models.includes("gpt-image-2"));
