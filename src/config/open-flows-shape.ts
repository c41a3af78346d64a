/**
 * What becomes of open flows when their backend goes down or is at another address: what a user may write, and what the plan has.
 */
import { type DownReason, downReasons } from '../core/down-reason.ts';
import type { OpenFlowsPlan, PoolPlan } from '../core/plan.ts';
import { described, duration, section } from './fields.ts';
import { form } from './form.ts';
import * as z from './zod.ts';

/** Its open flows go on well: it is behind, has no room for more, or does not let the check in. */
const keptReasons: readonly DownReason[] = ['lagging', 'full', 'not-authorized'];
const closed: OpenFlowsPlan = { action: 'close', graceMs: 0 };
const kept: OpenFlowsPlan = { action: 'keep', graceMs: 0 };
const fateError = 'must be close, keep or { grace: 30s }';

/** What becomes of open flows: they end, now or after a while, or they stay. */
function fate(grace: string, ends: string) {
  return z.union(
    [z.enum(['close', 'keep']), section(ends, { grace: duration(grace, { zero: true }).nonoptional() })],
    { error: fateError },
  );
}

const downGrace = 'How long they may go on, if the backend stays down.';
const ends = 'Ends them after a while.';
const downFate = fate(downGrace, ends);
/** The reasons a check, flows or the resolver can give. */
const fatefulReasons = downReasons.filter((reason) => reason !== 'unchecked' && reason !== 'operator');

const onDownField = z
  .union(
    [
      z.enum(['close', 'keep']),
      section(ends, { grace: duration(downGrace, { zero: true }).nonoptional() }),
      section('By the reason why it is down.', {
        ...Object.fromEntries(
          fatefulReasons.map((reason) => [
            reason,
            downFate.meta(described(`Down because: ${reason}.`, keptDefault(reason))).optional(),
          ]),
        ),
        default: downFate.meta(described('Every reason that is not named.', closed.action)).optional(),
      } as Record<DownReason | 'default', z.ZodOptional<typeof downFate>>),
    ],
    { error: 'must be close, keep, { grace: 30s } or a map of reasons' },
  )
  .meta(
    described(
      'What becomes of the open flows of a backend that goes down. close: they are ended at once, and a client that connects again gets another backend; keep: they go on until they end by themselves; { grace: 30s }: they are ended after that time, unless the backend is up again. Or a map from the reason it is down for to one of these.',
      closed.action,
    ),
  )
  .optional();

function keptDefault(reason: DownReason): string | undefined {
  return keptReasons.includes(reason) ? 'keep' : undefined;
}

type Fate = z.output<ReturnType<typeof fate>>;

function fateOf(written: Fate | undefined, missing: OpenFlowsPlan): OpenFlowsPlan {
  if (written === undefined) return { ...missing };
  return typeof written === 'string'
    ? { action: written, graceMs: 0 }
    : { action: 'close', graceMs: written.grace };
}

/** One word is for all reasons; a map says what it names, and `default` the rest but for those that have defaults of their own. */
function buildOnDown(written: z.output<typeof onDownField>): Pick<PoolPlan, 'onDown' | 'onDownBecause'> {
  const keptOnes = Object.fromEntries(keptReasons.map((reason) => [reason, { ...kept }]));
  if (written === undefined) return { onDown: { ...closed }, onDownBecause: keptOnes };
  if (typeof written === 'string' || 'grace' in written)
    return { onDown: fateOf(written, closed), onDownBecause: {} };
  const { default: rest, ...named } = written;
  const because = Object.entries(named).map(([reason, one]) => [reason, fateOf(one, closed)]);
  return {
    onDown: fateOf(rest, closed),
    onDownBecause: { ...(rest === undefined ? keptOnes : {}), ...Object.fromEntries(because) },
  };
}

export const onDown = form(onDownField, buildOnDown);

export const onAddressChange = form(
  fate('How long they may go on.', ends)
    .meta(
      described(
        'What becomes of open TCP connections when their backend is at another address (its name resolves to another one, a reload gives another one), or when a reload changes source, transparent, mark or device. keep: they go on where they are, and that address is checked as long as they do: when it goes down, on_down has the word; close: they are ended at once; { grace: 30s }: they are ended after that time. UDP goes on by the new way with its next datagram, whatever is said here.',
        kept.action,
      ),
    )
    .optional(),
  // The server at the old address is checked as long as flows are on it: when it dies, `on_down` has the word.
  (written) => fateOf(written, kept),
);
