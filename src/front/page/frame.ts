/** What stands around every view: who this is and whether it is well, the ways to the views, what somebody should know now. */
import type { Banner } from '../api/shapes.ts';
import { button, h, Rows, say, set, type View } from './dom.ts';
import type { Look } from './look.ts';
import { ago, duration } from './words.ts';

export interface Tab {
  readonly id: string;
  readonly name: string;
  readonly element: Element;
}

export interface Frame extends View<Look> {
  /** The view to be seen; undefined: none is called that, and the first is shown. */
  show(id: string): string;
  /** Undefined: connected. Otherwise for how long the page knows nothing new, and why. */
  connection(lost: { readonly sinceMs: number; readonly why: string } | undefined): void;
}

export interface FrameDoings {
  reload(): void;
  giveToken(): void;
}

export function createFrame(tabs: readonly Tab[], doings: FrameDoings): Frame {
  const name = h('h1', {}, 'pinion');
  const chip = h('span', { class: 'chip' }, '…');
  const live = h('span', { class: 'live' }, 'live');
  const links = tabs.map(({ id, name: text }) => h('a', { href: `#${id}` }, text));
  const lost = h('p', { class: 'banner', 'data-level': 'error', role: 'alert' });
  lost.hidden = true;
  const told = banners();
  const footer = createFooter(doings);
  const main = h(
    'main',
    { id: 'main', tabindex: -1 },
    h('div', { class: 'notices' }, lost, told.element),
    ...tabs.map(({ element }) => element),
  );
  const element = h(
    'div',
    {},
    h(
      'div',
      { class: 'top' },
      h(
        'header',
        { class: 'bar' },
        h('div', { class: 'brand' }, h('img', { src: 'page/icon.svg', alt: '' }), name, chip),
        h('nav', { class: 'tabs', 'aria-label': 'Views' }, ...links),
        live,
      ),
    ),
    main,
    footer.element,
  );
  return {
    element,
    update(look) {
      const { instance } = look.status;
      say(name, instance.name);
      document.title = `${instance.name} – pinion`;
      say(chip, instance.state);
      set(chip, { 'data-state': instance.state === 'ready' ? 'ready' : 'draining' });
      told.update(look);
      footer.update(look);
    },
    show(id) {
      const shown = tabs.find((tab) => tab.id === id) ?? tabs[0]!;
      for (const [i, tab] of tabs.entries()) {
        set(tab.element, { hidden: tab !== shown });
        set(links[i]!, { 'aria-current': tab === shown ? 'page' : undefined });
      }
      return shown.id;
    },
    connection(now) {
      element.classList.toggle('lost', now !== undefined);
      set(live, { 'data-state': now === undefined ? undefined : 'lost' });
      say(live, now === undefined ? 'live' : 'not connected');
      lost.hidden = now === undefined;
      if (now === undefined) return;
      say(lost, `No connection to pinion (${now.why}). This is what it was when it was lost; trying again.`);
    },
  };
}

function banners(): View<Look> {
  const list = h('ul', { class: 'banners', 'aria-label': 'What needs attention' });
  let nowMs = 0;
  const rows = new Rows<Banner>(
    list,
    ({ code, about, text }) => `${code} ${about} ${text}`,
    (first) => {
      const since = h('span', { class: 'small', 'aria-hidden': 'true' });
      return {
        element: h('li', { class: 'banner', 'data-level': first.level }, first.text, since),
        update: (banner) =>
          say(since, banner.since === null ? '' : `for ${duration(nowMs - Date.parse(banner.since))}`),
      };
    },
  );
  return {
    element: h('div', { role: 'status' }, list),
    update({ status }) {
      nowMs = Date.parse(status.at);
      rows.update(status.banners);
    },
  };
}

function createFooter({ reload, giveToken }: FrameDoings): View<Look> {
  const items = Array.from({ length: 5 }, () => h('li'));
  const press = button('Reload …', reload, { 'aria-haspopup': 'dialog' });
  const unlock = button('Use a token …', giveToken, { 'aria-haspopup': 'dialog' });
  return {
    element: h('footer', {}, h('ul', {}, ...items, h('li', {}, press, unlock))),
    update({ status: { access, instance, pendingRestart }, canAct }) {
      const { version, engine, workers, workerRestarts, uptimeMs, config, digest } = instance;
      const restarts = workerRestarts === 0 ? '' : `, restarted ${workerRestarts} times`;
      const texts = [
        `pinion ${version}`,
        `${engine}, ${workers} ${workers === 1 ? 'worker' : 'workers'}${restarts}`,
        `started ${ago(uptimeMs)}`,
        `${config} (${digest.slice(0, 12)})`,
        pendingRestart.length === 0 ? '' : `waits for a restart: ${pendingRestart.join(', ')}`,
      ];
      for (const [i, text] of texts.entries()) {
        say(items[i]!, text);
        items[i]!.hidden = text === '';
      }
      press.hidden = !canAct;
      unlock.hidden = access === 'write';
    },
  };
}
