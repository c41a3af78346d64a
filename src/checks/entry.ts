/** The checks room: a thread that checks backends and asks for names. It knows of nothing but the orders it has. */
import { leaveRoom, type RoomPost, serveRoom } from '../rooms/serve.ts';
import { CheckTurns } from './check-turns.ts';
import { HealthChecker } from './checker.ts';
import { dialectOf } from './dialects.ts';
import type { MessageFromChecks } from './messages-from-checks.ts';
import type { CheckOrder, MessageToChecks } from './messages-to-checks.ts';
import { Outbox } from './outbox.ts';
import { findRecords } from './records.ts';
import { lookUp } from './resolve.ts';

function serve(post: RoomPost<MessageFromChecks>): (message: MessageToChecks) => void {
  const checkers = new Map<number, HealthChecker>();
  const turns = new CheckTurns();
  const outbox = new Outbox(post);
  const start = ({ id, health, target, wasUp, delayMs }: CheckOrder): void => {
    const dialect = dialectOf(health.type);
    if (dialect === undefined) throw new Error(`there is no check of type ${health.type}`);
    const checker = new HealthChecker({
      plan: health,
      dialect,
      target,
      wasUp,
      turns,
      onVerdict: (verdict) => outbox.verdict(id, verdict),
      onChecked: (facts) => outbox.checked(id, facts),
    });
    checkers.set(id, checker);
    checker.start(delayMs);
  };
  const stop = (id: number): void => {
    checkers.get(id)?.stop();
    checkers.delete(id);
    outbox.forget(id);
  };
  return (message) => {
    switch (message.type) {
      case 'orders':
        if (message.inFlightMax !== undefined) turns.limit(message.inFlightMax);
        for (const id of message.stop) stop(id);
        for (const order of message.start) start(order);
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

await serveRoom<undefined, MessageToChecks, MessageFromChecks>((_, post) => serve(post));
