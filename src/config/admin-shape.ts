/** The shape of `admin`: where operators and monitors ask, and who of them may change something. */
import * as z from 'zod';
import type { AdminPlan } from '../core/plan.ts';
import { readListen } from './bind.ts';
import { readBy, section } from './fields.ts';

const listen = readBy(
  readListen,
  'Where it listens: unix:/path, 127.0.0.1:9465 or [::1]:9465. Port 0: any free one. On a unix socket (mode 0600) whoever can open it may do everything. On TCP a token says what one may do; without one, an address of this machine may look, unless there is tokens.read_file, and others may only ask whether it is ready.',
  { type: 'string' },
);

const tokenFile = (what: string, more = '') =>
  z
    .string({ error: 'must be the name of a file' })
    .min(1, { error: 'is empty' })
    .meta({
      description: `A file whose first line is the token ${what}, at least 16 characters, or credential:NAME (systemd, LoadCredential=).${more} It is read again when it changes. Make one: openssl rand -hex 32`,
    })
    .optional();

export const adminShape = section('The admin API. Left out: none.', {
  listen,
  tokens: section(
    'Who may do what over TCP (Authorization: Bearer TOKEN). Left out: nobody may change anything.',
    {
      read_file: tokenFile('for looking', ' With it, looking needs a token from this machine, too.'),
      write_file: tokenFile('for everything'),
    },
  ).optional(),
  group: z
    .string({ error: 'must be the name of a group, in quotes if it is a number' })
    .regex(/^[a-z0-9_][a-z0-9_-]{0,31}$/i, { error: 'must be the name or number of a group' })
    .meta({
      description:
        'Unix socket: members of this group may open it as well (mode 0660). Left out: its owner alone.',
    })
    .optional(),
}).optional();

export function buildAdmin(written: z.output<typeof adminShape>): AdminPlan | undefined {
  if (written === undefined) return undefined;
  const { listen, tokens, group } = written;
  return {
    listen,
    ...(tokens === undefined
      ? {}
      : {
          tokens: {
            ...(tokens.read_file === undefined ? {} : { readFile: tokens.read_file }),
            ...(tokens.write_file === undefined ? {} : { writeFile: tokens.write_file }),
          },
        }),
    ...(group === undefined ? {} : { group }),
  };
}
