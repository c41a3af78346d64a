/** The commands about the commands: help, completion, the man page. */
import { Argument, Command } from 'commander';
import { refuseUnknown } from './unknown.ts';

const shells = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof shells)[number];

export function helpCommand(program: Command): Command {
  return new Command('help')
    .description('show the help of a command')
    .argument('[command...]', 'which one, for example pins move; none: all of them')
    .action((words: readonly string[]) => {
      let command = program;
      for (const word of words) {
        const next = command.commands.find((one) => one.name() === word);
        command = next ?? refuseUnknown(command, word);
      }
      command.help();
    });
}

export function completionCommand(): Command {
  return new Command('completion')
    .description('print the completion for your shell')
    .addArgument(new Argument('<shell>', 'the shell').choices(shells))
    .addHelpText(
      'after',
      '\nbash: pinion completion bash > /etc/bash_completion.d/pinion (or: source <(pinion completion bash))' +
        '\nzsh:  pinion completion zsh > /usr/local/share/zsh/site-functions/_pinion' +
        '\nfish: pinion completion fish > ~/.config/fish/completions/pinion.fish',
    )
    .action(async (shell: Shell) => (await import('../completion.ts')).printCompletion(shell));
}

/** What the completion of a shell asks; each line is a word, a tab and what it means. */
export function suggestCommand(program: Command): Command {
  return new Command('suggest')
    .argument('[words...]', 'the words after `pinion`, the last one as far as it is written')
    .allowUnknownOption()
    .action(async (words: readonly string[]) =>
      (await import('../suggestions.ts')).printSuggestions(program, words),
    );
}

export function manCommand(program: Command): Command {
  return new Command('man')
    .description('print the man page: pinion man | man -l -')
    .action(async () => (await import('../man-page.ts')).printManPage(program));
}
