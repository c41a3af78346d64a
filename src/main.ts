#!/usr/bin/env node
/** The `pinion` command. What it can be asked to do is in cli/program.ts. */

// The first: see there.
import './cli/node-version.ts';
import { CommanderError } from 'commander';
import { AdminFailure } from './cli/admin-failure.ts';
import { exitStatus } from './cli/exit.ts';
import { pinionProgram } from './cli/program.ts';

const program = pinionProgram();

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
