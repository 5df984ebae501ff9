import { expect, it } from 'vitest';
import { cells, type Parts, parts } from './cells';

const ada: Parts = {
  licences: [
    { jurisdiction: 'US-ME', valid_from: null, valid_to: null },
    { jurisdiction: 'US-NH', valid_from: '2024-01-01', valid_to: '2026-12-31' },
    { jurisdiction: 'NO', valid_from: null, valid_to: '2027-01-31' },
  ],
  privileges: [{ site: 'hill', valid_from: '2024-01-01', valid_to: null }],
  subspecialties: { neuro: 3, chest: 2, msk: 1 },
  modalities: { CT: 3, MR: 2 },
  conflicts: [{ about: 'referring_physician', of: 'MRN=7' }],
};

it('writes a profile as the sheets do, and reads it back', () => {
  expect(cells(ada)).toEqual({
    licences: 'US-ME; US-NH 2024-01-01..2026-12-31; NO ..2027-01-31',
    privileges: 'hill 2024-01-01..',
    subspecialties: 'neuro=3; chest; msk=1',
    modalities: 'CT=3; MR',
    conflicts: 'referring_physician=MRN=7',
  });
  expect(parts(cells(ada))).toEqual(ada);
});

it('takes an empty text for a part that does not bind', () => {
  const none = { licences: ' ; ', privileges: '', subspecialties: '', modalities: '', conflicts: '' };
  expect(parts(none)).toEqual({ licences: [], privileges: [], subspecialties: {}, modalities: {}, conflicts: [] });
});

it('says which text is wrong and how it is written', () => {
  expect(() => parts({ ...cells(ada), modalities: 'CT=4' })).toThrow('Modalities: "CT=4"');
  expect(() => parts({ ...cells(ada), conflicts: 'hill' })).toThrow('Write site=hill');
});
