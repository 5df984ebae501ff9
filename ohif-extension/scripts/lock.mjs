// Makes package-lock.json anew without the addresses of whatever registry made it: the integrity sums say enough.
import { execFileSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';

execFileSync('npm', ['install', '--package-lock-only', '--ignore-scripts'], { stdio: 'inherit' });
const lock = JSON.parse(await readFile('package-lock.json', 'utf8'));
for (const entry of Object.values(lock.packages)) delete entry.resolved;
await writeFile('package-lock.json', `${JSON.stringify(lock, null, 2)}\n`);
