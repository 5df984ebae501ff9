import { cleanup, fireEvent, render, waitFor } from '@testing-library/react';
import { afterEach, expect, it, vi } from 'vitest';
import { aRow } from '../test/rows';
import { WhyHer, WhyYou } from './why';

afterEach(() => {
  cleanup();
  vi.unstubAllGlobals();
});

/** A server that knows one decision about each study. */
function answering(body: object, status = 200): ReturnType<typeof vi.fn> {
  const asked = vi.fn(async () => new Response(JSON.stringify(body), { status }));
  vi.stubGlobal('fetch', asked);
  return asked;
}

it('asks for the account when the reader opens it, and not before', async () => {
  const asked = answering({ you: { kind: 'CT/any', minutes: 5 }, would_change: 'Nobody else may have it now.' });
  const shown = render(<WhyYou studyUid="1.2" why="You read neuro." />);
  expect(shown.container.textContent).toContain('Why you: You read neuro.');
  expect(asked).not.toHaveBeenCalled();
  const details = shown.container.querySelector('details');
  if (details) {
    details.open = true;
    fireEvent(details, new Event('toggle'));
  }
  await waitFor(() =>
    expect(shown.getAllByRole('rowheader').map((h) => h.textContent)).toEqual(['Your time', 'Would change']),
  );
  expect(asked).toHaveBeenCalledTimes(1);
});

it('asks anew when the study is offered again, and never shows the account of another', async () => {
  answering({ would_change: 'first' });
  const shown = render(<WhyYou studyUid="1.2" offerId="o1" why="Because." open />);
  await waitFor(() => expect(shown.container.textContent).toContain('first'));
  answering({ would_change: 'second' });
  shown.rerender(<WhyYou studyUid="1.2" offerId="o2" why="Because." open />);
  expect(shown.container.textContent).not.toContain('first');
  await waitFor(() => expect(shown.container.textContent).toContain('second'));
});

it('tells a manager why whom, or that nothing was decided', async () => {
  answering({ radiologist_id: 'ada', why_her: 'Reads neuro.', would_change: 'Nobody else may.' });
  const name = (id: string): string => (id === 'ada' ? 'Iris Mockford' : '?');
  const shown = render(<WhyHer row={aRow({ study_uid: '1.2', status: 'offered' })} name={name} />);
  await waitFor(() =>
    expect(shown.getByRole('status').textContent).toBe('Why Iris Mockford: reads neuro. Nobody else may.'),
  );
  const asked = answering({});
  shown.rerender(<WhyHer row={aRow({ study_uid: '1.4', status: 'unread' })} name={name} />);
  expect(shown.getByRole('status').textContent).toContain('it waits');
  expect(asked).not.toHaveBeenCalled();
  answering({ code: 'not_found', detail: 'Nothing has been decided about this study yet.' }, 404);
  shown.rerender(<WhyHer row={aRow({ study_uid: '1.3', status: 'assigned' })} name={name} />);
  await waitFor(() =>
    expect(shown.getByRole('status').textContent).toBe('Nothing has been decided about this study yet.'),
  );
});
