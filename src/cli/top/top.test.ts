import { describe, expect, test } from 'vitest';
import type { Preview } from '../../front/api/shapes.ts';
import { backendRow, statusFixture } from '../look/status.fixture.ts';
import { plain, widthOf } from '../screen/line.ts';
import { hear } from './hear.ts';
import { type Key, keysIn } from './keys.ts';
import { press } from './press.ts';
import { render } from './render.ts';
import { firstState, type TopState, viewNames, type Wish } from './state.ts';

const size = { width: 80, height: 20 };
const state = hear(firstState('pools'), { kind: 'state', page: statusFixture });

function screen(of: TopState, at = size): string[] {
  return render(of, at).map((line) => plain(line).trimEnd());
}

/** Presses what is written, and Enter, Escape and so on by their names. */
function type(
  from: TopState,
  ...keys: readonly (string | readonly Key[])[]
): { state: TopState; wishes: Wish[] } {
  const wishes: Wish[] = [];
  let now = from;
  const all = keys.flatMap((key): readonly Key[] => (typeof key === 'string' ? keysIn(key) : key));
  for (const key of all) {
    const { state: next, wish } = press(now, key, size);
    now = next;
    if (wish !== undefined) wishes.push(wish);
  }
  return { state: now, wishes };
}

describe('keys', () => {
  test('letters, and what terminals send for the others', () => {
    expect(keysIn('q\x1b[A\x1bOB\x1b[5~\x1b[Z\t\r\x7f\x03é')).toEqual([
      { text: 'q' },
      'up',
      'down',
      'page-up',
      'back-tab',
      'tab',
      'enter',
      'backspace',
      'ctrl-c',
      { text: 'é' },
    ]);
  });

  test('an escape alone is the key; unknown sequences are nothing', () => {
    expect(keysIn('\x1b')).toEqual(['escape']);
    expect(keysIn('\x1b[200~x\x1b[1;5C')).toEqual([{ text: 'x' }]);
  });
});

describe('the screen', () => {
  test('who it is, what is wrong, the backends with the cursor, the keys', () => {
    expect(screen(state)).toEqual([
      'pinion 0.1.0  eu-1  READY  up 3d4h  (pid 4711, engine epoll, workers 2)',
      'flows    815 of 20,000   new 41/s   in 1.2 MB/s   out 8.1 MB/s',
      'pins     4,091 of 1,000,000',
      'cluster  game-eu  IN-STEP  2 members  1 with another configuration',
      '! pending restart: limits.pins',
      '[1 pools] 2 listeners  3 flows  4 events  5 cluster',
      '  POOL/BACKEND  STATE     SINCE  FLOWS  NEW/s   PINS     CHECK  WHY',
      '> pg/pg1        UP           3d    812     41  2,104    0.4 ms  -',
      '  pg/pg2        DOWN        12s      0      0  1,980  3 failed  refused: connec…',
      '  pg/pg3        DRAINING   1m5s      3      0      7    0.4 ms  operator: an op…',
      ...Array.from({ length: 9 }, () => ''),
      'q quit  ? help  / filter  d drain  m maintenance  w weight  v move pins  e expl…',
    ]);
  });

  test.each(viewNames)('%s fits every terminal, whatever lies over it', (view) => {
    const inView = { ...state, view };
    const states = [
      firstState(view),
      inView,
      type(inView, '?').state,
      type(inView, ['enter']).state,
      hear(inView, { kind: 'lost', why: 'no pinion answers on unix:/run/pinion/admin.sock' }),
      type(inView, '/abcdefghij').state,
    ];
    for (const one of states) {
      for (const width of [1, 10, 24, 40, 80, 200]) {
        for (const height of [1, 5, 6, 10, 24, 60]) {
          const lines = render(one, { width, height });
          expect(lines.length).toBe(height);
          for (const line of lines) expect(widthOf(plain(line))).toBeLessThanOrEqual(width);
        }
      }
    }
  });

  test('the cursor stays in sight among hundreds, and on its row when others come', () => {
    const many = Array.from({ length: 300 }, (_, i) => backendRow({ backend: `b${i}` }));
    const page = { ...statusFixture, pools: [{ ...statusFixture.pools[0]!, backends: many }] };
    const crowded = hear(state, { kind: 'state', page });
    const down = type(
      crowded,
      Array.from({ length: 150 }, (): Key => 'down'),
    ).state;
    expect(screen(down).filter((line) => line.startsWith('>'))).toEqual([
      expect.stringMatching(/^> pg\/b150 /),
    ]);
    const later = {
      ...page,
      pools: [{ ...page.pools[0]!, backends: [backendRow({ backend: 'new' }), ...many] }],
    };
    expect(screen(hear(down, { kind: 'state', page: later })).join('\n')).toMatch(/^> pg\/b150 /m);
    expect(screen(type(down, 'G').state).join('\n')).toMatch(/^> pg\/b299 /m);
  });

  test('what a server says cannot leave its cell', () => {
    const cause = 'x\x1b[2J\x1b]0;owned\x07';
    const pools = [
      {
        ...statusFixture.pools[0]!,
        backends: [backendRow({ backend: 'b', state: 'down', code: 'refused', cause })],
      },
    ];
    const text = screen(hear(state, { kind: 'state', page: { ...statusFixture, pools } }), {
      width: 200,
      height: 20,
    }).join('\n');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: it is what must not be there.
    expect(text).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f-\x9f]/);
  });

  test('while the instance is away the last picture stays, and says so', () => {
    const lost = hear(state, { kind: 'lost', why: 'no pinion answers on unix:/x' });
    expect(screen(lost).join('\n')).toMatch(/^! no pinion answers on unix:\/x; trying again$/m);
    expect(screen(lost).join('\n')).toMatch(/pg\/pg1/);
    expect(screen(hear(lost, { kind: 'state', page: statusFixture })).join('\n')).not.toMatch(/trying again/);
  });
});

