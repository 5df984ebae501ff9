// The pages by themselves: refusals of the log-in, the list and the board by keyboard, the offer's decline, axe, a phone, a lost line.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, given, logIn, picture, run, violations } from './lib.mjs';

const { base, reader, manager, twice, send } = given;

async function theLogIn(page) {
  await page.goto(`${base}/login`);
  await page.getByLabel('E-mail').waitFor();
  const found = await violations(page);
  expect(found.length === 0, `axe, log-in: ${found.join('; ')}`);
  await picture(page, 'login');
  await page.keyboard.press('Enter');
  await page.getByRole('alert').getByText('Write your e-mail address.').waitFor();
  await page.fill('[name=email]', reader.email);
  await page.fill('[name=password]', 'not the password');
  await page.keyboard.press('Enter');
  await page.getByRole('alert').getByText('E-mail or password is wrong.').waitFor();
  expect((await page.inputValue('[name=password]')) === '', 'the wrong password stays in the field');
  await picture(page, 'login-error');
  await page.fill('[name=email]', twice.email);
  await page.fill('[name=password]', twice.password);
  await page.keyboard.press('Enter');
  await page.getByText('You belong to several groups.').waitFor();
  expect((await page.locator('[data-groups] button').count()) === 2, 'both groups are offered');
  await picture(page, 'login-groups');
}

async function theList(page) {
  await logIn(page, base, reader.email, reader.password);
  await page.locator('tr[data-study]').nth(2).waitFor();
  await page.getByText('Live', { exact: true }).waitFor();
  const found = await violations(page, '.rr-island');
  expect(found.length === 0, `axe, worklist: ${found.join('; ')}`);
  const selected = () => page.locator('tr.sel').getAttribute('data-study');
  const first = await selected();
  await page.keyboard.press('j');
  const second = await selected();
  expect(first !== second, 'J does not move');
  await page.keyboard.press('k');
  expect((await selected()) === first, 'K does not move back');
  await page.keyboard.press('/');
  await page.keyboard.type('k j nobody');
  await page.getByText('No open study fits').waitFor(); // the letters are text there, not keys
  await page.keyboard.press('Escape');
  await page.locator('tr[data-study]').nth(2).waitFor();
  await page.keyboard.press('?');
  await page.getByRole('dialog', { name: 'Keys' }).waitFor();
  await picture(page, 'worklist-keys');
  await page.keyboard.press('Escape');
  await page.keyboard.press('g');
  await picture(page, 'worklist-by-site');
  await page.keyboard.press('g');
  await page.keyboard.press('g');
}

async function theOffer(page) {
  const [command, ...args] = send;
  await promisify(execFile)(command, args);
  await page.locator('.offer-tag, .strip[data-phase="open"]').first().waitFor({ timeout: 20_000 });
  await page.waitForTimeout(900);
  await page.keyboard.press('d');
  const dialog = page.getByRole('dialog', { name: 'Decline this offer?' });
  await dialog.waitFor();
  expect((await dialog.locator('input:checked').count()) === 0, 'a reason is chosen beforehand');
  const found = await violations(page, '.rr-island');
  expect(found.length === 0, `axe, decline: ${found.join('; ')}`);
  await picture(page, 'worklist-decline');
  await page.keyboard.press('2');
  await page.keyboard.press('Enter');
  await dialog.waitFor({ state: 'detached' });
  await page.locator('.offer-tag').first().waitFor({ state: 'detached', timeout: 10_000 }); // the feed tells, a moment after the answer
}

async function theViewer(page) {
  const row = page.locator('tr[data-study]', { hasText: 'Offer' }).or(page.locator('tr[data-study]')).first();
  await row.click();
  await page.keyboard.press('Home');
  while ((await page.getByRole('button', { name: /^Open images/ }).getAttribute('aria-disabled')) === 'true')
    await page.keyboard.press('j');
  await page.keyboard.press('Enter');
  await page.waitForURL(/reading-room/);
  await page.locator('[data-report]').first().waitFor({ timeout: 40_000 });
  const found = await violations(page, '#viewerLayoutResizableRightPanel .rr-island');
  expect(found.length === 0, `axe, panel: ${found.join('; ')}`);
  await picture(page, 'viewer-not-mine');
  await page.getByLabel('Back to the worklist').click();
  await page.locator('tr[data-study]').first().waitFor();
}

