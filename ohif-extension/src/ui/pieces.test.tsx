import { cleanup, render } from '@testing-library/react';
import { afterEach, expect, it } from 'vitest';
import { aRow, NOW } from '../test/rows';
import { Acuity, AiCard, AiChip, AnswerRing, aiFlag, aiShort, IdentityBlock, Readiness, RowName } from './pieces';
import { shieldField, siteCode } from './site';

afterEach(cleanup);

const bleed = {
  model: 'bleed',
  version: '1',
  status: 'ok',
  headline: 'Possible intracranial haemorrhage, 12 mL (reference model, not clinically validated)',
  measures: { suspected_ml: 12 },
};

it('shows whom it is about with all six facts', () => {
  const { container } = render(<IdentityBlock row={aRow()} nowMs={NOW} />);
  for (const fact of ['PHANTOM, Iris', '004417', '1961-04-12', 'A26-118204', 'Female, 65 y']) {
    expect(container.textContent).toContain(fact);
  }
});

it('says of every machine that nobody has validated it', () => {
  const card = render(<AiCard result={bleed} />).container;
  expect(card.textContent).toContain('AI suggestion, not clinically validated');
  expect(
    render(<AiChip result={bleed} />)
      .container.querySelector('.ai')
      ?.getAttribute('title'),
  ).toContain('not clinically validated');
  expect(aiShort(bleed)).toBe('ICH, 12 mL');
});

it('never says normal', () => {
  const words = (['pending', 'not_assessed', 'nothing_flagged', 'suspected_urgent', 'suspected_critical'] as const).map(
    (acuity) => render(<Acuity acuity={acuity} />).container.textContent,
  );
  expect(words).toEqual(['Not assessed', 'Not assessed', 'No flag', 'Urgent?', 'Critical?']);
  expect(aiFlag(aRow({ ai: [bleed], acuity: 'nothing_flagged' }))).toBeNull();
});

it('tells how many images are here', () => {
  const part = <Readiness readiness={{ state: 'incomplete', received: 212, expected: 320 }} images={212} />;
  expect(render(part).container.textContent).toContain('212/320');
});

it('counts to the answer and marks the last fifteen seconds', () => {
  expect(render(<AnswerRing leftS={9} wholeS={60} />).getByRole('timer').dataset.last).toBe('true');
});

it('cuts the family name, never the given one', () => {
  const { container } = render(<RowName name="SAMPLEWORTH-IPSUM^June" />);
  expect(container.querySelector('.cut')?.textContent).toBe('SAMPLEWORTH-IPSUM');
  expect(container.textContent).toBe('SAMPLEWORTH-IPSUM,\u00a0June');
});

it('gives a site its code and always the same shield', () => {
  expect(siteCode('Harbor St. Aldous')).toBe('HSA');
  expect(siteCode('main')).toBe('MAI');
  expect(shieldField('main')).toBe(shieldField('main'));
});
