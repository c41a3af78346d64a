import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { EAGAIN, EPERM } from '../linux/errno.ts';
import { ServiceManager } from './service-manager.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** A manager that takes what it is sent, unless `answer` says otherwise. */
function managed(watchdogMs?: number) {
  const state = { sent: [] as string[], answer: 1, complaints: [] as string[], status: 'flows 0', turns: 0 };
  const manager = new ServiceManager({
    send: (text) => {
      if (state.answer > 0) state.sent.push(text);
      return state.answer;
    },
    watchdogMs,
    complain: (line) => state.complaints.push(line),
  });
  const live = {
    status: () => state.status,
    beats: () => [{ thread: 1, beats: state.turns }],
    workerStuck: () => {},
  };
  const taken = (): string[] => state.sent.splice(0);
  return { manager, state, live, taken };
}

test('tells ready, how it is while that changes, a reload with its time, and the stop with what it needs', () => {
  const { manager, state, live, taken } = managed();
  manager.reloading();
  expect(taken(), 'nothing before it is ready').toEqual([]);
  manager.ready(live);
  expect(taken()).toEqual(['READY=1\nSTATUS=flows 0']);
  vi.advanceTimersByTime(10_000);
  expect(taken()).toEqual([]);
  state.status = 'flows 3';
  vi.advanceTimersByTime(10_000);
  expect(taken()).toEqual(['STATUS=flows 3']);

  const beforeUsec = process.hrtime.bigint() / 1_000n;
  manager.reloading();
  const [reloading] = taken();
  const usec = /^RELOADING=1\nMONOTONIC_USEC=(\d+)\nSTATUS=/.exec(reloading!)?.[1];
  expect(BigInt(usec!)).toBeGreaterThanOrEqual(beforeUsec);
  manager.reloaded('my.yaml:3:1 bad\nREADY=1');
  expect(taken(), 'a line of it stays a line').toEqual([
    'READY=1\nSTATUS=flows 3; the last reload was refused: my.yaml:3:1 bad READY=1',
  ]);
  manager.reloading();
  manager.reloaded(undefined);
  expect(taken().at(-1)).toBe('READY=1\nSTATUS=flows 3');

  manager.stopping(30_000, 3);
  manager.stopping(30_000, 3);
  manager.reloaded(undefined);
  state.status = 'flows 2';
  vi.advanceTimersByTime(10_000);
  expect(taken(), 'nothing after it stops').toEqual([
    'STOPPING=1\nEXTEND_TIMEOUT_USEC=40000000\nSTATUS=stopping: 3 flows have 30s to finish',
  ]);
});

test('a manager that is busy hears of every state, in order, and one that is not there is complained of once', () => {
  const { manager, state, live, taken } = managed();
  state.answer = -EAGAIN;
  manager.ready(live);
  manager.reloading();
  manager.reloaded(undefined);
  vi.advanceTimersByTime(1_000);
  state.answer = 1;
  vi.advanceTimersByTime(100);
  expect(taken().map((text) => text.split('\n')[0])).toEqual(['READY=1', 'RELOADING=1', 'READY=1']);
  state.answer = -EPERM;
  manager.reloading();
  manager.reloaded(undefined);
  expect(state.complaints).toEqual(['the service manager cannot be told how pinion is: EPERM']);
});

test('one that is busy for long hears what is, though not of all that was', () => {
  const { manager, state, live, taken } = managed();
  manager.ready(live);
  state.answer = -EAGAIN;
  taken();
  for (let i = 0; i < 20; i++) {
    manager.reloading();
    manager.reloaded(`refusal ${i}`);
  }
  state.answer = 1;
  vi.advanceTimersByTime(100);
  const heard = taken();
  expect(heard.at(-1)).toBe('READY=1\nSTATUS=flows 0; the last reload was refused: refusal 19');
  expect(heard.length).toBeLessThan(20);
  state.answer = -EAGAIN;
  for (let i = 0; i < 20; i++) manager.reloading();
  manager.stopping(1_000, 0);
  state.answer = 1;
  vi.advanceTimersByTime(100);
  expect(taken().at(-1)).toMatch(/^STOPPING=1\n/);
});

test('feeds the watchdog while workers turn', () => {
  const { manager, state, live, taken } = managed(20_000);
  manager.ready(live);
  expect(taken()).toContain('WATCHDOG=1');
  for (let i = 0; i < 4; i++) {
    state.turns++;
    vi.advanceTimersByTime(5_000);
  }
  expect(taken()).toEqual(Array(4).fill('WATCHDOG=1'));
  vi.advanceTimersByTime(60_000);
  expect(taken().length, 'half of its time').toBeLessThanOrEqual(2);
  vi.advanceTimersByTime(60_000);
  expect(taken()).toEqual([]);
});

test('is taken from the environment, which does not have it any more', async () => {
  const complaints: string[] = [];
  const complain = (line: string): void => void complaints.push(line);
  expect(await ServiceManager.take({ WATCHDOG_USEC: '1' }, complain)).toBeUndefined();
  const environment = { NOTIFY_SOCKET: '/nowhere/x', WATCHDOG_USEC: '2000000', WATCHDOG_PID: '1', A: 'b' };
  const manager = await ServiceManager.take(environment, complain);
  expect(environment).toEqual({ A: 'b' });
  manager!.failed('no');
  expect(complaints.splice(0)).toEqual(['the service manager cannot be told how pinion is: ENOENT']);
  expect(await ServiceManager.take({ NOTIFY_SOCKET: 'vsock:2:1' }, complain)).toBeUndefined();
  expect(complaints).toEqual([
    'NOTIFY_SOCKET is vsock:2:1: pinion tells unix sockets only (a path, or @ and a name)',
  ]);
});
