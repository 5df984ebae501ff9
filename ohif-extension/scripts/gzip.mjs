// Writes a .gz sibling beside every text and wasm file of a folder, so that the server only has to send it.
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';

const WORTH_IT = new Set(['.js', '.mjs', '.css', '.html', '.svg', '.json', '.wasm']);
const squeeze = promisify(gzip);

/** Returns the bytes of all files, plain and as they go over the wire. */
export async function gzipTree(root) {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  let plain = 0;
  let gzipped = 0;
  for (const entry of entries) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const bytes = await readFile(path);
    plain += bytes.length;
    const packed = WORTH_IT.has(extname(entry.name)) && bytes.length > 1024 ? await squeeze(bytes, { level: 9 }) : null;
    gzipped += packed ? packed.length : bytes.length;
    if (packed) await writeFile(`${path}.gz`, packed);
  }
  return { plain, gzipped };
}
