/** Every example of docs/API.md works, and the YAML in it gives what the text beside it says. */
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { afterEach, expect, test } from 'vitest';
import { backendsOf, configText, listener, noCheck } from './support/config.ts';
import { startPinion } from './support/pinion.ts';
import { stopEverything } from './support/processes.ts';
import { namedTcp, stopServers } from './support/servers.ts';
import { temporaryFolder } from './support/temporary.ts';

afterEach(async () => {
  await stopEverything();
  await stopServers();
});

const text = readFileSync(new URL('../docs/API.md', import.meta.url), 'utf8');
const examples = [
  ...text.matchAll(/^curl --unix-socket (\S+) (?:-X (\S+) )?'?(http:\/\/localhost[^'\n]*)'?$/gm),
].map(([, , method = 'GET', url]) => ({ method, path: url!.slice('http://localhost'.length) }));

function ask(
  socketPath: string,
  method: string,
  path: string,
): Promise<{ status: number | undefined; body: unknown }> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, method, path, headers: { host: 'localhost' } }, (response) => {
      let said = '';
      response.setEncoding('utf8').on('data', (piece) => {
        said += piece;
      });
      response.on('end', () => resolve({ status: response.statusCode, body: JSON.parse(said) }));
    });
    call.on('error', reject).end();
  });
}

test('the examples of docs/API.md', async () => {
  expect(examples.length).toBe(text.match(/^curl /gm)?.length);
  const socket = `${temporaryFolder('api')}/admin.sock`;
  await startPinion(
    configText({
      listeners: [listener('front', 'tcp', 'pg')],
      pools: { pg: { health: noCheck, backends: backendsOf(await namedTcp(['pg1', 'pg2'])) } },
      admin: { listen: `unix:${socket}` },
    }),
  );
  for (const { method, path } of examples) {
    const { status, body } = await ask(socket, method, path);
    expect({ method, path, status, body }).toEqual({ method, path, status: 200, body });
  }
});
