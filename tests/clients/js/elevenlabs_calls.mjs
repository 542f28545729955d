// The official client of ElevenLabs, unchanged but for the base URL.

import assert from "node:assert/strict";
import { SIMULATOR } from "./place.mjs";
import { ElevenLabsClient } from "@elevenlabs/elevenlabs-js";

const eleven = new ElevenLabsClient({ apiKey: "k", baseUrl: `${SIMULATOR}/elevenlabs`, maxRetries: 0 });
const [voice, modelId] = ["21m00Tcm4TlvDq8ikWAM", "eleven_multilingual_v2"];

const said = await eleven.textToSpeech.convert(voice, { text: "hello", modelId, outputFormat: "mp3_44100_128" });
let length = 0;
for await (const piece of said) length += piece.length;
assert.ok(length > 1000);
const timed = await eleven.textToSpeech.convertWithTimestamps(voice, { text: "hello", modelId });
assert.deepEqual(timed.alignment.characters, [..."hello"]);

assert.ok((await eleven.voices.getAll()).voices.some((known) => known.voiceId === voice));
await assert.rejects(eleven.textToSpeech.convert("nobody", { text: "hello", modelId }), { statusCode: 404 });
