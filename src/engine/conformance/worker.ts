/**
 * The thread the engine under test runs in: messages in become calls of the engine, calls of the host become
 * messages out. It works whether the thread's event loop runs (portable) or the engine blocks in the kernel and
 * polls (epoll): both end in `handle`.
 */
import assert from 'node:assert/strict';
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import type { BindFailure, Engine } from '../engine.ts';
import type { FromEngine, ToEngine } from './messages.ts';
import { Recorder } from './recorder.ts';
import { loadStarter, type Started } from './starters.ts';

assert.ok(parentPort !== null, 'worker.ts runs in a worker thread');
const port = parentPort;
const report = (event: FromEngine): void => port.postMessage(event);
const start = await loadStarter((workerData as { readonly engine: string }).engine);

let recorder = new Recorder(report);
let engine: Engine | undefined;
let started: Started | undefined;
/** It blocks in the kernel, and is over when its `run` returns. */
let isBlocking = false;

function poll(): void {
  for (;;) {
    const received = receiveMessageOnPort(port);
    if (received === undefined) return;
    handle(received.message as ToEngine);
  }
}

function handle(message: ToEngine): void {
  if (message.type === 'start') {
    recorder = new Recorder(report);
    started = start(recorder, message.options, poll);
    engine = started.engine;
    recorder.engine = engine;
    recorder.endsLater = started.endsLater === true;
    isBlocking = started.wakeDescriptor !== undefined;
    report({ type: 'started', wakeDescriptor: started.wakeDescriptor });
    started.run();
    if (isBlocking) report({ type: 'stopped' });
    return;
  }
  assert.ok(engine !== undefined && started !== undefined, `${message.type} before start`);
  started.hears?.(message);
  command(engine, message);
}

function command(running: Engine, message: Exclude<ToEngine, { type: 'start' }>): void {
  switch (message.type) {
    case 'behave':
      recorder.behaviour = message.behaviour;
      return;
    case 'listen':
      listen(running, message);
      return;
    case 'limit-arrivals':
      running.limitArrivals(message.count);
      return;
    case 'update':
      recorder.updated.set(message.listener.id, message.listener);
      running.update(message.listener);
      running.waysChanged();
      return;
    case 'unlisten':
      running.unlisten(message.listenerId, message.code ?? 'listener-removed', message.doors);
      return;
    case 'move':
      recorder.elsewhere.set(message.backend.id, message.backend);
      running.waysChanged();
      return;
    case 'proceed':
      running.proceed(recorder.flow(message.flowId));
      return;
    case 'abandon-dial':
      running.abandonDial(recorder.flow(message.flowId));
      return;
    case 'terminate':
      running.terminate(recorder.flow(message.flowId), message.code);
      recorder.terminated(message.flowId, 'terminate');
      return;
    case 'trust':
      running.trust(recorder.flow(message.flowId));
      return;
    case 'stop':
      if (started?.settled === undefined) stop(running);
      else void started.settled().then(() => stop(running));
      return;
    case 'sync':
      // Without a promise where none is needed: an engine that blocks its thread would keep it waiting.
      if (started?.settled === undefined) report({ type: 'synced', round: message.round });
      else void started.settled().then(() => report({ type: 'synced', round: message.round }));
      return;
  }
}

function stop(running: Engine): void {
  running.stop();
  if (recorder.openArrivals > 0) recorder.violation(`${recorder.openArrivals} arrivals after stop`);
  if (recorder.openFlows > 0) recorder.violation(`${recorder.openFlows} flows open after stop`);
  if (!isBlocking) report({ type: 'stopped' });
}

function listen(running: Engine, { listener, door }: Extract<ToEngine, { type: 'listen' }>): void {
  let inside = true;
  let calls = 0;
  const answered = (result: { readonly port: number } | BindFailure): void => {
    if (inside) recorder.violation('done called from inside listen');
    if (++calls > 1) recorder.violation('done called twice');
    const listenerId = listener.id;
    if ('port' in result) report({ type: 'listening', listenerId, port: result.port, door });
    else report({ type: 'bind-failed', listenerId, code: result.code, message: result.message });
  };
  running.listen(listener, answered, true, door);
  inside = false;
}

port.on('message', handle);
report({ type: 'loaded' });
