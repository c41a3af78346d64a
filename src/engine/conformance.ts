/**
 * The conformance suite: what every engine must do, told as stories on real sockets on loopback. An engine that
 * cannot do something says so with a skip and its reason; anything else that differs is a defect of the engine.
 *
 * The engine runs in a process of its own (conformance/process.ts), built: the stories drive it by messages.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { namespacesWork } from './conformance/namespace.ts';
import { Stage } from './conformance/stage.ts';
import { stories } from './conformance/stories.ts';

/**
 * Declares the suite for one engine.
 * @param engine its name in conformance/starters.ts
 * @param processUrl the built conformance/process.js
 * @param skips stories this engine cannot play, by name, with the reason
 */
export function conformance(engine: string, processUrl: URL, skips: Readonly<Record<string, string>>): void {
  const names = new Set(stories.map((story) => story.name));
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
