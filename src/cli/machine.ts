/**
 * What this machine cannot do of what a configuration asks: looked at before anything is started, and before a reload changes anything,
 * all of it at once, each with its place in the file.
 *
 *    plan --config/demands--> what it asks --the engine's calls, the file system--> problems (a start ends), warnings (it goes on)
 *
 * What the plan in use asks already refuses no reload: a device that is away for a moment must not stand in the way of other changes.
 * `check` has warnings only, as it may run on another machine, or as another user.
 */
import { accessSync, constants, existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { dirname } from 'node:path';
import { type Demand, demandsOf, type Want } from '../config/demands.ts';
import { formatProblem, type Loaded, type Problem } from '../config/load.ts';
import { unhonouredPaths } from '../config/unhonoured.ts';
import { bindHints, StartFailure } from '../control/listeners.ts';
import type { PassedSockets } from '../control/passed-sockets.ts';
import { bindsText } from '../core/binds.ts';
import type { Plan } from '../core/plan.ts';
import type { MachineMeans } from '../engine/machine-means.ts';
import { folderProblem } from '../front/unix-path.ts';
import { passwordPath } from '../rooms/secret-files.ts';

export interface MachineFindings {
  /** What cannot be used here. */
  readonly problems: readonly string[];
  readonly warnings: readonly string[];
}

/** What the machine cannot do, a line for each, with file:line:column. */
export class MachineFailure extends StartFailure {
  readonly lines: readonly string[];

  constructor(lines: readonly string[]) {
    super(lines.join('; '));
    this.lines = lines;
  }
}

/** Addresses, devices: so many are named where one is not there. */
const namedMax = 8;

/**
 * @param inUse the plan of the running instance, for a reload
 * @param passed sockets that are bound already, and nothing has to be asked for
 */
export async function lookAtMachine(
  { plan, problemAt }: Loaded,
  engine: 'portable' | 'epoll',
  inUse?: Plan,
  passed?: PassedSockets,
): Promise<MachineFindings> {
  const means = await meansOf(engine);
  const known = new Set(inUse === undefined ? [] : demandsOf(inUse).map(keyOf));
  const asked = new Map<string, Trouble | undefined>();
  const problems: Problem[] = [];
  const warnings: Problem[] = [];
  for (const demand of demandsOf(plan)) {
    const key = keyOf(demand);
    if (isPassed(demand.want, passed)) continue;
    if (inUse !== undefined && (isHeld(demand.want) || demand.refuses === 'start') && known.has(key))
      continue;
    if (!asked.has(key)) asked.set(key, await troubleWith(demand.want, means));
    const trouble = asked.get(key);
    if (trouble === undefined) continue;
    const isRefused =
      !trouble.mayServe &&
      (demand.refuses === 'always' ? !known.has(key) : demand.refuses === 'start' && inUse === undefined);
    (isRefused ? problems : warnings).push(problemAt(demand.path, trouble.message));
  }
  for (const path of unhonouredPaths(plan, engine))
    warnings.push(problemAt(path, `the ${engine} engine goes without it; write engine: epoll to insist`));
  return { problems: inOrder(problems), warnings: inOrder(warnings) };
}

// The epoll engine's modules are loaded only where it runs: koffi need not exist for the portable one.
async function meansOf(engine: 'portable' | 'epoll'): Promise<MachineMeans> {
  if (engine === 'epoll') return (await import('../engine/epoll/machine-means.ts')).epollMeans;
  return (await import('../engine/portable/machine-means.ts')).portableMeans;
}

function keyOf({ want }: Demand): string {
  return JSON.stringify(want);
}

/** The running instance has it already, and what is asked of the machine is to make it. */
function isHeld({ asks }: Want): boolean {
  return asks === 'bind' || asks === 'socket';
}

function isPassed(want: Want, passed: PassedSockets | undefined): boolean {
  if (want.asks === 'bind') return passed?.has(want.protocol, want.bind) === true;
  return want.asks === 'socket' && passed?.has('tcp', { kind: 'unix', path: want.file }) === true;
}

function inOrder(problems: Problem[]): string[] {
  return [...new Set(problems.sort((a, b) => a.line - b.line || a.column - b.column).map(formatProblem))];
}

interface Trouble {
  readonly message: string;
  /** Not all of what was asked is missing. */
  readonly mayServe?: boolean;
}

async function troubleWith(want: Want, means: MachineMeans): Promise<Trouble | undefined> {
  const say = (message: string | undefined): Trouble | undefined =>
    message === undefined ? undefined : { message };
  switch (want.asks) {
    case 'transparent':
      return say(lacksNetAdmin(await means.transparent()));
    case 'mark':
      return say(lacksNetAdmin(await means.mark(want.mark)));
    case 'device':
      return say(deviceProblem(want.device, await means.device(want.device)));
    case 'sources':
      return sourcesTrouble(want, means);
    case 'bind':
      return say(bindTrouble(want, await means.bind(want.protocol, want.bind)));
    case 'socket':
      return say(socketProblem(want.file));
    case 'server':
      return say(want.file.startsWith('@') ? undefined : serverProblem(want.file));
    case 'file':
      return say(fileProblem(passwordPath(want.file), constants.R_OK));
    case 'program':
      return say(fileProblem(want.file, constants.X_OK));
    case 'rules':
      return say(await rulesProblem());
    case 'setting':
      return settingTrouble(want);
  }
}

/** The way to a right is a matter of how it is started. */
function capability(name: string): string {
  const ways = `under systemd add it to AmbientCapabilities= and CapabilityBoundingSet= of the unit, in a container --cap-add ${name.slice(4)}`;
  return `needs ${name}: ${ways}, or start it as root`;
}

function lacksNetAdmin(code: string | undefined): string | undefined {
  if (code === undefined) return undefined;
  if (code === 'EPERM' || code === 'EACCES') return `${code}: ${capability('CAP_NET_ADMIN')}`;
  return `${code}: the kernel here does not offer it`;
}

/**
 * By asking for what is there: the kernel answers that, too, only to whoever may change it. Not for tables: for these nft 1.0.6 reads every
 * element of every map, which are a million pins, or a map of somebody else's that it ends the process on.
 */
async function rulesProblem(): Promise<string | undefined> {
  if (process.platform !== 'linux') return 'relay: kernel needs Linux';
  const { openNft } = await import('../linux/nft.ts');
  const nft = openNft();
  if (nft === undefined)
    return 'relay: kernel needs nftables: install libnftables1 (or nftables, for its command nft)';
  const answer = await nft.list('list chains');
  nft.close();
  if (answer.ok) return undefined;
  return /permitted|EPERM/.test(answer.error)
    ? `EPERM: relay: kernel ${capability('CAP_NET_ADMIN')}`
    : `${nft.means}: ${answer.error}`;
}

function settingTrouble({ name, least, otherwise }: Extract<Want, { asks: 'setting' }>): Trouble | undefined {
  const text = readText(`/proc/sys/${name.replaceAll('.', '/')}`).trim();
  if (text !== '' && Number(text) >= least) return undefined;
  if (text !== '')
    return {
      message: `${name} is ${text}, so ${otherwise}: sysctl -w ${name}=${least}, and a line in /etc/sysctl.d to keep it`,
    };
  if (!existsSync('/proc/sys/net'))
    return { message: `${name} cannot be read here: under systemd write ProcSubset=all`, mayServe: true };
  // Connection tracking comes with the first rule that needs it, where its module can be loaded.
  return {
    message: `there is no ${name} yet: modprobe nf_conntrack, and look again (below ${least} ${otherwise})`,
    mayServe: true,
  };
}

function deviceProblem(device: string, code: string | undefined): string | undefined {
  if (code === undefined) return undefined;
  if (code === 'ENODEV') return `there is no device ${device}; there are: ${devices()}`;
  return code === 'EPERM'
    ? `${code}: ${capability('CAP_NET_RAW')}`
    : `device ${device} cannot be used: ${code}`;
}

function devices(): string {
  let names: string[];
  try {
    // Those without an address as well.
    names = readdirSync('/sys/class/net');
  } catch {
    names = Object.keys(networkInterfaces());
  }
  return some(names.sort());
}

async function sourcesTrouble(
  { ips, device }: Extract<Want, { asks: 'sources' }>,
  means: MachineMeans,
): Promise<Trouble | undefined> {
  const missing: string[] = [];
  let why = '';
  for (const ip of ips) {
    const code = await means.source(ip, device);
    if (code === undefined) continue;
    missing.push(ip);
    why = code;
  }
  if (missing.length === 0) return undefined;
  if (why !== 'EADDRNOTAVAIL')
    return { message: `nothing can leave from ${missing.join(', ')} here: ${why}` };
  const own = Object.values(networkInterfaces()).flatMap((all) => all?.map(({ address }) => address) ?? []);
  const is = missing.length === 1 ? 'is no address' : 'are no addresses';
  return {
    message: `${missing.join(', ')} ${is} of this machine; it has ${some(own)}`,
    mayServe: means.triesAllSources && missing.length < ips.length,
  };
}

function bindTrouble(
  { protocol, bind, isOneOfSeveral }: Extract<Want, { asks: 'bind' }>,
  code: string | undefined,
): string | undefined {
  const problem = bindProblem(bind.port, code);
  return problem === undefined || isOneOfSeveral !== true
    ? problem
    : `${bindsText(protocol, [bind])}: ${problem}`;
}

function bindProblem(port: number, code: string | undefined): string | undefined {
  if (code === undefined) return undefined;
  if (code === 'EACCES' || code === 'EPERM')
    return `${code}: port ${port} ${capability('CAP_NET_BIND_SERVICE')}, or set net.ipv4.ip_unprivileged_port_start=${port}`;
  const hint = bindHints[code];
  return hint === undefined ? `it cannot be bound here: ${code}` : `${code}; ${hint}`;
}

function socketProblem(file: string): string | undefined {
  if (file.startsWith('@')) return undefined;
  const folder = dirname(file);
  return (
    folderProblem(folder) ??
    (may(folder, constants.W_OK | constants.X_OK) ? undefined : mayNot('write in', folder))
  );
}

/** A socket that is not there yet is what its server makes. */
function serverProblem(file: string): string | undefined {
  const folder = dirname(file);
  const unusable = folderProblem(folder);
  if (unusable !== undefined) return unusable;
  if (!may(folder, constants.X_OK)) return mayNot('look into', folder);
  try {
    const isThere = statSync(file, { throwIfNoEntry: false }) !== undefined;
    return isThere && !may(file, constants.W_OK) ? mayNot('connect to', file) : undefined;
  } catch (error) {
    // ELOOP: links that lead nowhere.
    return `${file} cannot be looked at: ${(error as NodeJS.ErrnoException).code ?? (error as Error).message}`;
  }
}

function fileProblem(file: string, mode: number): string | undefined {
  try {
    if (!statSync(file).isFile()) return `${file}: it is not a regular file`;
    return may(file, mode) ? undefined : mayNot(mode === constants.X_OK ? 'run' : 'read', file);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return `${file}: there is no such file`;
    return code === 'EACCES' ? mayNot('look at', file) : `${file}: ${code ?? message}`;
  }
}

function may(path: string, mode: number): boolean {
  try {
    accessSync(path, mode);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EACCES' && isOverridden(path, mode);
  }
}

/**
 * access(2) leaves the capabilities of a user who is not root aside, and what is asked for later does not: systemd's
 * AmbientCapabilities=CAP_DAC_READ_SEARCH. capabilities(7): CAP_DAC_OVERRIDE is bit 1, and runs no file that nobody may run;
 * CAP_DAC_READ_SEARCH is bit 2.
 */
function isOverridden(path: string, mode: number): boolean {
  const effective = /^CapEff:\s*[0-9a-f]*([0-9a-f])$/m.exec(readText('/proc/thread-self/status'))?.[1] ?? '0';
  const bits = Number.parseInt(effective, 16);
  const found = statSync(path);
  const isRunnable = found.isDirectory() || (found.mode & 0o111) !== 0;
  if ((bits & 0b010) !== 0) return (mode & constants.X_OK) === 0 || isRunnable;
  const isReading = (mode & constants.W_OK) === 0 && (found.isDirectory() || (mode & constants.X_OK) === 0);
  return (bits & 0b100) !== 0 && isReading;
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function mayNot(what: string, path: string): string {
  return `uid ${process.geteuid?.() ?? '?'} may not ${what} ${path}`;
}

function some(names: readonly string[]): string {
  const more = names.length - namedMax;
  return `${names.slice(0, namedMax).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}
