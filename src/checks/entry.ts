/** The checks room: a thread that checks backends and asks for names. It knows of nothing but the orders it has. */
import type { HealthPlan } from '../core/plan.ts';
import { keptFiles } from '../rooms/kept-files.ts';
import { leaveRoom, type RoomPost, serveRoom } from '../rooms/serve.ts';
import { CheckGrid } from './check-grid.ts';
import { CheckTurns } from './check-turns.ts';
import { HealthChecker } from './checker.ts';
import type { ChecksRoomData } from './client.ts';
import type { Dialect } from './dialect.ts';
import { dialectOf } from './dialects.ts';
import { checkFilesOf } from './files.ts';
import type { MessageFromChecks } from './messages-from-checks.ts';
import type { CheckOrder, MessageToChecks } from './messages-to-checks.ts';
import { Outbox } from './outbox.ts';
import { findRecords } from './records.ts';
import { lookUp } from './resolve.ts';

/** Dialects that have a faster way here, by name. What it needs is loaded only where it works. */
async function fasterDialects({ held }: ChecksRoomData): Promise<Readonly<Record<string, Dialect>>> {
  if (held === undefined) return {};
  const { linuxTcp } = await import('./linux-tcp.ts');
  return { tcp: linuxTcp(held) };
}

/** What checks have read that are no more is kept so long. */
const forgetAfterMs = 1_000;

function serve(
  faster: Readonly<Record<string, Dialect>>,
  post: RoomPost<MessageFromChecks>,
): (message: MessageToChecks) => void {
  const checkers = new Map<number, HealthChecker>();
  const plans = new Map<number, HealthPlan>();
  const turns = new CheckTurns();
  const grid = new CheckGrid();
  const outbox = new Outbox(post);
  const start = ({ id, health, target, wasUp, delayMs }: CheckOrder): void => {
    const dialect = faster[health.type] ?? dialectOf(health.type);
    if (dialect === undefined) throw new Error(`there is no check of type ${health.type}`);
    const checker = new HealthChecker({
      plan: health,
      dialect,
      target,
      wasUp,
      turns,
      grid,
      onVerdict: (verdict) => outbox.verdict(id, verdict),
      onChecked: (facts) => outbox.checked(id, facts),
    });
    checkers.set(id, checker);
    plans.set(id, health);
    checker.start(delayMs);
  };
  const stop = (id: number): void => {
    checkers.get(id)?.stop();
    checkers.delete(id);
    plans.delete(id);
    outbox.forget(id);
  };
  let isFirst = true;
  let forgetting: NodeJS.Timeout | undefined;
  // A reload of many checks comes in many messages.
  const forgetSoon = (): void => {
    if (keptFiles.isEmpty || forgetting !== undefined) return;
    forgetting = setTimeout(() => {
      forgetting = undefined;
      keptFiles.forgetAllBut(new Set([...plans.values()].flatMap(({ options }) => checkFilesOf(options))));
    }, forgetAfterMs);
  };
  return (message) => {
    switch (message.type) {
      case 'orders':
        if (message.inFlightMax !== undefined) turns.limit(message.inFlightMax);
        for (const id of message.stop) stop(id);
        for (const order of message.start) start(order);
        // The thread before may have kept what nobody needs any more.
        if (message.stop.length > 0 || isFirst) forgetSoon();
        isFirst = false;
        for (const question of message.find)
          void findRecords(question).then((answer) => outbox.found(JSON.stringify(question), answer));
        for (const host of message.resolve) void lookUp(host).then((ip) => outbox.answer(host, ip));
        break;
      case 'suspect':
        for (const id of message.ids) checkers.get(id)?.suspect();
        break;
      case 'stop':
        leaveRoom();
    }
  };
}

await serveRoom<ChecksRoomData, MessageToChecks, MessageFromChecks>(async (data, post) =>
  serve(await fasterDialects(data), post),
);