describe('looking', () => {
  test('views by number, Tab and arrows', () => {
    expect(type(state, '3').state.view).toBe('flows');
    expect(type(state, '\t').state.view).toBe('listeners');
    expect(type(state, '\x1b[D').state.view).toBe('cluster');
  });

  test('a filter goes by what stands in the row, as it is typed; Esc takes it away', () => {
    const filtered = type(state, '/REFUS').state;
    expect(screen(filtered).join('\n')).toMatch(/pg\/pg2/);
    expect(screen(filtered).join('\n')).not.toMatch(/pg\/pg1/);
    expect(screen(filtered)[5]).toMatch(/\/REFUS: 1 of 3$/);
    expect(screen(type(filtered, ['enter'], ['escape']).state).join('\n')).toMatch(/pg\/pg1/);
    expect(screen(type(state, '/nothing').state).join('\n')).toMatch(/nothing has this text/);
  });

  test('s sorts by the next column, S the other way round', () => {
    const order = (of: TopState): string[] =>
      screen(of)
        .join('\n')
        .match(/pg\/pg\d/g) ?? [];
    const byState = type(state, 'ss').state;
    expect(byState.sorting.pools?.by).toBe('STATE');
    expect(order(byState)).toEqual(['pg/pg2', 'pg/pg3', 'pg/pg1']);
    expect(order(type(byState, 'S').state)).toEqual(['pg/pg1', 'pg/pg3', 'pg/pg2']);
  });

  test('a pause keeps the picture', () => {
    const paused = type(state, 'p').state;
    const page = { ...statusFixture, pools: [] };
    expect(screen(hear(paused, { kind: 'state', page })).join('\n')).toMatch(/PAUSED[\s\S]*pg\/pg1/);
    expect(screen(hear(type(paused, 'p').state, { kind: 'state', page })).join('\n')).not.toMatch(/pg\/pg1/);
  });

  test('Enter shows all that is known of a backend', () => {
    const text = screen(type(state, 'j', ['enter']).state, { width: 100, height: 40 }).join('\n');
    expect(text).toMatch(/^pg\/pg2$/m);
    expect(text).toMatch(/^check +failed 3 in a row, the last 0s ago in 0.4 ms: ECONNREFUSED$/m);
    expect(text).toMatch(/DOWN +refused: connection refused$/m);
  });
});

