// What the browser tests share: Chromium started the same way, every console error counted, pictures in .artifacts.
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const require = createRequire(new URL('../../ohif-extension/package.json', import.meta.url));
const { chromium } = require('playwright-core');
const AXE = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

/** What a console may say without failing a test, each with its reason. */
const ALLOWED = [
  // A refused log-in is what that page asks about; Chromium reports every 4xx of a fetch.
  { page: /\/login/, text: /the server responded with a status of (401|409|429)/ },
];

const ARGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** The pictures of this run. */
export const PICTURES = fileURLToPath(new URL('../../.artifacts/browser/', import.meta.url));

/** The arguments of the script: one JSON object. */
export const given = JSON.parse(process.argv[2] ?? '{}');

/** Fail with a sentence. */
export function expect(truth, sentence) {
  if (!truth) throw new Error(sentence);
}

/** A browser in which a person opens windows; what went wrong in any of them is in `faults`. */
export async function browse() {
  mkdirSync(PICTURES, { recursive: true });
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ARGS });
  const faults = [];
  const person = async (options = {}) => {
    const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
    const page = await context.newPage();
    page.on('console', (message) => {
      if (message.type() !== 'error') return;
      const allowed = ALLOWED.some((rule) => rule.page.test(page.url()) && rule.text.test(message.text()));
      if (!allowed) faults.push(`console: ${message.text()} (${page.url().split('?')[0]})`);
    });
    page.on('pageerror', (error) => faults.push(`uncaught: ${error.message}`));
    return page;
  };
  return { browser, faults, person };
}

/** Log in by the page that people use. */
export async function logIn(page, base, email, password, next = '/') {
  await page.goto(`${base}/login?next=${encodeURIComponent(next)}`);
  await page.fill('[name=email]', email);
  await page.fill('[name=password]', password);
  await page.click('[type=submit]');
  await page.waitForURL((url) => !url.pathname.startsWith('/login'));
}

/** Save a picture. */
export const picture = (page, name) => page.screenshot({ path: `${PICTURES}${name}.png` });

/** The share of the viewport's canvas that is not black: pixels are drawn when it is not nothing. */
export function drawn(page) {
  return page.evaluate(() => {
    const canvas = [...document.querySelectorAll('canvas')].sort((a, b) => b.width * b.height - a.width * a.height)[0];
    if (!canvas || canvas.width < 64) return 0;
    const copy = document.createElement('canvas');
    copy.width = 128;
    copy.height = 128;
    const at = copy.getContext('2d');
    at.drawImage(canvas, 0, 0, 128, 128);
    const { data } = at.getImageData(0, 0, 128, 128);
    let bright = 0;
    for (let i = 0; i < data.length; i += 4) if (data[i] > 24) bright += 1;
    return bright / (128 * 128);
  });
}

/** Wait until pixels are drawn. Returns the milliseconds that took. */
export async function waitForPixels(page, timeoutMs = 60_000) {
  const since = Date.now();
  while (Date.now() - since < timeoutMs) {
    if ((await drawn(page)) > 0.02) return Date.now() - since;
    await page.waitForTimeout(200);
  }
  throw new Error('no pixels were drawn');
}

/** Violations that axe finds in the page, or in a part of it; shadow roots are looked into. */
export async function violations(page, part = null) {
  await page.evaluate(AXE);
  return page.evaluate(async (selector) => {
    const found = await window.axe.run(selector ?? document, { preload: false });
    return found.violations.flatMap((rule) => rule.nodes.map((node) => `${rule.impact} ${rule.id}: ${node.target.join(' ')}`));
  }, part);
}

/** Run a test: its result is the last line, faults and throws fail it. */
export async function run(test) {
  const here = await browse();
  try {
    const result = await test(here);
    if (here.faults.length > 0) throw new Error(`faults in the browser:\n${here.faults.join('\n')}`);
    console.log(JSON.stringify(result ?? {}));
  } finally {
    await here.browser.close();
  }
}
