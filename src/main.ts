#!/usr/bin/env node
/** The `pinion` command: the composition root. One file per command in cli/. */

// The first: see there.
import './cli/node-version.ts';
import { Command, CommanderError } from 'commander';
import { AdminFailure } from './cli/admin-client.ts';
import { checkCommand } from './cli/check.ts';
import { connectionsCommand } from './cli/connections.ts';
import { demoCommand, sampleBackendCommand } from './cli/demo.ts';
import { exitStatus } from './cli/exit.ts';
import { explainCommand } from './cli/explain.ts';
import { operatorCommands, reloadCommand, statusCommand } from './cli/operate.ts';
import { pinsCommand } from './cli/pins.ts';
import { readyCommand } from './cli/ready.ts';
import { runCommand, startCommand } from './cli/run.ts';
import { schemaCommand } from './cli/schema.ts';
import { print } from './cli/standard-output.ts';
import { version } from './cli/version.ts';

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

program.addCommand(runCommand());
program.addCommand(checkCommand());
program.addCommand(demoCommand());
program.addCommand(explainCommand());
program.addCommand(statusCommand());
program.addCommand(readyCommand());
program.addCommand(connectionsCommand());
program.addCommand(pinsCommand());
for (const command of operatorCommands()) program.addCommand(command);
program.addCommand(reloadCommand());
program.addCommand(schemaCommand());
program.addCommand(startCommand(), { hidden: true });
program.addCommand(sampleBackendCommand(), { hidden: true });

/** What commands do not take over from the program they are added to. */
function settle(command: Command, name: string): void {
  // The whole help after a mistake would push the mistake off the screen.
  command.exitOverride().showHelpAfterError(`see: ${name} --help`).configureOutput({ writeOut: print });
  for (const one of command.commands) settle(one, `${name} ${one.name()}`);
}

settle(program, 'pinion');
program.hook('preAction', (_, command) => {
  if (command.opts<{ config?: string }>().config === '') command.error('error: --config is empty');
});

try {
  if (process.argv.length <= 2) program.outputHelp();
  else await program.parseAsync();
} catch (error) {
  if (error instanceof AdminFailure) {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = exitStatus.refused;
  } else if (error instanceof CommanderError) {
    // Commander has said what is wrong; help and version are exceptions with status 0 to it.
    process.exitCode = error.exitCode === 0 ? exitStatus.good : exitStatus.usage;
  } else {
    throw error;
  }
}
