/** The epoll engine against the suite. It runs from the build: Node 20 starts no TypeScript in a thread. */
import { describe, test } from 'vitest';
import { conformance } from '../src/engine/conformance.ts';
import { decideEngine } from '../src/engine/select.ts';

const build = new URL(process.env.PINION_DIST ?? '../dist/', import.meta.url);
const decision = await decideEngine('auto');

if (decision.engine === 'epoll') {
  conformance('epoll', new URL('src/engine/conformance/process.js', build), {});
} else {
  describe('engine epoll', () => {
    test.skip(`all (${decision.reason})`);
  });
}
