import { execFileSync } from 'node:child_process';
import { fstatSync, mkdtempSync, openSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, expect, test, vi } from 'vitest';
import type { Plan } from '../core/plan.ts';
import type { FlowRecord } from '../worker/messages-from-worker.ts';
import { LineOutput } from './line-output.ts';
import { createLog, logEvents } from './log.ts';
import { factsOf } from './log-style.ts';

const folder = mkdtempSync(join(tmpdir(), 'pinion-log-'));
const path = join(folder, 'log');
const accessPath = join(folder, 'access');
afterAll(() => rmSync(folder, { recursive: true, force: true }));
afterEach(() => {
  vi.unstubAllEnvs();
  for (const file of [path, accessPath, `${accessPath}.1`]) rmSync(file, { force: true });
});

const plan: Plan['log'] = { level: 'info', format: 'auto', flows: { level: 'info', sample: 1 } };
const flow: FlowRecord = {
  worker: 0,
  flowId: 1,
  listener: 'web',
  protocol: 'tcp',
  client: '192.0.2.7:50614',
  pool: 'servers',
  backend: 'a',
  reason: 'pin',
  tries: 1,
  bytesIn: 5,
  bytesOut: 7,
  datagramsIn: 0,
  datagramsOut: 0,
  durationMs: 1,
  connectMs: 1,
  code: 'client-closed',
};
const failed: FlowRecord = {
  ...flow,
  backend: undefined,
  reason: undefined,
  bytesOut: 0,
  code: 'backend-refused',
};

function logInto(more: Partial<Plan['log']> = {}, facts = factsOf(openSync('/dev/null', 'r'))) {
  return createLog({ ...plan, ...more }, new LineOutput(openSync(path, 'w')), facts);
}

const linesOf = (file: string): Record<string, unknown>[] =>
  readFileSync(file, 'utf8')
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line));

test('what is logged while the last lines are written out, and after, is lost and no defect', async () => {
  const log = logInto();
  const done = log.flush();
  log.logger.info('late');
  log.logger.fatal('late');
  await done;
  log.logger.info('later');
  expect(log.dropped()).toBe(0);
  expect(readFileSync(path, 'utf8')).toBe('');
});

test('a flow whose client was not served is a warning with code and cause; off tells of none', async () => {
  const log = logInto();
  const watch = logEvents(log);
  watch({ event: 'flow-ended', flow });
  watch({ event: 'flow-ended', flow: failed });
  logEvents({ ...log, flowLevel: 'off' })({ event: 'flow-ended', flow: failed });
  await log.flush();
  expect(linesOf(path)).toMatchObject([
    { level: 30, event: 'flow', code: 'client-closed', bytesIn: 5 },
    {
      level: 40,
      event: 'flow',
      code: 'backend-refused',
      msg: 'web: 192.0.2.7:50614 -> servers: backend-refused: the backend refused the connection',
    },
  ]);
});

test('with a file of their own finished flows are there, and in the log only those that failed', async () => {
  const log = logInto({ access: { file: accessPath } });
  const watch = logEvents(log);
  watch({ event: 'flow-ended', flow });
  await vi.waitFor(() => expect(linesOf(accessPath)).toHaveLength(1));
  renameSync(accessPath, `${accessPath}.1`);
  log.reopen();
  await vi.waitFor(() => expect(linesOf(path)).toMatchObject([{ event: 'access-log-reopened' }]));
  watch({ event: 'flow-ended', flow: failed });
  await log.flush();
  expect(linesOf(`${accessPath}.1`)).toMatchObject([{ level: 30, code: 'client-closed' }]);
  expect(linesOf(accessPath)).toMatchObject([{ level: 40, code: 'backend-refused' }]);
  expect(linesOf(path).slice(1)).toMatchObject([{ level: 40, code: 'backend-refused' }]);
});

test('signals that come faster than the file is opened are one more opening, not one each', async () => {
  const log = logInto({ access: { file: accessPath } });
  for (let i = 0; i < 10; i++) log.reopen();
  const reopened = { event: 'access-log-reopened' };
  await vi.waitFor(() => expect(linesOf(path)).toMatchObject([reopened, reopened]));
  log.reopen();
  await vi.waitFor(() => expect(linesOf(path)).toMatchObject([reopened, reopened, reopened]));
  await log.flush();
});

test('where no flow is logged none is missing from the log', async () => {
  const log = logInto();
  const untold = { event: 'flows-untold', count: 7 } as const;
  logEvents({ ...log, flowLevel: 'off' })(untold);
  logEvents({ ...log, flowLevel: 'info' })(untold);
  await log.flush();
  expect(linesOf(path)).toMatchObject([{ level: 40, ...untold }]);
});

test('a file that cannot be opened is told at the start; later the old one goes on', async () => {
  expect(() => logInto({ access: { file: join(folder, 'no', 'log') } })).toThrow('ENOENT');
  const log = logInto({ access: { file: accessPath } });
  rmSync(accessPath);
  execFileSync('mkdir', [accessPath]);
  log.reopen();
  await vi.waitFor(() => expect(linesOf(path)).toMatchObject([{ level: 40, event: 'access-log-failed' }]));
  rmSync(accessPath, { recursive: true });
  log.access!.info('goes on');
  await log.flush();
  expect(log.dropped()).toBe(0);
});

test('journald is known by its socket, and gets each line with its priority', async () => {
  const descriptor = openSync(path, 'w');
  const { dev, ino } = fstatSync(descriptor);
  vi.stubEnv('JOURNAL_STREAM', `${dev}:${ino}`);
  const log = createLog(plan, new LineOutput(descriptor), factsOf(descriptor));
  const watch = logEvents(log);
  watch({ event: 'ready' });
  watch({ event: 'flow-ended', flow: failed });
  await log.flush();
  const lines = readFileSync(path, 'utf8').split('\n');
  expect(lines.map((line) => line.slice(0, 4))).toEqual(['<6>{', '<4>{', '']);
  const { logger } = createLog(plan, new LineOutput(openSync(path, 'w')), { ...factsOf(1), isJournal: true });
  logger.info({ serverName: 'a\u2028b' }, 'one line');
  await vi.waitFor(() => expect(readFileSync(path, 'utf8')).toMatch(/^<6>\{[^<]*a\u2028b[^<]*\}\n$/));
  vi.stubEnv('JOURNAL_STREAM', `${dev}:${ino + 1}`);
  expect(factsOf(descriptor).isJournal).toBe(false);
});

test('a reload changes the level, and that of finished flows, until the last lines are written out', async () => {
  const log = logInto({ level: 'warn' });
  const watch = logEvents(log);
  watch({ event: 'ready' });
  watch({ event: 'flow-ended', flow });
  log.change({ level: 'debug', flows: { level: 'debug', sample: 1 } });
  watch({ event: 'ready' });
  watch({ event: 'flow-ended', flow });
  log.change({ level: 'debug', flows: { level: 'off', sample: 1 } });
  watch({ event: 'flow-ended', flow });
  const done = log.flush();
  log.change({ level: 'trace', flows: { level: 'info', sample: 1 } });
  watch({ event: 'ready' });
  await done;
  expect(linesOf(path)).toMatchObject([
    { level: 30, event: 'ready' },
    { level: 20, event: 'flow' },
  ]);
});
