#!/usr/bin/env node
/** The `pinion` command: the composition root. One file per command in cli/. */
import { Command, CommanderError } from 'commander';
import { checkCommand } from './cli/check.ts';
import { connectionsCommand } from './cli/connections.ts';
import { demoCommand, sampleBackendCommand } from './cli/demo.ts';
import { exitStatus } from './cli/exit.ts';
import { explainCommand } from './cli/explain.ts';
import { drainCommand, reloadCommand, statusCommand } from './cli/operate.ts';
import { pinsCommand } from './cli/pins.ts';
import { readyCommand } from './cli/ready.ts';
import { runCommand, startCommand } from './cli/run.ts';
import { schemaCommand } from './cli/schema.ts';
import { version } from './cli/version.ts';

const program = new Command('pinion')
  .description(
    'A layer-4 TCP and UDP load balancer that pins every client to its backend.\n\n' +
      'Try it:        pinion demo\n' +
      'Check a file:  pinion check --config pinion.yaml\n' +
      'Run it:        pinion run --config pinion.yaml',
  )
  .version(version, '-V, --version')
  .helpOption('-h, --help', 'show help; also: pinion COMMAND --help')
  .helpCommand(false)
  .showHelpAfterError('(pinion --help shows what there is)')
  .addHelpText(
    'after',
    '\nExit status: 0 good, 1 refused configuration or failed start, 2 wrong usage, 70 a defect in pinion.',
  )
  .exitOverride();

program.addCommand(runCommand());
program.addCommand(checkCommand());
program.addCommand(demoCommand());
program.addCommand(explainCommand());
program.addCommand(statusCommand());
program.addCommand(readyCommand());
program.addCommand(connectionsCommand());
program.addCommand(pinsCommand());
program.addCommand(drainCommand('drain'));
program.addCommand(drainCommand('undrain'));
program.addCommand(reloadCommand());
program.addCommand(schemaCommand());
program.addCommand(startCommand(), { hidden: true });
program.addCommand(sampleBackendCommand(), { hidden: true });
for (const command of program.commands) command.exitOverride().showHelpAfterError();

try {
  if (process.argv.length <= 2) program.outputHelp();
  else await program.parseAsync();
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  // Commander has said what is wrong; help and version are exceptions with status 0 to it.
  process.exitCode = error.exitCode === 0 ? exitStatus.good : exitStatus.usage;
}
