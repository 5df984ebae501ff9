// The end of the viewer's toolbar: the offer as a strip while the panel shows something else, the connection, presence, time.
import type { ReactElement } from 'react';
import { setPanel, usePanel } from '../state/panel';
import { useOffers } from '../state/study';
import { LiveSign, PresenceSwitch, WallTime } from '../ui/status';
import { OfferStrip } from '../ui/strip';

/** The bar. The decline dialog opens in the panel, because nothing opens over pixels. */
export function RoomBar(): ReactElement {
  const desk = useOffers();
  const { tab } = usePanel();
  const strip = desk.card !== null && tab !== 'offer';
  return (
    <div className="room-bar">
      {desk.card && strip ? (
        <OfferStrip
          desk={desk}
          card={desk.card}
          onDecline={() => setPanel({ tab: 'offer', declining: true })}
          onDetails={() => setPanel({ tab: 'offer' })}
        />
      ) : (
        <>
          <LiveSign />
          <PresenceSwitch />
        </>
      )}
      <WallTime />
    </div>
  );
}
