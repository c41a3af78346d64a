/**
 * The page for operators in a real browser, of a real pinion: what it shows is what is, what is done on it is done, and it
 * says when it knows nothing new.
 */
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openPage, seriousFaults, startBrowser, type WatchedPage } from './support/browser.ts';
import { type TcpClient, tcpClient } from './support/clients.ts';
import {
  admin,
  adminAt,
  adminToken,
  backendsOf,
  configText,
  listener,
  quickCheck,
} from './support/config.ts';
import { type Pinion, startPinion } from './support/pinion.ts';
import { freePort } from './support/ports.ts';
import { stopEverything } from './support/processes.ts';
import { requirePackage } from './support/require-package.ts';
import { namedTcp, stopServers, type TestServer } from './support/servers.ts';

const views = ['overview', 'client', 'flows', 'events', 'cluster'];
const until = <Value>(read: () => Value) => expect.poll(read);

requirePackage('chromium')('the page', () => {
  let servers: TestServer[];
  let config: string;
  let pinion: Pinion;
  let browser: Browser;
  let watched: WatchedPage;
  let page: Page;
  const clients: TcpClient[] = [];
  let url: string;
  const row = (name: string) => page.getByRole('row', { name: new RegExp(`^${name} `) });

  const go = async (view: string) => {
    await page.evaluate(`location.hash = '${view}'`);
    await page.locator(`.tabs a[href="#${view}"][aria-current]`).waitFor();
  };

  beforeAll(async () => {
    servers = await namedTcp(['one', 'two', 'three']);
    const port = await freePort();
    url = `http://127.0.0.1:${port}/`;
    const listenPort = await freePort();
    config = configText({
      admin: adminAt(`127.0.0.1:${port}`),
      listeners: [{ ...listener('front', 'tcp', 'pool'), bind: `tcp://127.0.0.1:${listenPort}` }],
      pools: { pool: { health: quickCheck, backends: backendsOf(servers) } },
    });
    pinion = await startPinion(config);
    for (let i = 0; i < 5; i++) clients.push(await tcpClient(listenPort, { from: `127.0.0.${i + 2}` }));
    browser = await startBrowser();
    watched = await openPage(browser, url, { reducedMotion: 'reduce' });
    page = watched.page;
  });

  afterAll(async () => {
    await browser?.close();
    for (const client of clients) client.socket.destroy();
    await stopEverything();
    await stopServers();
  });

  test('shows what is, and changes nothing without a token', async () => {
    await until(() => row('one').innerText()).toContain('up');
    await until(() => page.locator('.figure').first().innerText()).toContain('5');
    await servers[2]!.stop();
    await until(() => row('three').innerText()).toContain('down');
    await until(() => row('three').innerText()).toContain('ECONNREFUSED');
    const doings = page.getByRole('button', { name: 'What to do with one' });
    expect(await doings.isVisible(), 'without a token it looks and no more').toBe(false);
    await page.getByRole('button', { name: 'Use a token' }).click();
    await page.getByRole('textbox', { name: 'Token' }).fill(adminToken);
    await page.getByRole('button', { name: 'Use it' }).click();
    await until(() => doings.isVisible()).toBe(true);
    expect(watched.complaints).toEqual([]);
    expect(watched.asked.filter((asked) => !asked.startsWith(url))).toEqual([]);
  });

  test('what is drained on it drains, with the keyboard alone, once it was said what that does', async () => {
    await page.getByRole('button', { name: 'What to do with one' }).focus();
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: /^Drain/ }).focus();
    await page.keyboard.press('Enter');
    const preview = page.locator('.preview');
    await until(() => preview.innerText()).toContain('two 100 %');
    await page.getByRole('button', { name: 'Drain', exact: true }).click();
    await until(() => row('one').innerText()).toMatch(/drain(ing|ed)/);
    const { backends } = (await admin(pinion, 'GET', '/status')).body as {
      readonly backends: readonly { readonly backend: string; readonly draining: boolean }[];
    };
    expect(backends.filter(({ draining }) => draining).map(({ backend }) => backend)).toEqual(['one']);
  });

  test('draws where a client goes', async () => {
    await page.getByRole('link', { name: 'Client' }).click();
    await page.getByLabel('Address of the client').fill('127.0.0.2');
    await page.getByRole('button', { name: 'Show its way' }).click();
    const drawing = page.getByRole('img', { name: /^127\.0\.0\.2 goes to (one|two)/ });
    await until(() => drawing.locator('rect').count()).toBeGreaterThanOrEqual(5);
    await page.getByRole('button', { name: 'Move its pin' }).click();
    await page.locator('dialog select').selectOption('two');
    await page.getByRole('button', { name: 'Pin', exact: true }).click();
    await until(() => page.getByRole('heading', { name: 'goes to two: it is pinned' }).count()).toBe(1);
  });

  test('ends one flow', async () => {
    await page.getByRole('link', { name: 'Flows' }).click();
    await page.getByLabel('Client', { exact: true }).fill('127.0.0.3');
    await until(() => page.getByRole('row').count()).toBe(2);
    await page.getByRole('button', { name: /^End the flow of 127\.0\.0\.3/ }).click();
    await page.getByRole('button', { name: 'End it' }).click();
    await until(() => page.getByText('No open flow is like that.').isVisible()).toBe(true);
    await clients[1]!.closed;
  });

  test('weight, maintenance and a reload, each once it was said what it does', async () => {
    const order = async (choice: RegExp, verb: string, says: string, weight?: string) => {
      await page.getByRole('button', { name: 'What to do with one' }).click();
      await page.getByRole('button', { name: choice }).click();
      if (weight !== undefined) await page.getByRole('spinbutton').fill(weight);
      await until(() => page.locator('.preview').innerText()).toContain(says);
      await page.getByRole('button', { name: verb, exact: true }).click();
      await until(() => page.locator('dialog').count()).toBe(0);
    };
    await page.getByRole('link', { name: 'Overview' }).click();
    await order(/^Put back/, 'Put back', 'one 50 %');
    await order(/^Weight/, 'Set weight', 'one 75 %', '3');
    await order(/^Maintenance/, 'Maintenance', 'two 100 %');
    const { backends } = (await admin(pinion, 'GET', '/status')).body as {
      readonly backends: readonly { readonly weight: number; readonly operator: object }[];
    };
    expect(backends[0]).toMatchObject({ weight: 3, operator: { state: 'maintenance' } });
    await page.getByRole('button', { name: 'Reload …' }).click();
    await until(() => page.locator('.preview').innerText()).toContain('Nothing changes.');
    await page.getByRole('button', { name: 'Reload', exact: true }).click();
    await pinion.waitForLog(({ event }) => event === 'reloaded');
  });

  test('says that the connection is lost, and comes back', async () => {
    await page.getByRole('link', { name: 'Overview' }).click();
    await pinion.stop('SIGKILL');
    await until(() => page.getByRole('alert').innerText()).toContain('No connection to pinion');
    await until(() => page.getByRole('button', { name: 'What to do with one' }).isVisible()).toBe(false);
    pinion = await startPinion(config);
    clients.push(await tcpClient(pinion.port('front')));
    await until(() => page.getByRole('alert').isVisible()).toBe(false);
    await until(() => row('one').innerText()).toContain('up');
    expect(watched.complaints).toEqual([]);
  });

  test.each([
    ['light', 1280, views],
    ['dark', 390, ['overview', 'events']],
  ] as const)('%s, %i pixels wide: axe finds nothing serious', async (scheme, width, looked) => {
    await page.emulateMedia({ colorScheme: scheme });
    await page.setViewportSize({ width, height: 800 });
    for (const view of looked) {
      await go(view);
      expect(await seriousFaults(page), view).toEqual([]);
    }
  });

  test.each([1024, 390, 320])('%i pixels wide: nothing sticks out', async (width) => {
    await page.setViewportSize({ width, height: 800 });
    for (const view of views) {
      await go(view);
      expect(await page.evaluate('document.scrollingElement.scrollWidth'), view).toBeLessThanOrEqual(width);
    }
  });
});
