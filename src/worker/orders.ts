/**
 * Control's orders to a worker, carried out by its director and its engine; the same for the threads of the data plane and for the
 * one that the kernel works for.
 */
import { closeSync } from 'node:fs';
import type { BindFailure, Engine } from '../engine/engine.ts';
import type { Director } from './director.ts';
import type { MessageFromWorker } from './messages-from-worker.ts';
import type { MessageToWorker } from './messages-to-worker.ts';

/**
 * @param post an answer to control
 * @returns true when the thread is to leave
 */
export function obey(
  message: MessageToWorker,
  director: Director,
  post: (message: MessageFromWorker) => void,
): boolean {
  if (message.type !== 'stop') {
    handle(message, director, post);
    return false;
  }
  director.engine.stop();
  director.tick();
  post({ type: 'stopped' });
  return true;
}

function handle(
  message: Exclude<MessageToWorker, { type: 'stop' }>,
  director: Director,
  post: (message: MessageFromWorker) => void,
): void {
  const engine: Engine = director.engine;
  switch (message.type) {
    case 'snapshot':
      director.useSnapshot(message.snapshot);
      engine.spareDescriptors(message.spareDescriptors);
      engine.limitArrivals(message.snapshot.arrivalsMax);
      for (const listener of message.snapshot.listeners) engine.update(listener);
      engine.waysChanged();
      break;
    case 'listen':
      listen(message, director, post);
      break;
    case 'unlisten':
      director.unlistens(message.listenerId, message.doors);
      try {
        engine.unlisten(message.listenerId, message.code, message.doors);
      } finally {
        post({ type: 'unlistened', listenerId: message.listenerId, doors: message.doors });
      }
      break;
    case 'end-flows':
      director.endFlows(message.select, message.code, message.overMs, message.requestId);
      break;
    case 'keep-flows':
      director.keepFlows(message.backendId, message.way, message.codes);
      break;
    case 'claimed':
      director.claimed(message.flowId);
      break;
    case 'count-former':
      director.countFormer(message.requestId);
      break;
    case 'count-senders':
      director.countSenders(message.requestId, message.backendId, message.sinceMs, message.most);
      break;
    case 'list-flows':
      director.listFlows(message.requestId, message.most);
      break;
    case 'break':
      if (message.how === 'throw-in-flow') director.breakNextFlow();
      else if (message.how === 'exit') process.exit(1);
      else if (message.how === 'loop') for (;;);
      else fillHeap();
      break;
  }
}

function listen(
  { listenerId, door, bind, isFirst, passed }: Extract<MessageToWorker, { type: 'listen' }>,
  director: Director,
  post: (message: MessageFromWorker) => void,
): void {
  const view = director.listener(listenerId);
  if (view === undefined) {
    if (passed !== undefined) closeSync(passed);
    const failure = { code: 'ENOENT', message: 'the snapshot has no such listener' };
    return post({ type: 'bind-failed', listenerId, door, failure });
  }
  const answer = (result: { readonly port: number } | BindFailure): void => {
    if ('code' in result) return post({ type: 'bind-failed', listenerId, door, failure: result });
    if (bind.kind === 'inet' && view.plan.protocol === 'udp') {
      director.listens(listenerId, door, { ...bind, port: result.port });
    }
    post({ type: 'listening', listenerId, door, port: result.port });
  };
  director.engine.listen({ ...view, plan: { ...view.plan, bind } }, answer, isFirst, door, passed);
}

/** Small objects, as a leak has them: V8 14 (Node 26) does not notice its limit while arrays of numbers are made. */
function fillHeap(): never {
  const kept: object[] = [];
  for (;;) kept.push({ place: kept.length });
}
