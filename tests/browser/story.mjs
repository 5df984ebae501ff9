// The main job as people live it: a STAT study is sent, offered without a reload, accepted, drawn, reported, signed, and leaves the board.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, given, logIn, picture, run, waitForPixels } from './lib.mjs';

const { base, reader, manager, send, sendRest, study_uid, patient } = given;
const send_ = ([command, ...args]) => promisify(execFile)(command, args);

await run(async ({ person }) => {
  const desk = await person();
  const board = await person();
  await logIn(desk, base, reader.email, reader.password);
  const built = (await board.request.get(`${base}/rr-ext/board.mjs`)).ok();
  await logIn(board, base, manager.email, manager.password, built ? '/board' : '/');
  await desk.getByText('Live', { exact: true }).waitFor();
  let reloads = 0;
  desk.on('load', () => {
    reloads += 1;
  });

  await send_(send);
  const sentAt = Date.now();
  const offer = desk.locator('[data-study].sel .offer-tag, .strip[data-phase="open"]').first();
  await offer.waitFor({ timeout: 20_000 });
  const offerMs = Date.now() - sentAt;
  await board.getByText(patient).first().waitFor();
  await desk.waitForTimeout(900); // its keys sleep for 0.7 s
  await picture(desk, 'story-1-offer');
  await board.keyboard.press('w');
  const why = board.locator('.why-her', { hasText: 'studies, due in' });
  await why.waitFor({ timeout: 10_000 });
  await picture(board, 'story-1-board');
  await board.keyboard.press('w');
  await why.waitFor({ state: 'detached' });
  const open = desk.locator('details.why');
  if ((await open.getAttribute('open')) === null) await open.locator('summary').click();
  for (const head of ['Your time', 'Your case now', 'Why not others', 'Fair share', 'Would change'])
    await open.getByRole('rowheader', { name: head }).waitFor({ timeout: 10_000 });
  await picture(desk, 'story-1-why');

  await desk.keyboard.press('a');
  await desk.waitForURL(/\/reading-room\?StudyInstanceUIDs=/, { timeout: 10_000 });
  expect(desk.url().endsWith(study_uid), 'another study was opened');
  const pixelsMs = await waitForPixels(desk);
  expect(reloads === 0, 'the page was loaded again');
  await desk.getByLabel('Impression').waitFor();
  await picture(desk, 'story-2-viewer');

  await desk.getByLabel('Findings').fill('Blood: Acute intraparenchymal haematoma.\nBones: No fracture.');
  await desk.getByLabel('Impression').fill('1. Acute intraparenchymal haematoma.');
  await desk.getByText(/^Saved \d\d:\d\d:\d\d/).waitFor({ timeout: 5_000 });
  await picture(desk, 'story-3-written');

  await desk.keyboard.press('Control+Enter');
  const confirm = desk.getByRole('dialog', { name: 'Sign without all images?' });
  await confirm.waitFor();
  const asked = await confirm.innerText();
  expect(/20\/28 images are here, 8 are missing/.test(asked), `it does not name the numbers: ${asked}`);
  await picture(desk, 'story-4-confirm');
  await desk.getByRole('button', { name: /^Sign final with/ }).click();
  await desk.locator('[data-report="final"]').waitFor();
  await picture(desk, 'story-5-final');
  await board.getByText(patient).first().waitFor({ state: 'detached', timeout: 10_000 });
  await picture(board, 'story-5-board');

  await send_(sendRest);
  await desk.locator('[data-notice="images_after_sign"]').waitFor({ timeout: 20_000 });
  await desk.locator('[data-notice="unseen_images"]', { hasText: '8 images are not on the screen' }).waitFor({ timeout: 20_000 });
  await picture(desk, 'story-6-late-images');
  await desk.getByRole('button', { name: 'Add to it' }).click();
  await desk.getByRole('dialog', { name: 'Addendum' }).getByRole('textbox').fill('Eight more images read. No change.');
  await desk.keyboard.press('Control+Enter');
  await desk.getByText('Eight more images read. No change.').waitFor();
  await desk.locator('[data-notice="images_after_sign"]').waitFor({ state: 'detached', timeout: 10_000 });
  await picture(desk, 'story-7-addendum');
  await desk.getByRole('button', { name: 'Show them' }).click();
  await desk.getByText(/\(1\/28\)/).waitFor({ timeout: 60_000 });
  await waitForPixels(desk);
  return { offer_ms: offerMs, pixels_ms: pixelsMs };
});