describe('changing', () => {
  const preview: Preview = {
    dryRun: true,
    pool: 'pg',
    backend: 'pg1',
    order: 'drain',
    refused: null,
    pins: 2_104,
    flows: 812,
    flowsEnd: 0,
    flowsEndOverMs: 0,
    newClients: [{ backend: 'pg1', before: 1, after: 0 }],
    text: '2104 pinned clients and 812 flows stay.',
  };
  const order = { word: 'drain', pool: 'pg', backend: 'pg1' } as const;

  test('d asks what would happen; only y does it', () => {
    const asked = type(state, 'd');
    expect(asked.wishes).toEqual([{ kind: 'preview', order }]);
    const shown = hear(asked.state, { kind: 'preview', preview, order });
    expect(screen(shown).join('\n')).toMatch(
      /drain pg\/pg1\?\n2104 pinned clients[\s\S]*pg1 {2}100 % -> 0 %[\s\S]*y: do it {3}n: leave it/,
    );
    expect(type(shown, 'n')).toMatchObject({ wishes: [], state: { dialog: undefined } });
    expect(type(shown, 'dx1', ['enter']), 'another key is no answer').toMatchObject({
      wishes: [],
      state: { dialog: shown.dialog },
    });
    expect(type(shown, 'y')).toMatchObject({
      wishes: [{ kind: 'order', order }],
      state: { dialog: undefined },
    });
  });

  test('an order that would be refused cannot be given', () => {
    const shown = hear(state, {
      kind: 'preview',
      preview: { ...preview, refused: 'it is the last one', text: 'Refused: it is the last one.' },
      order,
    });
    expect(screen(shown).join('\n')).toMatch(/Refused: it is the last one/);
    expect(type(shown, 'y').wishes).toEqual([]);
  });

  test('d ends a drain, m a maintenance', () => {
    expect(type(state, 'jjd').wishes).toEqual([
      { kind: 'preview', order: { ...order, word: 'undrain', backend: 'pg3' } },
    ]);
    expect(type(state, 'm').wishes).toEqual([{ kind: 'preview', order: { ...order, word: 'maintenance' } }]);
  });

  test('w, v and e ask for what is missing; Esc leaves it', () => {
    expect(type(state, 'w', '\x155', ['enter']).wishes).toEqual([
      { kind: 'preview', order: { ...order, word: 'weight', to: '5' } },
    ]);
    const moving = type(state, 'vpg3', ['enter']);
    expect(moving.wishes).toEqual([]);
    expect(screen(moving.state).join('\n')).toMatch(/2,104 pins of pg\/pg1 move to pg\/pg3/);
    expect(type(moving.state, 'y').wishes).toEqual([{ kind: 'move', pool: 'pg', backend: 'pg1', to: 'pg3' }]);
    expect(type(state, 'e192.0.2.7', ['enter']).wishes).toEqual([
      { kind: 'explain', listener: 'pg', client: '192.0.2.7' },
    ]);
    expect(type(state, 'vpg3', ['escape'])).toMatchObject({ wishes: [], state: { prompt: undefined } });
  });

  test('x ends the connection the cursor is on, after y', () => {
    const flow = {
      id: '0-17',
      listener: 'pg',
      protocol: 'tcp' as const,
      client: '192.0.2.7:4711',
      pool: 'pg',
      backend: 'pg1',
      address: '10.0.0.11:5432',
      why: 'pin',
      serverName: null,
      ageMs: 5_000,
      connectMs: 1,
      bytesIn: 10,
      bytesOut: 20,
      datagramsIn: 0,
      datagramsOut: 0,
    };
    const flows = hear(
      { ...state, view: 'flows' },
      { kind: 'flows', flows: { flows: [flow], matching: 1, isPartial: false } },
    );
    expect(type(flows, 'x').wishes).toEqual([]);
    expect(type(flows, 'xy').wishes).toEqual([
      { kind: 'end-flow', listener: 'pg', client: '192.0.2.7:4711' },
    ]);
    expect(type(flows, 'e').state.prompt?.text).toBe('pg 192.0.2.7:4711');
    expect(type(state, 'x').state.dialog, 'elsewhere there is no connection').toBeUndefined();
  });

  test('q and Ctrl-C leave, also while something is typed', () => {
    expect(type(state, 'q').wishes).toEqual([{ kind: 'quit' }]);
    expect(type(state, '/abc\x03').wishes).toEqual([{ kind: 'quit' }]);
  });
});