async function theBoard(page) {
  await logIn(page, base, manager.email, manager.password, '/board');
  await page.locator('.bd-row').nth(2).waitFor();
  expect((await page.locator('.rw-lane').count()) >= 1, 'no site has a lane on the runway');
  await page.keyboard.press('j');
  await page.keyboard.press('Enter');
  const card = page.getByRole('region', { name: 'Decide' });
  await card.getByText('Harbor St. Aldous').waitFor();
  const found = await violations(page);
  expect(found.length === 0, `axe, board: ${found.join('; ')}`);
  await card.getByRole('button', { name: 'Assign' }).click();
  await card.getByText('Choose a reader first.').waitFor();
  await picture(page, 'board');
  await page.keyboard.press('Escape');
  await card.waitFor({ state: 'detached' });
  await page.keyboard.press('/');
  await page.keyboard.type('j nobody');
  await page.getByText('No open study matches.').waitFor();
  await page.fill('input[type=search]', 'olga1');
  await page.locator('.bd-row').nth(0).waitFor();
  expect((await page.locator('.bd-row').count()) === 1, 'the search finds one');
  await page.fill('input[type=search]', '');
  await whatIf(page);
  await lookBack(page);
}

async function whatIf(page) {
  const part = page.locator('[data-part="whatif"]');
  await part.getByRole('button', { name: 'Forecast' }).click();
  await part.getByText('Choose a reader first.').waitFor();
  await part.getByLabel('Change').selectOption('send_studies');
  await part.getByLabel(/^Site/).selectOption({ label: 'Harbor St. Aldous' });
  await part.getByLabel('Studies, CT').fill('10');
  await part.getByRole('button', { name: 'Forecast' }).click();
  const said = part.getByRole('status');
  const answered = /^(No more breaches\.|\d+ (more|fewer) breaches, −?\d+ to −?\d+ in 8 of 10 nights\.)$/;
  await said.getByText(answered).waitFor({ timeout: 60_000 });
  await part.getByText(/^\d+ nights in [\d.]+ s\./).waitFor();
  const found = await violations(page);
  expect(found.length === 0, `axe, what if: ${found.join('; ')}`);
  await part.scrollIntoViewIfNeeded();
  await picture(page, 'board-whatif');
}

async function lookBack(page) {
  const asOf = async (backS) => {
    const at = new Date(Date.now() - backS * 1000);
    const local = new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
    await page.getByLabel(/^As of/).fill(local);
    await page.getByRole('button', { name: 'Show' }).click();
  };
  await asOf(-3600);
  await page.getByText('This instant is still to come.').waitFor();
  await asOf(86_400);
  const past = page.getByRole('region', { name: 'The board as it was' });
  await past.getByText('Nothing was open.').waitFor();
  await past.getByRole('button', { name: 'Back to now' }).click();
  await asOf(0);
  await past.locator('.bd-row').nth(2).waitFor();
  expect((await past.getByRole('button').count()) === 1, 'the past can be acted on');
  const found = await violations(page);
  expect(found.length === 0, `axe, the board as it was: ${found.join('; ')}`);
  await picture(page, 'board-past');
  await past.getByRole('button', { name: 'Back to now' }).click();
  await page.locator('.bd-tile').first().waitFor();
}

