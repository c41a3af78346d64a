/**
 * The demo's log: what happens, an event a line, in words. Control tells of a flow when it has ended, which over UDP is
 * half a minute later, so who is connected is asked for again and again: a flow that is very short is told of once.
 */
import type { Control } from '../control/control.ts';
import type { ControlEvent } from '../control/events.ts';
import { inWords } from '../observe/in-words.ts';
import type { FlowRecord } from '../worker/messages-from-worker.ts';
import { print } from './standard-output.ts';

const lookEveryMs = 250;
const flowsMax = 1_000;

/** Flows that were told of and may still be in an answer that is under way. */
const told = new Set<string>();

export function say(text: string): void {
  print(`${new Date().toTimeString().slice(0, 8)}  ${text}\n`);
}

export function tell(event: ControlEvent): void {
  if (event.event !== 'flow-ended') {
    say(inWords(event));
    return;
  }
  const { flow } = event;
  told.add(nameOf(flow));
  const amount =
    flow.protocol === 'tcp'
      ? `${flow.bytesIn} B in, ${flow.bytesOut} B out`
      : `${flow.datagramsIn} datagrams in, ${flow.datagramsOut} out`;
  say(`${pathOf(flow)}: ${amount}, ${(flow.durationMs / 1000).toFixed(1)} s, ${flow.code}`);
}

/** Tells of flows that have begun, until the process ends. */
export function tellBeginnings(control: Control): void {
  const look = async (): Promise<void> => {
    const flows = (await control.listFlows(flowsMax)).filter(({ backend }) => backend !== undefined);
    for (const flow of flows) if (!told.has(nameOf(flow))) say(`${pathOf(flow)}: connected`);
    const open = new Set(flows.map(nameOf));
    for (const name of open) told.add(name);
    for (const name of told) if (!open.has(name)) told.delete(name);
    setTimeout(look, lookEveryMs).unref();
  };
  void look();
}

function nameOf({ worker, flowId }: FlowRecord): string {
  return `${worker} ${flowId}`;
}

function pathOf({ protocol, client, backend, reason }: FlowRecord): string {
  return `${protocol} ${client} -> ${backend ?? 'nobody'} by ${reason ?? 'none'}`;
}
