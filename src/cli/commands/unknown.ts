/** A word that is no command: what does it here, where people know the word from other programs, or the nearest command. */
import type { Command } from 'commander';
import { nearest } from '../../config/suggest.ts';

const ways: Readonly<Record<string, string>> = {
  stop: 'a running instance is stopped by SIGTERM: systemctl stop pinion, or kill PID (pinion status says which)',
  restart: 'most changes need only: pinion reload; else systemctl restart pinion',
  logs: 'pinion run writes its log to standard output: journalctl -u pinion -f; what happens now shows pinion events --follow',
  show: 'see pinion status, pinion backends, pinion connections',
  ps: 'see pinion status, pinion connections',
  stats: 'see pinion status, or pinion top',
  flows: 'see pinion connections',
  servers: 'see pinion backends',
  kill: 'write pinion connections kill',
  disconnect: 'write pinion connections kill',
  move: 'write pinion pins move',
  pin: 'write pinion pins set',
  unpin: 'write pinion pins delete',
  enable: 'write pinion undrain POOL/BACKEND',
  disable: 'write pinion drain POOL/BACKEND, or pinion maintenance POOL/BACKEND',
  validate: 'write pinion check FILE',
  config: 'write pinion check --print FILE',
  metrics: 'they are served on metrics.listen: curl http://127.0.0.1:9464/metrics',
};

const others: Readonly<Record<string, string>> = {
  quit: 'stop',
  shutdown: 'stop',
  log: 'logs',
  tail: 'logs',
  journal: 'logs',
  ls: 'show',
  list: 'show',
  get: 'show',
  info: 'stats',
  stat: 'stats',
  sessions: 'flows',
  clients: 'flows',
  conns: 'flows',
  test: 'validate',
  lint: 'validate',
  configtest: 'validate',
};

/** @throws CommanderError after it has been said */
export function refuseUnknown(command: Command, word: string): never {
  if (word === 'help') command.help();
  const known = command
    .createHelp()
    .visibleCommands(command)
    .map((one) => one.name());
  const near = nearest(word, known);
  const way = command.parent === null ? instead(word) : undefined;
  const more = way ?? (near === undefined ? undefined : `did you mean ${near}?`);
  return command.error(`error: unknown command '${word}'${more === undefined ? '' : `; ${more}`}`, {
    code: 'commander.unknownCommand',
  });
}

function instead(word: string): string | undefined {
  const way = Object.hasOwn(others, word) ? others[word]! : word;
  return Object.hasOwn(ways, way) ? ways[way] : undefined;
}
