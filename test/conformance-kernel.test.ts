/**
 * The kernel's relay against the suite of engines, with real packets: clients and backends on one host, the relay on another (network
 * namespaces, support/kernel-scene.ts). Each story of the suite is played as it is, or is told anew for a relay of packets
 * (support/kernel-stories.ts), or is left out for a reason that is given. Who adds a story says here which of these it is.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stories } from '../src/engine/conformance/stories.ts';
import type { Played } from './support/kernel-player.ts';
import { createKernelHosts } from './support/kernel-scene.ts';
import { retoldStories } from './support/kernel-stories.ts';
import type { Namespaces } from './support/namespaces.ts';
import { requireKernel } from './support/require-kernel.ts';

/** A story waits for others that are being played. */
const patienceMs = 300_000;

/** Played as the suite tells them. */
const asTheyAre = [
  'tcp: a small echo',
  'tcp: a backend that speaks first',
  'tcp: 200 connections at once',
  'tcp: 50 MB each way at once, whole and in order',
  'tcp: a client that does not read stops the backend',
  'tcp: a backend that does not read stops the client',
  'tcp: data and an immediate end arrive whole',
  'tcp: many small writes keep their order',
  'tcp: the client ends first and still gets the answer',
  'tcp: the backend ends first and still gets the rest',
  'tcp: both sides end at once',
  'tcp: a reset by the client reaches the backend as a reset',
  'tcp: a reset by the backend reaches the client as a reset',
  'tcp: a backend reset in the middle of a stream is not an end',
  'tcp: a client reset behind unread data reaches the backend as a reset',
  'tcp: a backend reset behind unread data reaches the client as a reset',
  'tcp: a reset behind unread data after a half-close is not an end',
  'tcp: a truncated answer never looks whole, whenever the reset comes',
  'tcp: a reset after a half-close is passed on',
  'tcp: terminate with unread data in flight is a reset, not an end',
  'tcp: bytes in one direction keep a connection from idling',
  'tcp: an end after a long silence leaves the other side its time to answer',
  'tcp: seven hundred connections end in one moment, each as it should, and others are served',
  'tcp: a client that never stops sending to a backend that has gone is reset',
  'tcp: a half-closed client that drains its answer slowly gets it',
  'listen: unlisten refuses newcomers and keeps open flows',
  'listen: a released address can be taken again at once',
  'listen: update changes the view of later flows only',
  'listen: IPv6 client and IPv6 backend',
  'listen: a wildcard knows the address the client used',
  'udp: an echo',
  'udp: clients are told apart by address and by port',
  'udp: several replies to one request, and late ones nobody asked for',
  'udp: requests without a reply go on to the same backend',
  'udp: empty datagrams both ways',
  'udp: every size up to 65507 bytes, unchanged',
  'udp: IPv6 client and backend',
  'udp: listeners of both families take turns, and no client is taken for another',
  'udp: a wildcard replies from any address of 127.0.0.0/8',
  'udp: a quiet conversation expires, the next datagram opens a new one',
  'udp: replies alone keep a conversation',
  'udp: a burst before the upstream is ready arrives in order',
  'udp: terminate forgets, the next datagram is a new conversation',
  'udp: unlisten ends its conversations',
  'udp: a thousand conversations at once',
  'udp: a burst of 1,500 replies of 1,200 bytes arrives in order',
  'udp: news of other backends leaves a conversation where it is',
  'udp: a quiet conversation expires while others keep the listener busy',
  'udp: a conversation that goes on outlives the silence that ends others',
  'doors: one listener at two addresses, of which one is given up',
  'doors: udp, a client has one conversation at each, and is answered from each',
  'stop: 300 connections that came and went leave nothing behind',
];

