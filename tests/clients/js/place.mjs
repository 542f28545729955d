// Where the simulator is, and a picture to send.

import assert from "node:assert/strict";
import { File } from "node:buffer";
import { webcrypto } from "node:crypto";

// Node 18 has them, but not where clients look.
globalThis.File ??= File;
globalThis.crypto ??= webcrypto;

export const SIMULATOR = process.env.SIMULATOR;

// The smallest picture there is: one grey pixel.
export const png = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg==",
  "base64",
);

// Whether a file is of a kind, told by its first bytes.
export async function fetched(url, first, headers = {}) {
  const response = await fetch(url, { headers });
  assert.equal(response.status, 200, url);
  const bytes = Buffer.from(await response.arrayBuffer());
  assert.equal(bytes.subarray(0, first.length).toString("latin1"), first, url);
  return bytes;
}
