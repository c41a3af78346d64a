/** `pinion reload`: a running instance reads its configuration again, or says what that would change. */

import type { ReloadPreview } from '../../front/api/shapes.ts';
import { ask } from '../ask.ts';
import type { ReloadOptions } from '../commands/change.ts';
import { type Line, printable, span } from '../screen/line.ts';
import { terminalOf, textOf } from '../screen/terminal.ts';
import { print } from '../standard-output.ts';

export interface Reloaded {
  readonly digest: string;
  readonly warnings?: readonly string[];
  readonly needRestart?: readonly string[];
}

export async function reload(options: ReloadOptions): Promise<void> {
  if (options.dryRun === true) {
    const wouldBeRefused = ({ errors }: ReloadPreview): boolean => errors.length > 0;
    const preview = await ask<ReloadPreview>(options, 'POST', '/v1/reload?dry_run=true', {
      isRefusal: wouldBeRefused,
    });
    if (preview === undefined) return;
    const wouldChange = preview.errors.length + preview.changes.length + preview.settings.length > 0;
    const end: Line[] = wouldChange ? [[span('Nothing was changed.')]] : [];
    print(textOf([...reloadPreviewLines(preview), ...end], isColoured()));
    return;
  }
  const done = await ask<Reloaded>(options, 'POST', '/reload');
  if (done !== undefined) print(reloadedText(done));
}

export function reloadedText({ digest, warnings = [], needRestart = [] }: Reloaded): string {
  return [
    ...warnings.map((line) => `warning: ${printable(line)}`),
    `the configuration is in use (digest ${digest.slice(0, 12)})`,
    ...(needRestart.length === 0 ? [] : [`restart to change ${needRestart.join(', ')}`]),
  ]
    .map((line) => `${line}\n`)
    .join('');
}

const signs = { added: '+', changed: '~', removed: '-' } as const;
const styles = { added: 'good', changed: 'warning', removed: 'bad' } as const;

/** What a reload would do, a line each: why it would be refused, or what it would change. */
export function reloadPreviewLines({ errors, warnings, changes, settings, text }: ReloadPreview): Line[] {
  return [
    ...errors.map((error): Line => [span(printable(error), 'bad')]),
    ...warnings.map((warning): Line => [span(`warning: ${printable(warning)}`, 'warning')]),
    ...changes.map(({ what, kind, name }): Line => [span(`${signs[what]} ${kind} ${name}`, styles[what])]),
    ...settings.map((key): Line => [span(`${signs.changed} ${key}`, styles.changed)]),
    [span(printable(text))],
  ];
}

function isColoured(): boolean {
  return terminalOf(process.stdout, process.env).isColoured;
}
