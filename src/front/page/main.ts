/** Puts the page together: the stream comes in here, goes to all views, and what they want done goes out to pinion. */
import type { EventRow, StatusPage } from '../api/shapes.ts';
import { Refusal, words } from './api.ts';
import { chooseOrder } from './backend-orders.ts';
import { clientView } from './client.ts';
import { clusterView } from './cluster.ts';
import type { Tell } from './dialog.ts';
import { h, say } from './dom.ts';
import { eventsView } from './events.ts';
import { flowsView } from './flows.ts';
import { createFrame } from './frame.ts';
import { createHistory, remember } from './look.ts';
import { overview } from './overview.ts';
import { askReload } from './reload.ts';
import { Stream } from './stream.ts';
import { askToken } from './token.ts';

/** Who looks elsewhere for so long is not sent anything until they come back. */
const unseenMs = 60_000;
/** A state comes every second. Without one for so long nothing that is seen is sure, even where something else comes. */
const staleMs = 6_000;
const toldMs = 6_000;

const history = createHistory();
let status: StatusPage | undefined;
let lostSinceMs: number | undefined;
let stateAtMs = performance.now();

const told = h('div', { class: 'told', role: 'status' });
let toldTimer: number | undefined;
const tell: Tell = (text) => {
  say(told, text);
  clearTimeout(toldTimer);
  toldTimer = setTimeout(() => say(told, ''), toldMs);
};

const client = clientView(tell);
const flows = flowsView({
  tell,
  explain: (listener, address) => {
    location.hash = 'client';
    client.show(listener, address);
  },
});
const events = eventsView();
const first = overview((backend) =>
  chooseOrder(backend, status !== undefined && status.cluster !== null, tell),
);
const cluster = clusterView();
const frame = createFrame(
  [
    { id: 'overview', name: 'Overview', element: first.element },
    { id: 'client', name: 'Client', element: client.element },
    { id: 'flows', name: 'Flows', element: flows.element },
    { id: 'events', name: 'Events', element: events.element },
    { id: 'cluster', name: 'Cluster', element: cluster.element },
  ],
  {
    reload: () => status !== undefined && askReload(status.instance.config, tell),
    giveToken: () =>
      askToken('Without one, or with one for reading, this page can only look.', () => stream.open()),
  },
);
const views = [frame, first, client, flows, cluster];

function draw(): void {
  if (status === undefined) return;
  const look = { status, history, canAct: status.access === 'write' && lostSinceMs === undefined };
  for (const view of views) view.update(look);
}

function begin(): void {
  if (frame.element.isConnected) return;
  document.getElementById('page')?.replaceChildren(frame.element, told);
  route();
}

function route(): void {
  const shown = frame.show(location.hash.slice(1));
  flows.look(shown === 'flows');
}

const stream = new Stream('v1/stream', {
  onEvent({ type, data }) {
    if (type === 'event') events.add(JSON.parse(data) as EventRow);
    if (type === 'gap') loadEvents();
    if (type !== 'state') return;
    status = JSON.parse(data) as StatusPage;
    stateAtMs = performance.now();
    if (lostSinceMs !== undefined) {
      lostSinceMs = undefined;
      frame.connection(undefined);
    }
    remember(history, status);
    begin();
    draw();
  },
  onConnection(error) {
    if (error === undefined) {
      lostSinceMs = undefined;
      stateAtMs = performance.now();
      frame.connection(undefined);
      loadEvents();
      return;
    }
    lostSinceMs ??= performance.now();
    if (error instanceof Refusal && error.status === 401) askToken(error.message, () => stream.open());
    if (status === undefined) sayEarly(words(error));
    const why = error instanceof Refusal ? error.message : 'it does not answer';
    frame.connection({ sinceMs: lostSinceMs, why });
    draw();
  },
});

function loadEvents(): void {
  events.load().catch((why: unknown) => tell(words(why)));
}

/** Before the first state there is nothing to stand beside. */
function sayEarly(text: string): void {
  const early = document.querySelector('.early p');
  if (early !== null) say(early, text);
}

setInterval(() => {
  if (!stream.isOpen || lostSinceMs !== undefined || performance.now() - stateAtMs < staleMs) return;
  lostSinceMs = stateAtMs;
  frame.connection({ sinceMs: stateAtMs, why: 'it does not say how it is' });
  draw();
}, 1_000);

let unseenTimer: number | undefined;
document.addEventListener('visibilitychange', () => {
  clearTimeout(unseenTimer);
  if (document.hidden) unseenTimer = setTimeout(() => stream.close(), unseenMs);
  else if (!stream.isOpen) {
    stateAtMs = performance.now();
    stream.open();
  }
});
function goToContent(): void {
  document.getElementById('main')?.focus({ preventScroll: true });
  scrollTo({ top: 0 });
}

addEventListener('hashchange', () => {
  route();
  goToContent();
});
document.querySelector('.skip')?.addEventListener('click', (event) => {
  // What stands behind # says which view is seen.
  event.preventDefault();
  goToContent();
});
stream.open();
