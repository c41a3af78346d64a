import { describe, expect, test } from 'vitest';
import { obeyedText } from '../change/backend.ts';
import { killedText } from '../change/kill.ts';
import { setText } from '../change/pins.ts';
import { reloadedText, reloadPreviewLines } from '../change/reload.ts';
import { type Line, plain, widthOf } from '../screen/line.ts';
import { backendsLines, takingNone } from './backends.ts';
import { type Connection, connectionsLines } from './connections.ts';
import { eventsLines } from './events.ts';
import { redrawn } from './look.ts';
import { pinsLines } from './pins.ts';
import { mostEnds } from './rows.ts';
import { backendRow, backendRows, statusFixture } from './status.fixture.ts';
import { statusLines } from './status.ts';
import { versionText } from './version.ts';

const text = (lines: readonly Line[]): string[] => lines.map((line) => plain(line).trimEnd());

describe('status', () => {
  test('is one screen: who, what somebody should know, listeners, backends with their cause', () => {
    expect(text(statusLines(statusFixture, 100))).toEqual([
      'pinion 0.1.0  eu-1  READY  up 3d4h  (pid 4711, engine epoll, workers 2)',
      'config   /etc/pinion/pinion.yaml  digest a1b2c3d4',
      'flows    815 of 20,000   new 41/s   in 1.2 MB/s   out 8.1 MB/s',
      'pins     4,091 of 1,000,000',
      'cluster  game-eu  IN-STEP  2 members  1 with another configuration',
      '! pending restart: limits.pins',
      '',
      'LISTENER  ADDRESS             POOL  FLOWS  NEW/s    IN/s   OUT/s  REFUSED  DROPPED  MOST ENDS',
      'pg        tcp://0.0.0.0:5432  pg      815     41  1.2 MB  8.1 MB        2        0  client-closed 9…',
      '',
      'POOL/BACKEND  STATE     SINCE  FLOWS  NEW/s   PINS  SHARE  EXPECTED     CHECK  WHY',
      'pg/pg1        UP           3d    812     41  2,104  100 %     100 %    0.4 ms  -',
      'pg/pg2        DOWN        12s      0      0  1,980      -       0 %  3 failed  refused: connection …',
      'pg/pg3        DRAINING   1m5s      3      0      7      -       0 %    0.4 ms  operator: an operato…',
    ]);
  });

  test('fits narrow terminals, and says its causes whole into a pipe', () => {
    for (const width of [40, 60, 80, 120])
      for (const line of text(statusLines(statusFixture, width)))
        expect(widthOf(line)).toBeLessThanOrEqual(width);
    expect(text(statusLines(statusFixture, 40)).join('\n')).toMatch(/^pg\/pg2 +DOWN +refused/m);
    expect(text(statusLines(statusFixture, Number.POSITIVE_INFINITY)).at(-2)).toMatch(
      /refused: connection refused \(10\.0\.0\.12:5432\)$/,
    );
  });

  test('of a thousand backends those that are not up stand first, the rest is counted', () => {
    const many = Array.from({ length: 1_000 }, (_, i) =>
      backendRow({ backend: `b${i}`, state: i === 700 ? 'down' : 'up', code: i === 700 ? 'refused' : null }),
    );
    const page = { ...statusFixture, pools: [{ ...statusFixture.pools[0]!, backends: many }] };
    const lines = text(statusLines(page, 100));
    expect(lines.length).toBeLessThan(55);
    expect(lines[11]).toMatch(/^pg\/b700 +DOWN /);
    expect(lines.at(-1)).toBe('and 960 more backends: pinion backends');
  });
});