/** Left out: sentences, and the titles or their beginnings they are about. */
const leftOut: Readonly<Record<string, readonly string[]>> = {
  'The kernel reads nothing that clients say: `check` refuses PROXY headers and routes by what is said.': [
    'arrivals: ',
    'udp prefaces: ',
    'udp: the host hears what a client says while it waits, and lets it go on from inside',
  ],
  'The kernel adds no bytes: `check` refuses a PROXY header to backends.': ['openings: '],
  'The kernel knows a client by its address alone: `check` refuses `rebind`.': ['udp rebinds: '],
  'Conversations are in the table of connection tracking, which makes room by its own order.': [
    'udp: a full table evicts the oldest that was never answered',
    'udp: a client that spoke once makes room though it was answered, one that spoke after an answer does not',
    'udp: one whose answer is under way is not evicted for a flood of those that were answered',
    'udp: one that sends again and again without an answer stays longer than those that sent once',
    'udp: a table full of proved conversations turns newcomers away, until one has long been silent',
    'udp: a listener at its limit gives up its own conversations only',
    'udp: a full table spares a conversation that is trusted though it was never answered',
    'udp: without descriptors a client is served with that of one that is not proved',
  ],
  'The kernel tries one backend and keeps nothing of what a client said: `check` refuses `tries` and `retry_on`.':
    [
      'tcp: a refusing backend is passed over and the client never notices',
      'tcp: a backend that accepts and resets costs a silent client nothing',
      'tcp: what a client said to a backend that broke is said to the next, and counts once',
      'tcp: what is said while a backend breaks is lost to nobody',
      'tcp: a client that has ended waits for its answer, and the next backend hears the end',
      'tcp: nobody is told of a backend that breaks when its client has gone without a word',
      'tcp: more than is kept has been said: the client is reset',
      'tcp: as much as is kept is said again as it was',
      'tcp: a backend that broke after its first byte is not left',
      'tcp: when all backends break early the client is reset once, with the code of a reset',
      'tcp: an end without a word is told to the host, and passed on or left as it says',
      'tcp: the host ends the flow, or has a defect, when it hears of an early break',
      'tcp: a client that resets while its next backend is dialled is noticed or served',
      'tcp: nothing is kept of who has been waiting for longer than a dial may take',
    ],
  'A relay of packets holds no bytes: what a reset overtakes is lost as it is without a relay.': [
    'tcp: the answer of a TCP backend that breaks off while its client sends arrives',
    'tcp: the answer of a backend that ends while its client sends is followed by no reset',
    'tcp: what a client said before its reset arrives, however late it is read',
    'tcp: what a backend said before its reset arrives, however late it is read',
    'tcp: what a client said before its reset arrives though its reader had long stalled',
    'tcp: what a backend said before its reset arrives though its reader had long stalled',
    'tcp: what is left of a reset flow when nobody takes it is given up',
    'tcp: what a backend said that broke off before its connection was noticed arrives',
    'tcp: what was accepted before a flow is idle is not lost with it',
  ],
  'Who looks whether a full reader is still there is the sender’s kernel, whose probes keep a connection from idling.':
    ['tcp: a reader that drains the kernel slowly is not idle, one that stops is'],
  'The urgent pointer passes as it is, and what becomes of the byte is up to the receiving socket.': [
    'tcp: urgent bytes stay where they are in the stream',
  ],
  'The kernel waits for nobody: `check` refuses `claim: before-dial`.': [
    'tcp: a client gone before the dial succeeds does not look like an end',
    'tcp: a flow told to wait proceeds when the host says so',
    'tcp: a flow that proceeds while another is relayed does not touch its bytes',
    'tcp: terminate while waiting',
    'tcp: a client that ended while it waited is served in full',
    'udp: datagrams wait for a route within bounds and keep their order',
    'udp: terminate while waiting',
  ],
  'There is no dial of the relay’s own: the connection leaves from the client’s address.': [
    'tcp: the host hears where a dial leaves from, if it asks, before it hears that it connected',
    'tcp: a defect of the host about where a dial leaves from leaves no descriptor',
    'udp: the host hears where a conversation leaves from, if it asks',
    'udp: a defect of the host about where a first dial leaves from leaves no descriptor',
    'udp: a defect of the host about where a later dial leaves from leaves no descriptor',
    'udp: a conversation follows another source address of its pool',
  ],
  'A client that was not answered yet has nothing to break off: it falls silent, and its dial times out.': [
    'tcp: a client gone while its backend does not answer is noticed',
  ],
  'A relayed connection takes no descriptor.': [
    'tcp: a dial without a descriptor is our fault, not the backend’s',
    'tcp: a client accepted with the last descriptor waits for one more, and no other takes it',
    'tcp: a flow that waits for a descriptor can be ended',
    'tcp: with descriptors for two all are served in turn, and of pauses little is said',
    'tcp: accepting stops without descriptors, does not spin, and resumes',
    'udp: no descriptor for the upstream is our fault',
    'udp: sockets towards old addresses are given back',
    'udp: a way that is not to be had now is tried again with the next datagram',
  ],
  'The kernel’s listeners bind nothing, so no bind fails: another program may have the address, and hears nothing.':
    ['listen: a port in use', 'listen: an address this machine does not have'],
  'A unix socket has no packets: `check` refuses it.': [
    'tcp: the answer of a unix backend that breaks off while its client sends arrives',
    'tcp: a unix backend that closes on words it has not read is left for the next',
    'listen: unix listener and unix backend',
    'listen: a unix backend nobody serves is refused',
    'listen: terminate on unix sockets ends both sides',
    'listen: a stale unix socket is replaced, a served one is not, a file never',
  ],
  'The kernel passes a report of ICMP on to the client, and tells nobody else.': [
    'udp: the host may end the conversation of an unreachable backend',
  ],
  'Rules lead what comes to an address of this machine, which that of a group or a broadcast is not.': [
    'udp: what was sent to a broadcast address or a group is answered from an address of ours',
  ],
  'Datagrams wait in no socket of a relay, so none is dropped for a full one.': [
    'udp: what the kernel drops on the way from a backend is counted, each datagram once',
    'udp: what the kernel drops on the way from clients is counted, each datagram once',
    'udp: replies wait while the network takes no more, and keep their order',
  ],
  'A conversation ends with its backend’s address, so nothing translates what the old one still answers.': [
    'udp: an answer under way from the old address still arrives, a later stranger there is not heard',
  ],
  'The kernel needs nobody to go on: a shutdown ends no conversation, at whatever time-out.': [
    'udp: a short idle time-out holds while a listener shuts down',
  ],
};

