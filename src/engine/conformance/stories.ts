/** All stories, which a runner may look through without playing any: their names, and what each needs. */
import assert from 'node:assert/strict';
import { doorStories } from './doors.ts';
import { listeningStories } from './listening.ts';
import { releaseStories } from './releases.ts';
import type { Story } from './story.ts';
import { tcpArrivalStories } from './tcp-arrivals.ts';
import { tcpDialStories } from './tcp-dials.ts';
import { tcpEarlyBreakStories } from './tcp-early-breaks.ts';
import { tcpEndStories } from './tcp-ends.ts';
import { tcpLastWordStories } from './tcp-last-words.ts';
import { tcpManyEndsStories } from './tcp-many-ends.ts';
import { tcpOpeningStories } from './tcp-openings.ts';
import { tcpPauseStories } from './tcp-pauses.ts';
import { tcpRelayStories } from './tcp-relay.ts';
import { udpBurstStories } from './udp-bursts.ts';
import { udpConversationStories } from './udp-conversations.ts';
import { udpEvictionStories } from './udp-evictions.ts';
import { udpMoveStories } from './udp-moves.ts';
import { udpPauseStories } from './udp-pauses.ts';
import { udpPrefaceStories } from './udp-prefaces.ts';
import { udpRebindStories } from './udp-rebinds.ts';
import { udpRelayStories } from './udp-relay.ts';
import { udpStopStories } from './udp-stops.ts';

export const stories: readonly Story[] = [
  ...tcpRelayStories,
  ...tcpEndStories,
  ...tcpManyEndsStories,
  ...tcpLastWordStories,
  ...tcpDialStories,
  ...tcpEarlyBreakStories,
  ...tcpArrivalStories,
  ...tcpOpeningStories,
  ...tcpPauseStories,
  ...listeningStories,
  ...udpRelayStories,
  ...udpConversationStories,
  ...udpBurstStories,
  ...udpMoveStories,
  ...udpPauseStories,
  ...udpPrefaceStories,
  ...udpRebindStories,
  ...udpEvictionStories,
  ...udpStopStories,
  ...doorStories,
  ...releaseStories,
];

assert.equal(new Set(stories.map(({ name }) => name)).size, stories.length, 'two stories have one name');
