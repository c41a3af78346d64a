/**
 * What /proc says about processes and the machine: CPU time, resident memory, descriptors, children.
 * Formats: proc(5). A process that has ended reads as nothing rather than failing the reader.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** USER_HZ: the kernel's unit in these files is fixed at 1/100 s on every architecture Node runs on. */
const microsecondsPerTick = 10_000;

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

/** The fields of /proc/PID/stat from `state` on; the command before them may hold spaces and parentheses. */
function statFields(pid: number | `${number}/task/${number}`): string[] {
  const text = read(`/proc/${pid}/stat`) ?? '';
  return text.slice(text.lastIndexOf(')') + 2).split(' ');
}

/** The process and all its descendants. A daemonised grandchild that was given to init is not found. */
export function processTree(pid: number): number[] {
  const children = new Map<number, number[]>();
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const parent = Number(statFields(Number(entry))[1]);
    children.set(parent, [...(children.get(parent) ?? []), Number(entry)]);
  }
  const tree = [pid];
  for (const member of tree) tree.push(...(children.get(member) ?? []));
  return tree;
}

/** User and system time of the processes so far, over all their threads. Microseconds, 10 ms steps. */
export function cpuMicroseconds(pids: readonly number[]): number {
  let ticks = 0;
  for (const pid of pids) {
    const fields = statFields(pid);
    // utime and stime are fields 14 and 15; `state` is field 3.
    ticks += Number(fields[11] ?? 0) + Number(fields[12] ?? 0);
  }
  return ticks * microsecondsPerTick;
}

/** User and system time of each thread of a process so far, by its id. Microseconds, 10 ms steps. */
export function threadCpu(pid: number): Map<string, { readonly name: string; readonly us: number }> {
  const threads = new Map<string, { name: string; us: number }>();
  for (const id of readdirSync(`/proc/${pid}/task`)) {
    const fields = statFields(`${pid}/task/${Number(id)}`);
    const us = (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) * microsecondsPerTick;
    threads.set(id, { name: read(`/proc/${pid}/task/${id}/comm`)?.trim() ?? id, us });
  }
  return threads;
}

/** Busy time of the whole machine since boot: user, nice, system, irq, softirq. Microseconds. */
export function machineMicroseconds(): number {
  const [user, nice, system, , , irq, softirq] = (read('/proc/stat') ?? '')
    .split('\n', 1)[0]!
    .replace(/^cpu\s+/, '')
    .split(' ')
    .map(Number);
  return ((user ?? 0) + (nice ?? 0) + (system ?? 0) + (irq ?? 0) + (softirq ?? 0)) * microsecondsPerTick;
}

/** VmRSS of the process, 0 when it has ended. Bytes. */
export function residentBytes(pid: number): number {
  const match = /^VmRSS:\s+(\d+) kB$/m.exec(read(`/proc/${pid}/status`) ?? '');
  return match === null ? 0 : Number(match[1]) * 1024;
}

/** Open descriptors of the process, 0 when it has ended. */
export function openDescriptors(pid: number): number {
  try {
    return readdirSync(`/proc/${pid}/fd`).length;
  } catch {
    return 0;
  }
}

/** Ends of pipes among the open descriptors of the process, and all others. */
export function descriptorKinds(pid: number): { readonly pipeEnds: number; readonly others: number } {
  let [pipeEnds, others] = [0, 0];
  for (const entry of readdirSync(`/proc/${pid}/fd`)) {
    try {
      if (readlinkSync(`/proc/${pid}/fd/${entry}`).startsWith('pipe:')) pipeEnds++;
      else others++;
    } catch {
      // Closed since it was listed.
    }
  }
  return { pipeEnds, others };
}

/** The hard limit on open descriptors that children of this process get. */
export function descriptorLimit(): number {
  const match = /^Max open files\s+\S+\s+(\S+)/m.exec(read('/proc/self/limits') ?? '');
  return match === null || match[1] === 'unlimited' ? 1_048_576 : Number(match[1]);
}
