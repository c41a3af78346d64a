/** What of `admin` has no effect where it listens, and who is shut out. */
import type { Draft } from './draft.ts';
import type { Report } from './report.ts';

export function checkAdmin(draft: Draft, report: Report): void {
  const listen = draft.services.find(({ path }) => path[0] === 'admin');
  if (listen === undefined) return;
  const bind = listen.value;
  const hasTokens = draft.isWritten(['admin', 'tokens']);
  if (bind.kind === 'unix') {
    if (hasTokens)
      report.warning(
        ['admin', 'tokens'],
        'has no effect: whoever can open the unix socket may do everything',
        'key',
      );
    return;
  }
  if (draft.isWritten(['admin', 'group']))
    report.warning(['admin', 'group'], 'has no effect: admin.listen is no unix socket', 'key');
  if (hasTokens || bind.ip.startsWith('127.') || bind.ip === '::1') return;
  report.warning(
    listen.path,
    'other machines may only ask whether it is ready there, as there are no admin.tokens; set read_file and write_file, or listen on a unix socket',
  );
}
