/** The version, as package.json says it. */
import { readFileSync } from 'node:fs';

// dist/src/cli/version.js is three folders below package.json; the source, as unit tests load it, two.
const packageFile = new URL(
  import.meta.url.endsWith('.ts') ? '../../package.json' : '../../../package.json',
  import.meta.url,
);

export const version: string = (JSON.parse(readFileSync(packageFile, 'utf8')) as { version: string }).version;
