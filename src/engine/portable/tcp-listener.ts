/**
 * A listening TCP or unix socket. A client is paused from the start: its flow reads it when a backend is there, or an arrival
 * (tcp-arrival.ts) where it has to be identified first.
 *
 * Without descriptors libuv accepts with one it keeps in reserve and closes the client at once, and node:net
 * cannot stop a listener from accepting: this engine never calls `acceptPaused`. The flow limit, which the host
 * checks against the descriptor limit at start, keeps it from getting there.
 */
import { closeSync } from 'node:fs';
import { createServer, type ListenOptions, type Server, type Socket } from 'node:net';
import { noAddress } from '../../core/address.ts';
import type { Bind } from '../../core/plan.ts';
import type { ListenerView } from '../../core/snapshot.ts';
import { refusalWay } from '../refuse.ts';
import { highWaterMark } from './bounds.ts';
import { breakOff } from './break-off.ts';
import { confirmEnd } from './confirm-end.ts';
import { type Bound, bindFailureOf, type Context, unlistened } from './context.ts';
import { socketAddress } from './socket-address.ts';
import { TcpArrival } from './tcp-arrival.ts';
import { TcpFlow } from './tcp-flow.ts';
import { removeStaleSocket } from './unix-path.ts';

export class TcpListener {
  view: ListenerView;
  readonly #context: Context;
  readonly #bound: Bind;
  readonly #server: Server;
  #isClosed = false;

  constructor(context: Context, view: ListenerView) {
    this.#context = context;
    this.view = view;
    this.#bound = view.plan.bind;
    this.#server = createServer({ allowHalfOpen: true, pauseOnConnect: true, highWaterMark });
    this.#server.on('connection', (socket) => this.#accepted(socket));
  }

  /**
   * Binds and starts accepting; answers later, never from inside.
   * @param passed a socket that is bound already, and closed with this listener
   */
  async listen(passed?: number): Promise<Bound> {
    const bind = this.#bound;
    let result = await this.#bind(passed);
    // Else the server has it, and has closed it with itself.
    if ('code' in result && passed !== undefined && result !== unlistened) closeSync(passed);
    else if ('code' in result && result.code === 'EADDRINUSE' && bind.kind === 'unix') {
      if (await removeStaleSocket(bind.path)) result = await this.#bind();
    }
    if ('port' in result) this.#server.on('error', (error) => this.#context.host.fault(error, undefined));
    return result;
  }

  /** Open connections go on, whatever the reason. */
  close(_code?: string): void {
    this.#isClosed = true;
    // Frees the descriptor, and libuv removes a unix socket's file. Open connections go on.
    this.#server.close();
  }

  #bind(passed?: number): Promise<Bound> {
    if (this.#isClosed) {
      if (passed !== undefined) closeSync(passed);
      return Promise.resolve(unlistened);
    }
    const server = this.#server;
    const bind = this.#bound;
    const { tcp } = this.view.plan;
    // `reusePort` is in Node from 22.12 and 23.1; the types here are older.
    const place =
      passed !== undefined
        ? { fd: passed }
        : bind.kind === 'unix'
          ? { path: bind.path }
          : { host: bind.ip, port: bind.port };
    const options: ListenOptions & { reusePort?: boolean } = {
      ...place,
      backlog: tcp.backlog,
      exclusive: true,
    };
    if (this.#context.reusePort && passed === undefined && bind.kind === 'inet') options.reusePort = true;
    return new Promise((resolve) => {
      const settle = (result: Bound): void => {
        server.removeAllListeners('error');
        server.removeAllListeners('listening');
        server.removeAllListeners('close');
        resolve(result);
      };
      server.once('error', (error) => settle(bindFailureOf(error)));
      server.once('close', () => settle(unlistened));
      server.once('listening', () => {
        // A path, or nothing for a unix socket that is passed.
        const address = server.address();
        if (this.#isClosed) settle(unlistened);
        else settle({ port: typeof address === 'string' ? 0 : (address?.port ?? 0) });
      });
      server.listen(options);
    });
  }

  #accepted(socket: Socket): void {
    const { host } = this.#context;
    const isUnix = this.#bound.kind === 'unix';
    const client = isUnix ? noAddress : socketAddress(socket.remoteAddress, socket.remotePort);
    const local = isUnix ? noAddress : socketAddress(socket.localAddress, socket.localPort);
    // The client has reset the connection already.
    if (client === undefined || local === undefined || this.#isClosed) {
      breakOff(socket);
      return;
    }
    try {
      const { noDelay, keepAliveMs } = this.view.plan.tcp;
      socket.setNoDelay(noDelay);
      socket.setKeepAlive(keepAliveMs > 0, keepAliveMs);
      this.#context.ends.came();
      confirmEnd(socket, this.#context.ends);
      const identifier = this.view.identifies === true ? host.identify(this.view, client, local) : undefined;
      if (identifier !== undefined) {
        if (typeof identifier === 'string') breakOff(socket);
        else new TcpArrival(this.#context, this, socket, client, identifier);
        return;
      }
      const answer = host.open(this.view, client, local);
      if (typeof answer === 'string') this.#context.silenced.refuse(socket, refusalWay(this.view, answer));
      else new TcpFlow(this.#context, answer, socket);
    } catch (error) {
      breakOff(socket);
      host.fault(error, undefined);
    }
  }
}
