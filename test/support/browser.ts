/**
 * Debian's Chromium, driven through playwright-core: a page as people see it, with what it asked for and what it complained
 * of written down.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { requireCommand } from './packages.ts';

const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** As root there is no sandbox to be had, and a container's /dev/shm is small. */
const flags = ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu'];

export function startBrowser(more: readonly string[] = []): Promise<Browser> {
  const executablePath = requireCommand('chromium', 'chromium');
  return chromium.launch({ executablePath, args: [...flags, ...more] });
}

export interface WatchedPage {
  readonly page: Page;
  /** Every address it asked for. */
  readonly asked: readonly string[];
  /** Errors of its scripts, and what the browser refused to load or run. */
  readonly complaints: readonly string[];
}

export async function openPage(
  browser: Browser,
  url: string,
  options: BrowserContextOptions = {},
): Promise<WatchedPage> {
  const page = await browser.newPage(options);
  page.setDefaultTimeout(15_000);
  const asked: string[] = [];
  const complaints: string[] = [];
  page.on('request', (request) => asked.push(request.url()));
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('console', (message) => {
    // That an answer was not good, or did not come, is told by the page itself.
    const isAnswer = message.text().startsWith('Failed to load resource');
    if (message.type() === 'error' && !isAnswer) complaints.push(message.text());
  });
  await page.goto(url);
  return { page, asked, complaints };
}

/** What axe finds that keeps people from using the page: rule and place of each. */
export async function seriousFaults(page: Page): Promise<string[]> {
  await page.evaluate(axeSource);
  const run = "axe.run({ preload: false, resultTypes: ['violations'] })";
  const violations = (await page.evaluate(`${run}.then(({ violations }) => violations)`)) as {
    readonly id: string;
    readonly impact: string;
    readonly nodes: readonly { readonly target: readonly string[]; readonly failureSummary: string }[];
  }[];
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, nodes }) =>
      nodes.map(({ target, failureSummary }) => `${id}: ${target.join(' ')}: ${failureSummary}`),
    );
}
