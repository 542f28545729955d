// The official client of fal, unchanged but for the base URL.

import assert from "node:assert/strict";
import { createFalClient } from "@fal-ai/client";
import { SIMULATOR, fetched, png } from "./place.mjs";

const base = `${SIMULATOR}/fal`;
const moved = (url) =>
  url
    .replace(/^https:\/\/(queue\.fal\.run|rest\.fal\.ai|rest\.alpha\.fal\.ai)/, base)
    .replace(/^https:\/\/fal\.run/, `${base}/run`);
const fal = createFalClient({
  credentials: "id:secret",
  requestMiddleware: async (request) => ({ ...request, url: moved(request.url) }),
});

const { request_id: requestId } = await fal.queue.submit("fal-ai/flux/dev", { input: { prompt: "a mug" } });
const status = await fal.queue.status("fal-ai/flux/dev", { requestId, logs: true });
assert.ok(["IN_QUEUE", "IN_PROGRESS", "COMPLETED"].includes(status.status), JSON.stringify(status));
await fal.queue.subscribeToStatus("fal-ai/flux/dev", { requestId, pollInterval: 50 });
const { data } = await fal.queue.result("fal-ai/flux/dev", { requestId });
assert.deepEqual(data.has_nsfw_concepts, [false]);
await fetched(data.images[0].url, "\xff\xd8\xff");

const url = await fal.storage.upload(new File([png], "mug.png", { type: "image/png" }));
await fetched(url, "\x89PNG");
const cut = await fal.subscribe("fal-ai/birefnet/v2", { input: { image_url: url }, pollInterval: 50 });
await fetched(cut.data.image.url, "\x89PNG");

const film = await fal.subscribe("fal-ai/minimax/video-01", { input: { prompt: "a mug" }, pollInterval: 50 });
assert.equal((await fetched(film.data.video.url, "")).subarray(4, 8).toString(), "ftyp");

const drawn = await fal.run("fal-ai/nano-banana", { input: { prompt: "a mug" } });
assert.equal(drawn.data.images[0].content_type, "image/png");

const late = await fal.queue.submit("fal-ai/minimax/video-01", { input: { prompt: "a mug" } });
await fal.queue.cancel("fal-ai/minimax/video-01", { requestId: late.request_id });
await assert.rejects(fal.queue.result("fal-ai/minimax/video-01", { requestId: late.request_id }), { status: 499 });

await assert.rejects(fal.queue.submit("fal-ai/flux-pro/kontext", { input: { prompt: "a mug" } }), { status: 422 });