test('backends: only those that are down, and what is said when there are none', () => {
  expect(text(backendsLines(takingNone({ backends: backendRows }), { down: true }, 100)).slice(1)).toEqual([
    expect.stringMatching(/^pg\/pg2 +DOWN /),
    expect.stringMatching(/^pg\/pg3 +DRAINING /),
  ]);
  expect(text(backendsLines({ backends: [] }, { down: true }, 100))).toEqual([
    'all backends take new clients',
  ]);
  const [wide = ''] = text(
    backendsLines({ backends: backendRows }, { wide: true }, Number.POSITIVE_INFINITY),
  );
  expect(wide.split(/ +/)).toEqual(
    expect.arrayContaining(['ADDRESS', 'MAX', 'IN/s', 'WEIGHT', 'TIER', 'FAILED', 'FLAPS']),
  );
});

describe('connections and pins', () => {
  const connection: Connection = {
    listener: 'pg',
    client: '192.0.2.7:4711',
    pool: 'pg',
    backend: 'pg1',
    durationMs: 5_000,
  };

  test('the oldest first; of a cluster with their instance', () => {
    const young = { ...connection, client: '192.0.2.8:1', durationMs: 1_000, serverName: 'evil\x1b[2J' };
    expect(text(connectionsLines({ connections: [young, connection] }, Number.POSITIVE_INFINITY))).toEqual([
      'CLIENT          LISTENER  POOL/BACKEND  BY  AGE  CONNECT   IN  OUT  ASKS FOR',
      '192.0.2.7:4711  pg        pg/pg1        -    5s        -  0 B  0 B  -',
      '192.0.2.8:1     pg        pg/pg1        -    1s        -  0 B  0 B  evil\ufffd[2J',
      '2 connections',
    ]);
    const { durationMs: _, ...elsewhere } = connection;
    const since = new Date(Date.now() - 3_600_000).toISOString();
    const [titles, row] = text(
      connectionsLines({ connections: [{ ...elsewhere, instance: 'eu-2', since }] }, 100),
    );
    expect(titles).toMatch(/^INSTANCE {2}CLIENT/);
    expect(row).toMatch(/^eu-2 +192\.0\.2\.7:4711 .* 1h /);
    expect(text(connectionsLines({ connections: [] }, 100))).toEqual(['nobody is connected']);
  });

  test('a pin that is of no address says of what kind it is', () => {
    const pin = {
      pool: 'pg',
      kind: 'client-ip',
      client: '192.0.2.7',
      backend: 'pg1',
      writer: 'eu-1',
      reason: 'policy',
      confirmed: true,
      ttlMs: 60_000,
      expiresInMs: 59_000,
    } as const;
    const named = { ...pin, kind: 'server-name', client: 'play.example', confirmed: false } as const;
    expect(text(pinsLines({ pins: [pin, named] }, 100)).slice(1)).toEqual([
      '192.0.2.7                 pg/pg1        policy      59s  yes        eu-1',
      'server-name=play.example  pg/pg1        policy      59s  not yet    eu-1',
      '2 pins',
    ]);
  });
});

test('events: when, how bad, what; and whether some are missing', () => {
  const event = {
    id: 'a-1',
    at: '2026-11-29T01:02:03.000Z',
    event: 'backend-down',
    message: 'pg/pg2 is down: ECONNREFUSED',
  };
  const rows = [
    { ...event, level: 'warning' as const, times: 3 },
    { ...event, level: 'info' as const },
  ];
  expect(text(eventsLines({ events: rows, last: 'a-1', isGap: true }))).toEqual([
    'earlier events are not kept any more',
    '2026-11-29T01:02:03.000Z  !  backend-down        pg/pg2 is down: ECONNREFUSED  (3 times)',
    '2026-11-29T01:02:03.000Z     backend-down        pg/pg2 is down: ECONNREFUSED',
  ]);
});

test('why most flows ended', () => {
  expect(mostEnds({ 'client-closed': 900, 'backend-closed': 90, 'backend-refused': 10 })).toBe(
    'client-closed 90 %, backend-closed 9 %',
  );
  expect(mostEnds({})).toBe('');
});

