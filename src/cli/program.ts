/**
 * Every command with its options and its help: what `pinion --help`, the completion of shells and the man page are made from. To make
 * it loads nothing that a command needs to do its work.
 */
import { Command, type Command as Program } from 'commander';
import { backendOrderCommands, pinsCommand, reloadCommand } from './commands/change.ts';
import { completionCommand, helpCommand, manCommand, suggestCommand } from './commands/help.ts';
import {
  backendsCommand,
  connectionsCommand,
  eventsCommand,
  explainCommand,
  listenersCommand,
  poolsCommand,
  readyCommand,
  statusCommand,
  topCommand,
  versionCommand,
} from './commands/look.ts';
import {
  checkCommand,
  demoCommand,
  kernelCommand,
  runCommand,
  sampleBackendCommand,
  schemaCommand,
  startCommand,
} from './commands/run.ts';
import { refuseUnknown } from './commands/unknown.ts';
import { print } from './standard-output.ts';
import { version } from './version.ts';

const groups = {
  run: 'Run it:',
  look: 'Look at a running instance:',
  change: 'Change a running instance:',
  more: 'More:',
} as const;

export function pinionProgram(): Command {
  const program = new Command('pinion')
    .description(
      'A layer-4 TCP and UDP load balancer that pins every client to its backend.\n\n' +
        'Try it:        pinion demo\n' +
        'Check a file:  pinion check pinion.yaml\n' +
        'Run it:        pinion run pinion.yaml',
    )
    .version(version, '-V, --version')
    .helpOption('-h, --help', 'show help; also: pinion COMMAND --help')
    .helpCommand(false)
    .addHelpText(
      'after',
      '\nExit status: 0 good, 1 refused configuration or failed start, 2 wrong usage, 70 a defect in pinion.',
    );
  add(program, groups.run, [runCommand(), checkCommand(), demoCommand(), kernelCommand(), schemaCommand()]);
  add(program, groups.look, [
    statusCommand(),
    topCommand(),
    listenersCommand(),
    poolsCommand(),
    backendsCommand(),
    connectionsCommand(),
    eventsCommand(),
    explainCommand(),
    readyCommand(),
  ]);
  add(program, groups.change, [...backendOrderCommands(), pinsCommand(), reloadCommand()]);
  add(program, groups.more, [
    versionCommand(),
    completionCommand(),
    manCommand(program),
    helpCommand(program),
  ]);
  program.addCommand(startCommand(), { hidden: true });
  program.addCommand(sampleBackendCommand(), { hidden: true });
  program.addCommand(suggestCommand(program), { hidden: true });
  settle(program, 'pinion');
  program.hook('preAction', (_, command) => {
    if (command.opts<{ config?: string }>().config === '') command.error('error: --config is empty');
    // One that does something by itself and has others below it: `connections kil`.
    const [word] = command.args;
    if (word !== undefined && command.commands.length > 0) refuseUnknown(command, word);
  });
  return program;
}

function add(program: Command, group: string, commands: readonly Program[]): void {
  for (const command of commands) program.addCommand(command.helpGroup(group));
}

/** What commands do not take over from the program they are added to. */
function settle(command: Command, name: string): void {
  // The whole help after a mistake would push the mistake off the screen.
  command
    .helpCommand(false)
    .exitOverride()
    .showHelpAfterError(`see: ${name} --help`)
    .configureOutput({ writeOut: print });
  if (command.commands.length > 0)
    command.on('command:*', ([word = '']: readonly string[]) => refuseUnknown(command, word));
  for (const one of command.commands) settle(one, `${name} ${one.name()}`);
}
