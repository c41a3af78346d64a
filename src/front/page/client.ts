/** Where does this client go? The answer as a drawn path, the pin it has, and what may be done with it. */

import { ask, query, words } from './api.ts';
import { askFirst, latest, type Tell } from './dialog.ts';
import { button, h, Rows, s, type View } from './dom.ts';
import type { Explanation } from './explanation.ts';
import type { Look } from './look.ts';
import { layOut, type PathNode, type PathShape } from './path-layout.ts';
import { duration } from './words.ts';

export interface ClientView extends View<Look> {
  /** Asks about this client. */
  show(listener: string, client: string): void;
}

export function clientView(tell: Tell): ClientView {
  const listener = h('select', { name: 'listener' });
  const client = h('input', {
    name: 'client',
    required: true,
    autocomplete: 'off',
    spellcheck: 'false',
    placeholder: '203.0.113.7',
  });
  const serverName = h('input', {
    name: 'server_name',
    autocomplete: 'off',
    spellcheck: 'false',
    placeholder: 'play.example (only if it says one)',
  });
  const submit = h('button', { type: 'submit', class: 'first' }, 'Show its way');
  const form = h(
    'form',
    { class: 'line' },
    h('label', {}, 'Listener', listener),
    h('label', {}, 'Address of the client, or its key', client),
    h('label', {}, 'Server name it asks for', serverName),
    submit,
  );
  const result = h('div', { class: 'result', 'aria-live': 'polite' });
  const element = h(
    'section',
    { 'aria-label': 'Where does this client go?' },
    h(
      'div',
      { class: 'card' },
      h('header', {}, h('h2', {}, 'Where does this client go?')),
      h('div', { class: 'inside' }, form),
    ),
    result,
  );
  let look: Look | undefined;
  const refresh = latest(
    () =>
      ask<Explanation>(
        `v1/explain${query({ listener: listener.value, client: client.value.trim(), server_name: serverName.value.trim() })}`,
      ),
    (answer) => {
      if (look !== undefined) result.replaceChildren(explained(answer, look, tell, refresh));
    },
    (error) => result.replaceChildren(h('p', { class: 'card nothing bad' }, words(error))),
  );
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    refresh();
  });
  const options = new Rows<string>(
    listener,
    (name) => name,
    (name) => ({ element: h('option', { value: name }, name), update: () => {} }),
  );
  return {
    element,
    update(now) {
      look = now;
      options.update(now.status.listeners.map((one) => one.listener));
    },
    show(name, address) {
      listener.value = name;
      client.value = address;
      serverName.value = '';
      refresh();
    },
  };
}

function explained(answer: Explanation, look: Look, tell: Tell, refresh: () => void): Element {
  const pool = look.status.pools.find((one) => one.pool === answer.pool);
  const stateOf = (name: string | null): string =>
    pool?.backends.find(({ backend }) => backend === name)?.state ?? 'nobody';
  const element = h(
    'div',
    { class: 'card' },
    h('header', {}, h('h2', {}, sentence(answer))),
    h('div', { class: 'inside' }, drawing(shapeOf(answer, stateOf), sentence(answer))),
    h('div', { class: 'inside' }, facts(answer)),
  );
  if (look.canAct && pool !== undefined) {
    const backends = pool.backends.map(({ backend }) => backend);
    element.append(h('div', { class: 'inside' }, pinOrders(answer, backends, tell, refresh)));
  }
  return element;
}

function sentence({ client, backend, by, why }: Explanation): string {
  if (backend === null) return `${client} reaches nobody: ${why}`;
  return by === 'pin' ? `${client} goes to ${backend}: it is pinned` : `${client} goes to ${backend}`;
}

function shapeOf(answer: Explanation, stateOf: (name: string | null) => string): PathShape {
  const { client, listener, key, pool, policy, route, by, pin, backend, address, without } = answer;
  const decided: PathNode =
    by === 'pin'
      ? {
          kind: 'pin',
          name: `pinned to ${answer.pinned}`,
          more: pin === null ? '' : `expires in ${duration(pin.expiresInMs)}`,
          state: 'pin',
        }
      : {
          kind: 'policy',
          name: policy,
          more: answer.pinned === null ? 'no pin' : 'its pin is not followed',
          state: '',
        };
  const last: PathNode =
    backend === null
      ? { kind: 'backend', name: 'nobody', more: '', state: 'nobody' }
      : { kind: 'backend', name: backend, more: address ?? '', state: stateOf(backend) };
  const next = without?.backend;
  const nodes: PathNode[] = [
    { kind: 'client', name: client, more: key === `client-ip ${client}` ? '' : key, state: '' },
    { kind: 'listener', name: listener, more: '', state: '' },
    { kind: 'pool', name: pool, more: route === undefined ? '' : `route ${route}`, state: '' },
    decided,
    last,
  ];
  if (without === undefined || backend === null) return { nodes, otherwise: undefined };
  const otherwise: PathNode = {
    kind: `if ${without.lost} is lost`,
    name: next ?? 'nobody',
    more: '',
    state: 'maybe',
  };
  return { nodes, otherwise };
}

