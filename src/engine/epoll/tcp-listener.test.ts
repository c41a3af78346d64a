import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'vitest';
import { close, type Descriptor } from '../../linux/libc.ts';
import { listenerView } from '../conformance/listener.ts';
import type { EngineHost } from '../engine.ts';
import { createEpollEngine } from './engine.ts';

test('the path of a unix listener is given up before its last connections are taken, and its socket closed', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'pinion-listener-'));
  const path = join(directory, 'socket');
  const existed: boolean[] = [];
  const host: Partial<EngineHost> = {
    open: () => {
      existed.push(existsSync(path));
      return 'limit-flows';
    },
  };
  const engine = createEpollEngine(host as EngineHost, { nowMs: () => performance.now(), onWake: () => 0 });
  const view = listenerView(0, 'tcp', { bind: { kind: 'unix', path } });
  engine.listen(view, () => {});
  // Done by the kernel alone: nobody accepts.
  const client = connect(path).on('error', () => {});
  await new Promise((resolve) => client.once('connect', resolve));
  engine.unlisten(view.id, 'listener-removed');
  assert.deepEqual(existed, [false]);
  client.destroy();
  engine.stop();
  close(engine.wakeDescriptor as Descriptor);
  rmSync(directory, { recursive: true });
});
