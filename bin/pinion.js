#!/usr/bin/env node
/**
 * The `pinion` command. Plain JavaScript that any Node can read, and in the repository, so that what is missing (a newer Node, the
 * build, the dependencies) is said in words. All else is in src/main.ts.
 */
import { existsSync } from 'node:fs';

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
const main = new URL('../dist/src/main.js', import.meta.url);
const dependencies = new URL('../node_modules/', import.meta.url);
const folder = new URL('..', import.meta.url).pathname;

function refuse(why) {
  process.stderr.write(`pinion: ${why}\n`);
  process.exit(1);
}

if (major < 20 || (major === 20 && minor < 19))
  refuse(`needs Node.js 20.19 or newer; this is ${process.version}`);
if (!existsSync(main)) {
  const how = existsSync(dependencies) ? 'npm run build' : 'npm ci --ignore-scripts && npm run build';
  refuse(`is not built yet. In ${folder} run: ${how}`);
}
try {
  await import(main.href);
} catch (error) {
  // A package that main.js needs, as import and as require() say it, not a file of ours: that would be a defect.
  const missing = /^Cannot find (?:package|module) '((?:@[^/']+\/)?[^./'][^/']*)/.exec(error?.message)?.[1];
  if (!/MODULE_NOT_FOUND$/.test(error?.code) || missing === undefined) throw error;
  refuse(`misses a dependency (Cannot find package '${missing}'). In ${folder} run: npm ci --ignore-scripts`);
}
