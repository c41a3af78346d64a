/**
 * Plays stories of the conformance suite with the kernel's relay as their engine: `node kernel-player.js COMMAND...`, on the host `ends` of
 * kernel-scene.ts; the command is what runs another one on the relay's host. Told a title, it answers with how it went.
 */
import { type ChildProcess, execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { Stage } from '../../src/engine/conformance/stage.ts';
import { stories } from '../../src/engine/conformance/stories.ts';
import type { Story } from '../../src/engine/conformance/story.ts';
import { kernelScene } from './kernel-scene.ts';
import { retoldStories } from './kernel-stories.ts';

export interface Played {
  readonly title: string;
  /** With where it came from; absent: the story held. */
  readonly error?: string;
}

const atOnceMax = 3;
const portsOfEach = 20;
const firstPort = 10_000;

const relay = process.argv.slice(2);
const processUrl = new URL('../../src/engine/conformance/process.js', import.meta.url);
const byTitle = new Map<string, Story>([...stories, ...retoldStories].map((one) => [one.name, one]));
const waiting: string[] = [];
/** Processes whose stories held. */
const engines: ChildProcess[] = [];
let playing = 0;
let played = 0;

async function play({ options, run }: Story): Promise<void> {
  const number = played++;
  const table = `pinion_story_${number}`;
  const scene = kernelScene(relay, table, firstPort + number * portsOfEach);
  // A process takes longer to start than most stories.
  const isPlain = options.wrapper === undefined;
  const stage = new Stage('kernel', processUrl, options, scene, isPlain ? engines.pop() : undefined);
  try {
    await stage.open();
    await run(stage);
    await stage.finish();
    if (isPlain) engines.push(stage.leave());
  } finally {
    await stage.close();
    const [command, ...args] = [...relay, 'nft', 'delete', 'table', 'inet', table];
    // One that never came to be is no fault of the story's.
    await promisify(execFile)(command!, args).catch(() => {});
  }
}

async function playNext(): Promise<void> {
  const title = waiting.shift();
  if (title === undefined) return;
  playing++;
  const story = byTitle.get(title);
  const error = await (story === undefined ? Promise.reject(new Error('no such story')) : play(story)).then(
    () => undefined,
    (reason: unknown) => (reason instanceof Error ? (reason.stack ?? reason.message) : String(reason)),
  );
  playing--;
  process.send?.({ title, ...(error === undefined ? {} : { error }) } satisfies Played);
  void playNext();
}

process.on('message', (title: string) => {
  waiting.push(title);
  if (playing < atOnceMax) void playNext();
});
process.once('disconnect', () => process.exit());
