/** The checks room: a thread that checks backends and asks for names. It knows of nothing but the orders it has. */
import { leaveRoom, type RoomPost, serveRoom } from '../rooms/serve.ts';
import { CheckTurns } from './check-turns.ts';
import { HealthChecker } from './checker.ts';
import type { MessageFromChecks } from './messages-from-checks.ts';
import type { CheckOrder, MessageToChecks } from './messages-to-checks.ts';
import { lookUp } from './resolve.ts';

function serve(post: RoomPost<MessageFromChecks>): (message: MessageToChecks) => void {
  const checkers = new Map<number, HealthChecker>();
  const turns = new CheckTurns();
  const start = ({ id, health, target, wasUp, delayMs }: CheckOrder): void => {
    const checker = new HealthChecker(health, target, wasUp, turns, (up, why) =>
      post({ type: 'verdict', id, up, why }),
    );
    checkers.set(id, checker);
    checker.start(delayMs);
  };
  return (message) => {
    switch (message.type) {
      case 'check':
        for (const order of message.orders) start(order);
        break;
      case 'limit':
        turns.limit(message.inFlightMax);
        break;
      case 'uncheck':
        checkers.get(message.id)?.stop();
        checkers.delete(message.id);
        break;
      case 'suspect':
        checkers.get(message.id)?.suspect();
        break;
      case 'resolve':
        void lookUp(message.host).then((ip) => post({ type: 'resolved', host: message.host, ip }));
        break;
      case 'stop':
        leaveRoom();
    }
  };
}

await serveRoom<undefined, MessageToChecks, MessageFromChecks>((_, post) => serve(post));
