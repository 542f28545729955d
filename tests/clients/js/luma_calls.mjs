// The official client of Luma, unchanged but for the base URL.

import assert from "node:assert/strict";
import { SIMULATOR, fetched } from "./place.mjs";
import LumaAI from "lumaai";

const luma = new LumaAI({ authToken: "k", baseURL: `${SIMULATOR}/luma/dream-machine/v1`, maxRetries: 0 });

async function ended(id) {
  for (const until = Date.now() + 20_000; ; ) {
    const made = await luma.generations.get(id);
    if (["completed", "failed"].includes(made.state)) return made;
    assert.ok(Date.now() < until, JSON.stringify(made));
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const film = await luma.generations.create({ model: "ray-2", prompt: "a mug", duration: "5s" });
assert.equal(film.state, "queued");
await fetched((await ended(film.id)).assets.video, "\0\0\0");
const drawn = await luma.generations.image.create({ model: "photon-1", prompt: "a mug", format: "png" });
await fetched((await ended(drawn.id)).assets.image, "\x89PNG");

assert.ok((await luma.generations.list({ limit: 5 })).generations.some((known) => known.id === drawn.id));
await luma.generations.delete(film.id);
await assert.rejects(luma.generations.get(film.id), { status: 404 });
await assert.rejects(luma.generations.create({ model: "ray-2" }), { status: 400 });
