// The official client of Runway, unchanged but for the base URL.

import assert from "node:assert/strict";
import { SIMULATOR, fetched } from "./place.mjs";
import RunwayML from "@runwayml/sdk";

const runway = new RunwayML({ apiKey: "k", baseURL: `${SIMULATOR}/runway`, maxRetries: 0 });

async function ended(id) {
  for (const until = Date.now() + 20_000; ; ) {
    const task = await runway.tasks.retrieve(id);
    if (["SUCCEEDED", "FAILED", "CANCELLED"].includes(task.status)) return task;
    assert.ok(Date.now() < until, JSON.stringify(task));
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const film = { model: "gen4_turbo", promptImage: "https://x/y.png", promptText: "a mug", ratio: "1280:720", duration: 5 };
const made = await ended((await runway.imageToVideo.create(film)).id);
assert.equal(made.status, "SUCCEEDED");
await fetched(made.output[0], "\0\0\0");
const drawn = await runway.textToImage.create({ model: "gen4_image", promptText: "a mug", ratio: "1280:720" });
await fetched((await ended(drawn.id)).output[0], "\x89PNG");

const { id } = await runway.imageToVideo.create(film);
await runway.tasks.delete(id);
await assert.rejects(runway.tasks.retrieve(id), { status: 404 });
await assert.rejects(runway.imageToVideo.create({ ...film, ratio: "wide" }), { status: 400 });
