/**
 * The conformance suite: what every engine must do, told as stories on real sockets on loopback. An engine that
 * cannot do something says so with a skip and its reason; anything else that differs is a defect of the engine.
 *
 * The engine runs in a process of its own (conformance/process.ts), built: the stories drive it by messages.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { doorStories } from './conformance/doors.ts';
import { listeningStories } from './conformance/listening.ts';
import { namespacesWork } from './conformance/namespace.ts';
import { releaseStories } from './conformance/releases.ts';
import { Stage } from './conformance/stage.ts';
import { tcpArrivalStories } from './conformance/tcp-arrivals.ts';
import { tcpDialStories } from './conformance/tcp-dials.ts';
import { tcpEarlyBreakStories } from './conformance/tcp-early-breaks.ts';
import { tcpEndStories } from './conformance/tcp-ends.ts';
import { tcpLastWordStories } from './conformance/tcp-last-words.ts';
import { tcpManyEndsStories } from './conformance/tcp-many-ends.ts';
import { tcpOpeningStories } from './conformance/tcp-openings.ts';
import { tcpPauseStories } from './conformance/tcp-pauses.ts';
import { tcpRelayStories } from './conformance/tcp-relay.ts';
import { udpBurstStories } from './conformance/udp-bursts.ts';
import { udpConversationStories } from './conformance/udp-conversations.ts';
import { udpEvictionStories } from './conformance/udp-evictions.ts';
import { udpMoveStories } from './conformance/udp-moves.ts';
import { udpPauseStories } from './conformance/udp-pauses.ts';
import { udpPrefaceStories } from './conformance/udp-prefaces.ts';
import { udpRebindStories } from './conformance/udp-rebinds.ts';
import { udpRelayStories } from './conformance/udp-relay.ts';
import { udpStopStories } from './conformance/udp-stops.ts';

const stories = [
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

/**
 * Declares the suite for one engine.
 * @param engine its name in conformance/starters.ts
 * @param processUrl the built conformance/process.js
 * @param skips stories this engine cannot play, by name, with the reason
 */
export function conformance(engine: string, processUrl: URL, skips: Readonly<Record<string, string>>): void {
  const names = new Set(stories.map((story) => story.name));
  assert.equal(names.size, stories.length, 'two stories have one name');
  for (const name of Object.keys(skips)) assert.ok(names.has(name), `skip of an unknown story: ${name}`);

  describe(`engine ${engine}`, () => {
    for (const { name, options, run } of stories) {
      const reason = skips[name];
      if (reason !== undefined) {
        test.skip(`${name} (${reason})`);
        continue;
      }
      test(name, async (context) => {
        if (options.namespace === true && !namespacesWork())
          context.skip('network namespaces are not permitted here');
        const stage = new Stage(engine, processUrl, options);
        try {
          await stage.open();
          await run(stage);
          await stage.finish();
        } finally {
          await stage.close();
        }
      });
    }
  });
}