async function readersAndRules(page) {
  await logIn(page, base, manager.email, manager.password, '/staff');
  const capacity = page.getByLabel(/^Studies at a time/).first();
  await capacity.fill('7');
  await capacity.press('Enter');
  await page.getByText('holds 7 at a time').waitFor();
  await page
    .getByRole('button', { name: /^Edit / })
    .first()
    .click();
  await page.getByLabel(/^Modalities/).fill('CT=4');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByText('has a skill that is not 1').waitFor();
  const dialog = await violations(page);
  expect(dialog.length === 0, `axe, a reader's profile: ${dialog.join('; ')}`);
  await picture(page, 'staff-edit');
  await page.getByLabel(/^Modalities/).fill('CT=3; MR');
  await page.getByLabel(/^Licences/).fill('US-ME; NO 2024-01-01..2026-12-31');
  await page.keyboard.press('Control+Enter');
  await page.getByText('profile is saved').waitFor();
  await page.getByText('US-ME, NO from 2024-01-01 until 2026-12-31').first().waitFor();
  await page.getByLabel('The sheet').fill('email,starts,ends\nnobody@example.org,2027-03-13 22:00,06:00\n');
  await page.getByRole('button', { name: 'Try' }).click();
  await page.getByText('Line 2, email').waitFor();
  expect(await page.getByRole('button', { name: 'Take' }).isDisabled(), 'a wrong sheet may be taken');
  const people = await violations(page);
  expect(people.length === 0, `axe, readers: ${people.join('; ')}`);
  await picture(page, 'staff-readers');
  await page.getByRole('button', { name: 'Policy' }).click();
  await page.getByRole('button', { name: /^Begin with/ }).click();
  const text = page.getByLabel('The policy as JSON');
  const policy = JSON.parse(await text.inputValue());
  await text.fill(JSON.stringify({ ...policy, capacity: 6 }));
  await page.getByRole('button', { name: 'Keep as draft' }).click();
  await page.getByText(/Version \d+ is a draft/).waitFor();
  await page.getByRole('button', { name: 'Try in the shadow' }).first().click();
  await page.getByText('In the shadow: decides, acts on nothing', { exact: true }).waitFor();
  await page.getByRole('button', { name: 'Compare' }).first().click();
  await page.getByText('It has decided nothing in the shadow yet.').waitFor();
  const rules = await violations(page);
  expect(rules.length === 0, `axe, policy: ${rules.join('; ')}`);
  await picture(page, 'staff-policy');
  await page.getByRole('button', { name: 'Back to draft' }).first().click();
  await page.getByText('Draft, without effect', { exact: true }).waitFor();
}

async function theBoardOnAPhone(page) {
  await logIn(page, base, manager.email, manager.password, '/board');
  await page.locator('.bd-row').nth(2).waitFor();
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  expect(wide <= 0, `the board is ${wide} px wider than a phone`);
  const found = await violations(page);
  expect(found.length === 0, `axe, board on a phone: ${found.join('; ')}`);
  await picture(page, 'board-phone');
  await page.getByRole('button', { name: 'Readers' }).click();
  await page.getByText(/of \d+ present/).waitFor();
  await picture(page, 'board-phone-readers');
}

async function theLostLine(page) {
  await page.context().setOffline(true);
  await page.getByText(/Offline since|List is \d+ s old/).waitFor({ timeout: 60_000 });
  await picture(page, 'worklist-lost-line');
  await page.context().setOffline(false);
  await page.getByText('Live', { exact: true }).waitFor({ timeout: 60_000 });
}

await run(async ({ person, faults }) => {
  await theLogIn(await person());
  const desk = await person();
  await theList(desk);
  await theOffer(desk);
  await theViewer(desk);
  await theBoard(await person());
  await readersAndRules(await person());
  await theBoardOnAPhone(await person({ viewport: { width: 390, height: 844 } }));
  const before = faults.length;
  await theLostLine(desk);
  // While the line is cut Chromium reports each request that failed: those are what this part is about.
  const cut = faults.splice(before).filter((fault) => !/ERR_INTERNET_DISCONNECTED|WebSocket connection/.test(fault));
  expect(cut.length === 0, `faults while the line was cut: ${cut.join('; ')}`);
});
