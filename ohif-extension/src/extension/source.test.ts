import { expect, it, vi } from 'vitest';
import { type Source, withIssuer } from './source';

const study = (uid: string, issuer: string) => ({ '0020000D': { Value: [uid] }, '00100021': { Value: [issuer] } });

function source(): Source & { host: ReturnType<typeof vi.fn> } {
  const host = vi.fn(async () => ['host']);
  return { host, query: { studies: { search: host, processResults: (found) => found } } };
}

it('asks for other studies of the patient with the issuer of the number', async () => {
  const ask = vi.fn(async (query: Record<string, string>) =>
    query.StudyInstanceUID
      ? [study('1', 'harbor')]
      : [study('1', 'harbor'), study('2', 'harbor'), study('3', 'nordkap')],
  );
  const wrapped = withIssuer(source(), () => '1', ask);
  const found = await wrapped.query.studies.search({ patientId: '1234' });
  expect(ask.mock.calls[1]?.[0]).toEqual({ '00100020': '1234', '00100021': 'harbor' });
  expect(found).toEqual([study('1', 'harbor'), study('2', 'harbor')]);
});

it('shows the study alone when nobody says whose number it is', async () => {
  const own = { '0020000D': { Value: ['1'] } };
  const wrapped = withIssuer(
    source(),
    () => '1',
    async () => [own],
  );
  expect(await wrapped.query.studies.search({ patientId: '1234' })).toEqual([own]);
});

it('leaves every other search to the host', async () => {
  const plain = source();
  const wrapped = withIssuer(
    plain,
    () => '1',
    async () => [],
  );
  expect(await wrapped.query.studies.search({ studyInstanceUid: '1' })).toEqual(['host']);
  expect(await wrapped.query.studies.search()).toEqual(['host']);
});
