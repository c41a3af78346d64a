/** The portable engine against the suite. It runs from the build: Node 20 starts no TypeScript in a thread. */
import { conformance } from '../src/engine/conformance.ts';

const build = new URL(process.env.PINION_DIST ?? '../dist/', import.meta.url);
const noPause =
  'libuv accepts with a descriptor it keeps in reserve and closes the client; node:net cannot pause a listener';

conformance('portable', new URL('src/engine/conformance/process.js', build), {
  'tcp: a client gone while its backend does not answer is noticed':
    'node:net reports a reset only on a socket it reads, and the client is not read before the dial succeeded',
  'tcp: what a backend said that broke off before its connection was noticed arrives':
    'libuv tells of the reset as a failed connect, and node:net then gives nothing to read',
  'tcp: accepting stops without descriptors, does not spin, and resumes': noPause,
  'tcp: a client accepted with the last descriptor waits for one more, and no other takes it': noPause,
  'tcp: a flow that waits for a descriptor can be ended': noPause,
  'tcp: with descriptors for two all are served in turn, and of pauses little is said': noPause,
  'tcp: urgent bytes stay where they are in the stream':
    'node:net has no SO_OOBINLINE, and without it read(2) leaves an urgent byte out',
  'udp: a wildcard replies from any address of 127.0.0.0/8':
    'node:dgram has no IP_PKTINFO; only addresses the interfaces name have a socket of their own',
});
