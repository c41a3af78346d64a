import { EventEmitter } from 'node:events';
import { Worker } from 'node:worker_threads';
import { expect, test, vi } from 'vitest';
import { RoomClient } from './client.ts';

vi.mock('node:worker_threads');

test('a thread that cannot be ended is not waited for', async () => {
  // It waits for a name server that is silent.
  const thread = Object.assign(new EventEmitter(), {
    terminate: vi.fn(() => new Promise<number>(() => {})),
    postMessage: vi.fn(),
  });
  vi.mocked(Worker).mockImplementation(function make() {
    return thread as unknown as Worker;
  });
  const died = vi.fn();
  const room = new RoomClient<{ type: 'stop' }, { type: 'ready' }>({
    name: 'cluster',
    entry: new URL('file:///nowhere'),
    data: () => ({}),
    heapMibMax: 1,
    message: () => {},
    started: () => {},
    died,
    restarted: () => {},
    file: () => {},
  });
  room.start();
  await room.stop({ type: 'stop' }, 20);
  expect(thread.postMessage).toHaveBeenCalledWith({ type: 'stop' });
  expect(thread.terminate).toHaveBeenCalledTimes(1);
  expect(room.status.state, 'it is still there').toBe('starting');
  thread.emit('exit', 1);
  expect(room.status.state).toBe('stopped');
  expect(died).not.toHaveBeenCalled();
});
