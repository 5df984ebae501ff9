// A blind double read as people live it: the first signs, the second is asked, reads without a trace of it, both are compared.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, given, logIn, picture, run } from './lib.mjs';

const { base, first, second, manager, send, study_uid, patient } = given;
const send_ = ([command, ...args]) => promisify(execFile)(command, args);

/** Accept what is offered, write an impression and sign it. */
async function read(desk, text, name) {
  await desk.locator('.strip[data-phase="open"], [data-study].sel .offer-tag').first().waitFor({ timeout: 30_000 });
  await desk.waitForTimeout(900); // its keys sleep for 0.7 s
  await picture(desk, `${name}-offer`);
  await desk.keyboard.press('a');
  await desk.waitForURL(/\/reading-room\?StudyInstanceUIDs=/, { timeout: 20_000 });
  await desk.getByLabel('Impression').waitFor({ timeout: 60_000 });
  expect((await desk.locator('.readings').count()) === 0, 'a reading is shown before she has signed');
  await desk.getByLabel('Impression').fill(text);
  await desk.getByText(/^Saved \d\d:\d\d:\d\d/).waitFor({ timeout: 20_000 });
  await picture(desk, `${name}-written`);
  await desk.keyboard.press('Control+Enter');
}

await run(async ({ person }) => {
  const board = await person();
  await logIn(board, base, manager.email, manager.password, '/board');
  const mira = await person();
  await logIn(mira, base, first.email, first.password);
  await mira.getByText('Live', { exact: true }).waitFor();
  await send_(send);
  await read(mira, 'No bleed.', 'second-1-first');
  await mira.getByText('It waits for another reader').waitFor({ timeout: 20_000 });
  await picture(mira, 'second-1-signed');

  const nora = await person();
  await logIn(nora, base, second.email, second.password);
  await nora.locator('.second-tag').first().waitFor({ timeout: 30_000 });
  await nora.getByText(/Second read, /).first().waitFor({ timeout: 30_000 }); // the reason of the offer
  expect(!(await nora.locator('body').innerText()).includes('Mira'), 'the first reader is named');
  await read(nora, 'A small bleed.', 'second-2-second');
  const both = nora.locator('.readings[data-state="compare"]');
  await both.waitFor({ timeout: 20_000 });
  await both.getByText('No bleed.').waitFor();
  await both.getByText('A small bleed.').waitFor();
  await both.getByText('impression differs').first().waitFor();
  await picture(nora, 'second-3-compare');

  await board.locator('.bd-row', { hasText: patient }).locator('.second-tag', { hasText: 'Compare readings' }).waitFor();
  await nora.getByRole('button', { name: 'They differ' }).click();
  const row = board.locator(`.bd-row[data-study="${study_uid}"]`);
  await row.locator('.second-tag[data-second="discordant"]').waitFor({ timeout: 20_000 });
  await row.getByRole('button', { name: 'Decide' }).click();
  await board.getByRole('button', { name: 'First stands' }).waitFor();
  await picture(board, 'second-4-board');
  await board.getByRole('button', { name: 'First stands' }).click();
  await row.waitFor({ state: 'detached', timeout: 20_000 });
  await nora.locator('[data-report="final"]').waitFor({ timeout: 20_000 });
  await picture(nora, 'second-5-final');
  return {};
});
