/** Reading the configuration file again, with what it would change first. */
import type { ReloadPreview } from '../api/shapes.ts';
import { ask } from './api.ts';
import { askFirst, type PreviewText, type Tell } from './dialog.ts';
import { plural } from './words.ts';

export function askReload(file: string, tell: Tell): void {
  askFirst(
    {
      title: `Read ${file} again?`,
      verb: 'Reload',
      preview: async () => previewOf(await ask<ReloadPreview>('v1/reload?dry_run=true', 'POST')),
      act: async () => {
        await ask('v1/reload', 'POST');
        return 'The configuration was read again and is in use';
      },
    },
    tell,
  );
}

function previewOf({
  errors,
  warnings,
  changes,
  settings,
  pendingRestart,
  flowsEnd,
  text,
}: ReloadPreview): PreviewText {
  if (errors.length > 0) return { text: errors.join('\n'), isRefused: true };
  if (text !== '') return { text };
  const parts = [
    changes.length + settings.length === 0
      ? 'Nothing would change.'
      : [
          ...changes.map(({ what, kind, name }) => `${what}: ${kind} ${name}`),
          ...settings.map((key) => `changed: ${key}`),
        ].join('; '),
    ...(flowsEnd === 0 ? [] : [`${plural(flowsEnd, 'open flow')} would end.`]),
    ...(pendingRestart.length === 0 ? [] : [`Waits for a restart: ${pendingRestart.join(', ')}.`]),
    ...warnings,
  ];
  return { text: parts.join(' ') };
}
