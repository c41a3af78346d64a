/** That all clients of a pair are served (pair-clients.ts), and by whom they belong to. */
import { expect } from 'vitest';
import { eventually } from './eventually.ts';
import type { Clients } from './pair.ts';
import type { Report } from './pair-clients.ts';

/** Far above what a change takes (a few seconds); so that a failure ends. */
const patienceMs = 40_000;

/**
 * Resolves when every client has been answered from now on; rejects with how many were.
 * @param clientsOfEach as many over TCP, and as many over UDP
 */
export async function everybodyAnswered(
  clients: Clients,
  clientsOfEach: number,
  story: string,
): Promise<Report> {
  await clients.round();
  let report: Report | undefined;
  const all = async (): Promise<boolean> => {
    report = await clients.report();
    return report.tcp.answered === clientsOfEach && report.udp.answered === clientsOfEach;
  };
  await eventually(`${story}: every client is answered`, all, patienceMs).catch((error: Error) => {
    throw new Error(`${error.message}; ${JSON.stringify(report, null, 1)}`);
  });
  return report!;
}

/** The same, and nobody was answered by a wrong backend. */
export async function everybodyRight(
  clients: Clients,
  clientsOfEach: number,
  story: string,
): Promise<Report> {
  const report = await everybodyAnswered(clients, clientsOfEach, story);
  for (const { wrong, wrongExamples } of [report.tcp, report.udp])
    expect({ story, wrong, wrongExamples }).toEqual({ story, wrong: 0, wrongExamples: [] });
  return report;
}
