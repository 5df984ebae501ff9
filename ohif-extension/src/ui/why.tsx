// Why this study came to this reader: one line, and the assigner's own account when opened; for colleagues, one sentence.
import { type ReactElement, useEffect, useState } from 'react';
import type { Row } from '../live/wire';
import { getExplanation } from '../state/api';
import { type Account, lines, sentence } from './account';
import { Icon } from './icons';

/** What the server says of the last decision about a study, asked for once it is wanted. */
function useAccount(studyUid: string, wanted: boolean, offer: string): { account: Account | null; failed: string } {
  const [known, setKnown] = useState<{ of: string; account: Account | null; failed: string } | null>(null);
  const key = `${studyUid} ${offer}`;
  useEffect(() => {
    if (!wanted) return;
    let current = true;
    const keep = (account: Account | null, failed: string): void => {
      if (current) setKnown({ of: key, account, failed });
    };
    getExplanation(studyUid).then(
      (account) => keep(account, ''),
      (error: Error) => keep(null, error.message),
    );
    return () => {
      current = false;
    };
  }, [studyUid, key, wanted]);
  return known?.of === key ? known : { account: null, failed: '' };
}

interface WhyYouProps {
  studyUid: string;
  why: string;
  offerId?: string;
  open?: boolean;
  /** What she reads now, if anything. */
  reading?: Row | null;
  nowMs?: number;
}

/** The line, and what is behind it. */
export function WhyYou({
  studyUid,
  why,
  offerId = '',
  open = false,
  reading = null,
  nowMs = Date.now(),
}: WhyYouProps): ReactElement {
  const [opened, setOpened] = useState(open);
  const { account, failed } = useAccount(studyUid, opened, offerId);
  return (
    <details className="why" open={open} onToggle={(event) => setOpened(event.currentTarget.open)}>
      <summary>
        <Icon name="chev" />
        <span>
          <b>Why you:</b> {why}
        </span>
      </summary>
      {failed ? <p className="quiet">{failed}</p> : null}
      {account ? (
        <table>
          <tbody>
            {lines(account, reading, nowMs).map(([head, said]) => (
              <tr key={head}>
                <th scope="row">{head}</th>
                <td>{said}</td>
              </tr>
            ))}
          </tbody>
        </table>
      ) : null}
    </details>
  );
}

/** Why a colleague was asked, in one sentence; said again when it is offered anew. */
export function WhyHer({ row, name }: { row: Row; name: (radiologistId: string) => string }): ReactElement {
  const waits = row.status === 'ordered' || row.status === 'unread';
  const { account, failed } = useAccount(row.study_uid, !waits, `${row.offer?.offer_id ?? ''} ${row.status}`);
  const who = account?.radiologist_id;
  return (
    <p className="why-her" role="status">
      {account ? (
        <>
          <b>Why</b> {sentence(account, typeof who === 'string' ? name(who) : 'this reader')}
        </>
      ) : waits ? (
        'No reader has it now: it waits for the next who may.'
      ) : (
        failed
      )}
    </p>
  );
}