/** Drawn for the width there is, and again when that changes. */
function drawing(shape: PathShape, label: string): Element {
  const element = h('div');
  let drawnFor = 0;
  new ResizeObserver(() => {
    const width = Math.floor(element.clientWidth);
    if (width === drawnFor || width === 0) return;
    drawnFor = width;
    element.replaceChildren(draw(shape, label, width));
  }).observe(element);
  return element;
}

function draw(shape: PathShape, label: string, available: number): Element {
  const { width, height, nodes, arrows } = layOut(shape, available);
  return s(
    'svg',
    {
      class: 'path',
      role: 'img',
      'aria-label': label,
      viewBox: `0 0 ${width} ${height}`,
      width,
      height,
    },
    ...arrows.flatMap(({ path, head, isMaybe }) => [
      s('path', { class: isMaybe ? 'arrow maybe' : 'arrow', d: path }),
      s('path', { class: 'head', d: head }),
    ]),
    ...nodes.flatMap((node) => {
      const middle = node.x + node.width / 2;
      const fits = Math.floor((node.width - 16) / 8);
      const line = (text: string, y: number, kind: string | undefined): SVGElement =>
        s('text', { x: middle, y: node.y + y, class: kind }, s('title', {}, text), shortened(text, fits));
      return [
        s('rect', {
          class: 'node',
          'data-state': node.state,
          x: node.x,
          y: node.y,
          width: node.width,
          height: node.height,
          rx: 11,
        }),
        line(node.kind, 22, 'kind'),
        line(node.name, node.more === '' ? 48 : 43, undefined),
        ...(node.more === '' ? [] : [line(node.more, 63, 'more')]),
      ];
    }),
  );
}

function shortened(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, Math.max(1, most - 1))}…`;
}

function facts(answer: Explanation): Element {
  const { pin } = answer;
  const rows: (readonly [string, string | undefined])[] = [
    ['Why', answer.why],
    ['Recognised by', answer.told === undefined ? answer.key : `${answer.key} (${answer.told})`],
    ['Pins shared with', answer.group === undefined ? undefined : `group ${answer.group}`],
    [
      'Pin',
      pin === null
        ? 'none'
        : `to ${pin.backend}, written by ${pin.writer} (${pin.reason})${pin.confirmed ? '' : ', not confirmed yet'}`,
    ],
    ['Pin used', pin === null ? undefined : `${duration(Math.max(0, pin.ttlMs - pin.expiresInMs))} ago`],
    [
      'Pin expires',
      pin === null
        ? undefined
        : `in ${duration(pin.expiresInMs)}, if it does not come back (${duration(pin.ttlMs)} after its last visit)`,
    ],
    [
      'If it is lost',
      answer.without === undefined
        ? undefined
        : `without ${answer.without.lost} it goes to ${answer.without.backend ?? 'nobody'}`,
    ],
    ['Whose address', answer.whoseAddress?.why],
    ['Moves', answer.moves],
    ['May it come in', answer.access?.why],
    ['Told to the backend', answer.proxyHeader],
    ['Bandwidth', answer.bandwidth?.map(({ of, why }) => `${of}: ${why}`).join('. ')],
    ['Session ends', answer.ends],
    ['Waits', answer.waits],
  ];
  const shown = rows.flatMap(([name, text]) =>
    text === undefined ? [] : [h('dt', {}, name), h('dd', {}, text)],
  );
  return h('dl', { class: 'facts' }, ...shown);
}

function pinOrders(
  { listener, client, pool, pin, backend }: Explanation,
  backends: readonly string[],
  tell: Tell,
  refresh: () => void,
): Element {
  const told: Tell = (text) => {
    tell(text);
    refresh();
  };
  const to = h('select', {}, ...backends.map((name) => h('option', { value: name }, name)));
  to.value = backends.find((name) => name !== (pin?.backend ?? backend)) ?? backends[0] ?? '';
  const choices = [h('label', {}, 'Backend', to)];
  const pinTo = button(pin === null ? 'Pin it …' : 'Move its pin …', () =>
    askFirst(
      {
        title: `Pin ${client} to another backend?`,
        verb: 'Pin',
        choices,
        preview: async () => ({
          text: `Its next connection goes to ${to.value}, on all instances. Connections that are open stay where they are.`,
        }),
        act: async () => {
          await ask(`v1/pins/set${query({ listener, pool, client, backend: to.value })}`, 'POST');
          return `${client} is pinned to ${to.value}`;
        },
      },
      told,
    ),
  );
  if (pin === null) return h('div', { class: 'actions' }, pinTo);
  const forget = button(
    'Delete its pin …',
    () =>
      askFirst(
        {
          title: `Delete the pin of ${client}?`,
          verb: 'Delete the pin',
          isGrave: true,
          preview: async () => ({
            text: `With its next connection it is a new client: the policy of pool ${pool} chooses. Connections that are open stay.`,
          }),
          act: async () => {
            await ask(`v1/pins/delete${query({ pool, client: `${pin.kind}=${pin.client}` })}`, 'POST');
            return `The pin of ${client} is deleted`;
          },
        },
        told,
      ),
    { class: 'grave' },
  );
  return h('div', { class: 'actions' }, pinTo, forget);
}
