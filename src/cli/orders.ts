/** What the pages of the front room ask of control is done here. Every order gets an answer; none rejects. */
import type { Control } from '../control/control.ts';
import type { Answer } from '../front/http.ts';
import type { Fault, Order } from '../front/messages-from-front.ts';

/** What the instance does by itself. */
export interface OwnOrders {
  readonly reload: () => Promise<Answer>;
  readonly previewReload: () => Promise<Answer>;
}

export async function obey(control: Control, own: OwnOrders, order: Order): Promise<Answer> {
  try {
    return await carryOut(control, own, order);
  } catch (error) {
    return { status: 500, body: { error: error instanceof Error ? error.message : String(error) } };
  }
}

async function carryOut(control: Control, own: OwnOrders, order: Order): Promise<Answer> {
  switch (order.kind) {
    case 'reload':
      return own.reload();
    case 'preview-reload':
      return own.previewReload();
    case 'operate':
      return operate(control, order);
    case 'connections':
      return order.ofCluster
        ? connectionsOfCluster(control, order.most)
        : { status: 200, body: { connections: await control.listFlows(order.most) } };
    case 'kill':
      return kill(control, order);
    case 'tell': {
      const outcome = (await control.cluster?.tell(order.change)) ?? 'here-only';
      return { status: 200, body: { outcome } };
    }
    case 'break':
      return process.env.PINION_TEST_FAULTS === '1' ? cause(control, order.fault) : noSuch('fault');
  }
}

async function kill(
  { kills, cluster }: Control,
  { filter, overMs, isForAll }: Extract<Order, { kind: 'kill' }>,
): Promise<Answer> {
  if (!isForAll) return { status: 200, body: await kills.kill(filter, overMs) };
  if (cluster === undefined) return noOthers;
  const [killed, others] = await Promise.all([
    kills.kill(filter, overMs),
    cluster.tellKill({ filter, overMs }),
  ]);
  if (others === 'shared') return { status: 200, body: { ...killed, others: 'told' } };
  const error =
    'the other instances were not told, and will not be later: Redis did not take it; run this again, or on each of them';
  return { status: 503, body: { error, ...killed, others: 'not-told' } };
}

const noOthers: Answer = {
  status: 409,
  body: { error: 'this instance has no cluster section, so there are no others to tell' },
};

async function operate(
  { backends, cluster }: Control,
  { pool, backend, order, isForAll, isForced }: Extract<Order, { kind: 'operate' }>,
): Promise<Answer> {
  if (isForAll && cluster === undefined) return noOthers;
  if (!isForced && backends.leavesNobody(pool, backend, order)) {
    const error = `${pool}/${backend} is the last backend of its pool that takes new clients: they would be turned away. --force (?force) does it all the same`;
    return { status: 409, body: { error } };
  }
  const rows = backends.operate(pool, backend, order, isForAll);
  if (rows === undefined) {
    const known = backends.status().map((status) => `${status.pool}/${status.backend}`);
    return { status: 404, body: { error: `no backend ${pool}/${backend}; there are: ${known.join(', ')}` } };
  }
  const { state, weight, movesPinned } = backends.willOf(pool, backend);
  const said = { pool, backend, state, weight: weight ?? null, movesPinned, everywhere: isForAll };
  // Without a cluster it is kept until this process ends.
  const kept =
    cluster === undefined
      ? 'until-stop'
      : (await cluster.operate(rows)) === 'shared'
        ? 'in-redis'
        : 'in-redis-later';
  return { status: 200, body: { ...said, kept } };
}

async function connectionsOfCluster({ cluster }: Control, most: number): Promise<Answer> {
  if (cluster === undefined) return { status: 409, body: { error: 'this instance has no cluster section' } };
  try {
    return { status: 200, body: { connections: await cluster.connections(most) } };
  } catch (error) {
    return { status: 503, body: { error: `Redis does not answer: ${(error as Error).message}` } };
  }
}

function cause(control: Control, fault: Fault): Answer {
  switch (fault.of) {
    case 'worker':
      control.toWorker(fault.worker, { type: 'break', how: fault.how });
      return { status: 202, body: { broken: `worker ${fault.worker}` } };
    case 'flow':
      control.toWorkers({ type: 'break', how: 'throw-in-flow' });
      return { status: 202, body: { broken: 'the next flow' } };
    case 'main':
      setImmediate(() => {
        throw new Error('thrown on request, to test that a defect ends the process');
      });
      return { status: 202, body: { broken: 'the main thread' } };
    case 'room':
      if (!control.rooms.break(fault.room, fault.how)) return noSuch(`room ${fault.room}`);
      return { status: 202, body: { broken: `the ${fault.room} room` } };
  }
}

function noSuch(what: string): Answer {
  return { status: 404, body: { error: `no such ${what}` } };
}
