// What `darkroom bench media` does, by sharp: every picture of a folder to 800×800 gray WebP of quality 85.
//
//   npm install sharp
//   darkroom bench media --dir DIR --against 'node tests/bench/sharp.mjs'
import fs from "node:fs";
import path from "node:path";
import sharp from "sharp";

sharp.cache(false);
const folder = process.argv[2];
for (const name of fs.readdirSync(folder)) {
  const data = fs.readFileSync(path.join(folder, name));
  await sharp(data).rotate().resize(800, 800, { fit: "cover" }).grayscale().webp({ quality: 85 }).toBuffer();
}