test('--watch draws over what was there, cut to the terminal; in a pipe below it', () => {
  const lines: Line[] = Array.from({ length: 5 }, (_, i) => [{ text: `line ${i}` }]);
  const terminal = { width: 80, height: 4, isColoured: false };
  expect(redrawn(lines, terminal, true)).toBe(
    '\x1b[2J\x1b[Hline 0\x1b[K\nline 1\x1b[K\n3 more lines; this terminal is too low\x1b[K\n\x1b[J',
  );
  expect(redrawn(lines, { ...terminal, height: 6 }, false).split('\n').length).toBe(6);
  const pipe = { ...terminal, height: Number.POSITIVE_INFINITY };
  expect(redrawn(lines.slice(0, 1), pipe, true) + redrawn(lines.slice(1, 2), pipe, false)).toBe(
    'line 0\n\nline 1\n',
  );
});

test('what was done is a sentence', () => {
  const order = {
    pool: 'pg',
    backend: 'pg1',
    weight: null,
    movesPinned: false,
    everywhere: false,
    kept: 'until-stop',
  } as const;
  expect([
    obeyedText({ ...order, state: 'drain' }),
    obeyedText({ ...order, state: 'drain', movesPinned: true, everywhere: true, kept: 'in-redis' }),
    obeyedText({ ...order, state: 'ready' }),
    obeyedText({ ...order, state: 'ready', weight: 5, kept: 'in-redis-later' }),
    killedText({ connections: 0, overMs: 0 }),
    killedText({ connections: 1, overMs: 0, others: 'told' }),
    killedText({ connections: 2_000, overMs: 30_000 }),
    setText({ pool: 'pg', key: 'client-ip 192.0.2.7', backend: 'pg1', outcome: 'shared' }),
    reloadedText({ digest: 'abcdef0123456789', warnings: ['x'], needRestart: ['workers'] }),
  ]).toEqual([
    'pg/pg1 drains: no new clients; pinned ones stay; until this instance stops',
    'pg/pg1 drains: no new clients; pinned ones go elsewhere with their next connection on all instances',
    'pg/pg1 takes new clients',
    'pg/pg1 takes new clients, weight 5; Redis does not take it now, and is told later',
    'no connection matches: nothing is ended',
    '1 connection ends here; the other instances are told',
    '2,000 connections end over 30s',
    'client-ip 192.0.2.7 is pinned to pg/pg1 on all instances',
    'warning: x\nthe configuration is in use (digest abcdef012345)\nrestart to change workers\n',
  ]);
});

test('what a reload would do: added, changed, removed, or why it would be refused', () => {
  const preview = {
    dryRun: true,
    errors: [],
    warnings: [],
    digest: 'x',
    pendingRestart: [],
    flowsEnd: 3,
    text: '3 flows end.',
  } as const;
  const changes = [
    { what: 'added', kind: 'pool', name: 'pg' },
    { what: 'removed', kind: 'listener', name: 'old' },
  ] as const;
  expect(
    text(
      reloadPreviewLines({
        ...preview,
        errors: [],
        warnings: [],
        pendingRestart: [],
        settings: ['log.level'],
        changes: [...changes],
      }),
    ),
  ).toEqual(['+ pool pg', '- listener old', '~ log.level', '3 flows end.']);
});

test('versions: of another one that runs, what to do', () => {
  const found = { version: '0.2.0', node: '20.20.2', platform: 'linux x64', admin: 'unix:/x' };
  const running = { version: '0.1.0', node: '20.20.2', startedAt: '2026-11-29T01:02:03.000Z' };
  expect(versionText({ ...found, running })).toMatch(
    /\n0\.1\.0 runs on unix:\/x since .*\nrestart that instance to use 0\.2\.0\n$/,
  );
  expect(versionText({ ...found, running: null })).toMatch(/\nno instance answers on unix:\/x\n$/);
  expect(versionText({ ...found, running: null }, 'it wants a token')).toMatch(/\nit wants a token\n$/);
});
