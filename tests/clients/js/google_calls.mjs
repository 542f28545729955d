// The official client of Google, unchanged but for the base URL.

import assert from "node:assert/strict";
import { GoogleGenAI } from "@google/genai";
import { SIMULATOR, fetched, png } from "./place.mjs";

const google = new GoogleGenAI({ apiKey: "g", httpOptions: { baseUrl: `${SIMULATOR}/google` } });

const config = { responseModalities: ["IMAGE"], imageConfig: { aspectRatio: "16:9" } };
const inline = { inlineData: { mimeType: "image/png", data: png.toString("base64") } };
for (const contents of ["a mug", [inline, { text: "make it blue" }]]) {
  const made = await google.models.generateContent({ model: "gemini-3-pro-image", contents, config });
  const { data, mimeType } = made.candidates[0].content.parts[0].inlineData;
  assert.equal(mimeType, "image/png");
  assert.equal(Buffer.from(data, "base64").subarray(1, 4).toString(), "PNG");
}

let operation = await google.models.generateVideos({ model: "veo-3.1-generate-preview", prompt: "a mug" });
const until = Date.now() + 20_000;
while (!operation.done) {
  assert.ok(Date.now() < until);
  await new Promise((resolve) => setTimeout(resolve, 50));
  operation = await google.operations.getVideosOperation({ operation });
}
const { uri } = operation.response.generatedVideos[0].video;
const film = await fetched(uri, "", { "x-goog-api-key": "g" });
assert.equal(film.subarray(4, 8).toString(), "ftyp");

const file = await google.files.upload({ file: new Blob([png], { type: "image/png" }), config: { mimeType: "image/png" } });
assert.equal(file.state, "ACTIVE");
const edited = await google.models.generateContent({
  model: "gemini-3-pro-image",
  contents: [{ fileData: { fileUri: file.uri, mimeType: file.mimeType } }, { text: "make it blue" }],
  config,
});
assert.ok(edited.candidates[0].content.parts[0].inlineData.data);
await google.files.delete({ name: file.name });
await assert.rejects(google.files.get({ name: file.name }), { status: 404 });