const isAbout = (title: string, about: string): boolean =>
  about.endsWith(': ') ? title.startsWith(about) : title === about;

function reasonsOf(title: string): string[] {
  return Object.entries(leftOut).flatMap(([reason, titles]) =>
    titles.some((about) => isAbout(title, about)) ? [reason] : [],
  );
}

/** What is wrong with how the titles of the suite are shared out; empty: nothing. */
function misplaced(titles: readonly string[]): string[] {
  const retold = retoldStories.map(({ name }) => name);
  const everywhere = [...asTheyAre, ...retold, ...Object.values(leftOut).flat()];
  const placesOf = (title: string): number =>
    [...asTheyAre, ...retold].filter((one) => one === title).length + reasonsOf(title).length;
  return [
    ...titles.flatMap((title) => (placesOf(title) === 1 ? [] : [`${title}: in ${placesOf(title)} places`])),
    ...everywhere.flatMap((about) =>
      titles.some((title) => isAbout(title, about)) ? [] : [`${about}: no story of the suite`],
    ),
  ];
}

const titles = stories.map(({ name }) => name);

test('each story of the suite is played, told anew, or left out for a reason', () => {
  expect(misplaced(titles)).toEqual([]);
  // That it would be found.
  expect(misplaced([...titles, 'tcp: a story that nobody has looked at'])).toEqual([
    'tcp: a story that nobody has looked at: in 0 places',
  ]);
  expect(misplaced(titles.slice(1))).toEqual([`${titles[0]}: no story of the suite`]);
});

requireKernel('iproute2')('engine kernel', () => {
  let hosts: Namespaces;
  let player: ChildProcess;
  /** By title: those that are being played. */
  const waiting = new Map<string, (error: string | undefined) => void>();

  beforeAll(async () => {
    hosts = await createKernelHosts();
    const script = new URL('../dist/test/support/kernel-player.js', import.meta.url);
    const line = [
      ...hosts.wrapper('ends'),
      process.execPath,
      fileURLToPath(script),
      ...hosts.wrapper('relay'),
    ];
    player = spawn(line[0]!, line.slice(1), { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    player.on('message', ({ title, error }: Played) => waiting.get(title)?.(error));
    player.once('exit', (code, signal) => {
      for (const end of waiting.values()) end(`the player is gone: ${code ?? signal}`);
    });
  });

  afterAll(async () => {
    if (player?.connected) {
      const gone = new Promise((resolve) => player.once('exit', resolve));
      player.disconnect();
      await gone;
    }
    hosts?.close();
  });

  async function plays(title: string): Promise<void> {
    const error = await new Promise<string | undefined>((resolve) => {
      waiting.set(title, resolve);
      player.send(title);
    });
    waiting.delete(title);
    if (error !== undefined) throw new Error(error);
  }

  describe.concurrent('as it is', { timeout: patienceMs }, () => {
    for (const title of asTheyAre) test(title, () => plays(title));
  });

  describe.concurrent('told anew', { timeout: patienceMs }, () => {
    for (const { name, why } of retoldStories) test(`${name} (${why})`, () => plays(name));
  });

  describe('left out', () => {
    for (const title of titles) for (const reason of reasonsOf(title)) test.skip(`${title} (${reason})`);
  });
});
