// Brings the prebuilt OHIF viewer into gateway/viewer/dist/host: pinned, pruned, minified and gzipped. Does nothing when that is there.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cp, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { transform } from 'esbuild';
import { gzipTree } from './gzip.mjs';

const VERSION = '3.13.2';
const INTEGRITY = 'sha512-WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA==';
/** Raised when this script makes something else of the same package. */
const RECIPE = 3;

/** What the viewer never asks for here: speech and segmentation models, microscopy, other log-ins, service workers, start-up pictures. */
const LEFT_OUT = [
  /^ort\//,
  /^dicom-microscopy-viewer\//,
  /^customizations\//,
  /\.map$/,
  /^(_headers|_redirects|serve\.json|sw\.js|init-service-worker\.js|app-config\.js|manifest\.json)$/,
  /^(google\.js|oidc-client\.min\.js|silent-refresh\.html|polyfill\.min\.js|es6-shim\.min\.js)$/,
  /^assets\/(android-|apple-|coast-|firefox_|mstile-|yandex-|browserconfig|manifest)/,
];

const here = dirname(fileURLToPath(import.meta.url));
const target = join(here, '../../gateway/viewer/dist/host');
const stamp = `ohif-app ${VERSION} recipe ${RECIPE}\n`;

async function filesOf(root) {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1));
}

/** Downloads the package through npm itself, so that whatever registry it is set to serves it, and proves what came. */
async function download(work) {
  execFileSync('npm', ['pack', `@ohif/app@${VERSION}`, '--silent', '--pack-destination', work], { stdio: 'pipe' });
  const archive = join(work, `ohif-app-${VERSION}.tgz`);
  const sum = `sha512-${createHash('sha512')
    .update(await readFile(archive))
    .digest('base64')}`;
  if (sum !== INTEGRITY) throw new Error(`@ohif/app ${VERSION} is not the pinned package: ${sum}`);
  execFileSync('tar', ['-xzf', archive, '-C', work]);
  return join(work, 'package');
}

async function copyPruned(dist, out) {
  const kept = (await filesOf(dist)).filter((name) => !LEFT_OUT.some((pattern) => pattern.test(name)));
  for (const name of kept) {
    const from = join(dist, name);
    const to = join(out, name);
    await mkdir(dirname(to), { recursive: true });
    const kind = extname(name).slice(1);
    if (kind === 'js' || kind === 'css') {
      const { code } = await transform(await readFile(from, 'utf8'), {
        loader: kind,
        minify: true,
        legalComments: 'none',
      });
      await writeFile(to, code);
    } else {
      await cp(from, to);
    }
  }
  return kept;
}

/** Our own page around the host's bundle: no inline script, so that the content security policy can forbid them. */
async function writePage(dist, out) {
  const page = await readFile(join(dist, 'index.html'), 'utf8');
  const bundle = /src="(\/app\.bundle\.[0-9a-f]+\.js)"/.exec(page)?.[1];
  if (!bundle) throw new Error('index.html names no bundle');
  const boot =
    "function browserImportFunction(name){return import(name)}window.PUBLIC_URL='/';console.time('scriptToView');\n";
  await writeFile(join(out, 'boot.js'), boot);
  await writeFile(
    join(out, 'index.html'),
    `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="color-scheme" content="dark">
<meta name="theme-color" content="#000000">
<title>Reading Room</title>
<link rel="icon" href="/rr-ext/mark.svg" type="image/svg+xml">
<link rel="stylesheet" href="/app.bundle.css">
<script src="/app-config.js"></script>
<script src="/boot.js"></script>
<script defer src="${bundle}"></script>
</head>
<body style="background:#000"><noscript>The viewer needs JavaScript.</noscript><div id="react-portal"></div><div id="root"></div></body>
</html>
`,
  );
}

/** The host's own Inter under a name that our light pages can rely on. */
async function nameFont(out, kept) {
  const font = kept.find((name) => name.endsWith('.woff2'));
  if (!font) throw new Error('the package holds no font');
  await cp(join(out, font), join(out, 'inter.woff2'));
}

async function main() {
  const present = await readFile(join(target, '.stamp'), 'utf8').catch(() => '');
  if (present === stamp) {
    console.log(`viewer: OHIF ${VERSION} is there`);
    return;
  }
  const work = await mkdtemp(join(tmpdir(), 'viewer-'));
  try {
    console.log(`viewer: fetching OHIF ${VERSION}`);
    const unpacked = await download(work);
    const out = join(work, 'out');
    const kept = await copyPruned(join(unpacked, 'dist'), out);
    await writePage(join(unpacked, 'dist'), out);
    await nameFont(out, kept);
    await cp(join(unpacked, 'LICENSE'), join(out, 'LICENSE.ohif.txt'));
    const saved = await gzipTree(out);
    await writeFile(join(out, '.stamp'), stamp);
    await mkdir(dirname(target), { recursive: true });
    await rm(`${target}.new`, { recursive: true, force: true });
    await cp(out, `${target}.new`, { recursive: true });
    await rm(target, { recursive: true, force: true });
    await rename(`${target}.new`, target);
    console.log(
      `viewer: ${kept.length} files, ${(saved.plain / 1e6).toFixed(1)} MB, gzipped ${(saved.gzipped / 1e6).toFixed(1)} MB`,
    );
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

await main();
