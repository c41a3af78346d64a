/**
 * What may stand where the cursor is: commands, options, their values, and the names of what a running instance has. Made from the
 * commands themselves, so a shell's completion knows what this version knows; the shells only ask (completion.ts).
 */
import type { Argument, Command, Option } from 'commander';
import { adminAddress } from './admin-address.ts';
import { askAdmin } from './admin-client.ts';
import { print } from './standard-output.ts';

export interface Suggestion {
  readonly word: string;
  readonly meaning: string;
}

/** What only others know: the shell its files, an instance its names. */
export type Wanted = 'files' | 'listeners' | 'pools' | 'backends' | 'pool/backend';

export interface Suggestions {
  readonly words: readonly Suggestion[];
  readonly wanted: readonly Wanted[];
  /** The options that say which instance, as far as they are written. */
  readonly instance: { readonly config?: string; readonly admin?: string };
}

/** By the name of an argument, or the long name of an option. */
const wantedBy: Readonly<Record<string, readonly Wanted[]>> = {
  file: ['files'],
  config: ['files'],
  listener: ['listeners'],
  pool: ['pools'],
  backend: ['backends'],
  to: ['backends'],
  without: ['backends'],
  'pool/backend': ['pool/backend'],
  'pool or backend': ['pools', 'pool/backend'],
};

/** @param words what is written after `pinion`; the last one is being written, '' if it has not begun */
export function suggestions(program: Command, words: readonly string[]): Suggestions {
  const before = words.slice(0, -1);
  const begun = words.at(-1) ?? '';
  const { command, operands, awaiting, written } = walk(program, before);
  const instance = { ...placeIn(written, 'config'), ...placeIn(written, 'admin') };
  const found =
    awaiting !== undefined
      ? ofValues(awaiting, awaiting.attributeName())
      : begun.startsWith('-')
        ? { words: optionsOf(command, written), wanted: [] }
        : ofOperand(program, command, operands);
  return { ...found, words: found.words.filter(({ word }) => word.startsWith(begun)), instance };
}

interface Walked {
  readonly command: Command;
  readonly operands: readonly string[];
  /** An option whose value is still to come. */
  readonly awaiting: Option | undefined;
  readonly written: ReadonlyMap<string, string>;
}

function walk(program: Command, words: readonly string[]): Walked {
  let command = program;
  let operands: string[] = [];
  let awaiting: Option | undefined;
  const written = new Map<string, string>();
  for (const word of words) {
    if (awaiting !== undefined) {
      written.set(awaiting.attributeName(), word);
      awaiting = undefined;
    } else if (word.startsWith('-') && word !== '-') {
      const [flag, value] = word.split('=', 2);
      const option = allOptions(command).find(({ short, long }) => short === flag || long === flag);
      if (option === undefined) continue;
      written.set(option.attributeName(), value ?? '');
      if (option.required && value === undefined) awaiting = option;
    } else {
      const next = operands.length === 0 ? command.commands.find((one) => one.name() === word) : undefined;
      if (next === undefined) operands = [...operands, word];
      else command = next;
    }
  }
  return { command, operands, awaiting, written };
}

/** Its own and those of the commands above it. */
function allOptions(command: Command): readonly Option[] {
  return command.parent === null ? command.options : [...command.options, ...allOptions(command.parent)];
}

function optionsOf(command: Command, written: ReadonlyMap<string, string>): Suggestion[] {
  return command
    .createHelp()
    .visibleOptions(command)
    .filter((option) => !written.has(option.attributeName()))
    .map((option) => ({ word: option.long ?? option.short ?? '', meaning: option.description }));
}

function ofOperand(
  program: Command,
  command: Command,
  operands: readonly string[],
): Pick<Suggestions, 'words' | 'wanted'> {
  if (command.name() === 'help') return { words: commandsOf(reached(program, operands)), wanted: [] };
  const commands = operands.length === 0 ? commandsOf(command) : [];
  const argument = command.registeredArguments[operands.length];
  if (argument === undefined) return { words: commands, wanted: [] };
  const { words, wanted } = ofValues(argument, argument.name());
  return { words: [...commands, ...words], wanted };
}

function reached(program: Command, names: readonly string[]): Command {
  return names.reduce<Command>(
    (command, name) => command.commands.find((one) => one.name() === name) ?? command,
    program,
  );
}

function commandsOf(command: Command): Suggestion[] {
  return command
    .createHelp()
    .visibleCommands(command)
    .map((one) => ({ word: one.name(), meaning: one.description() }));
}

function ofValues(
  { argChoices = [] }: Pick<Option | Argument, 'argChoices'>,
  name: string,
): Pick<Suggestions, 'words' | 'wanted'> {
  return {
    words: argChoices.map((word) => ({ word, meaning: '' })),
    wanted: Object.hasOwn(wantedBy, name) ? wantedBy[name]! : [],
  };
}

function placeIn(
  written: ReadonlyMap<string, string>,
  name: 'config' | 'admin',
): Partial<Suggestions['instance']> {
  const value = written.get(name);
  return value === undefined || value === '' ? {} : { [name]: value };
}

/** What is read of the status page. */
export interface NamesPage {
  readonly listeners: readonly { readonly name: string }[];
  readonly backends: readonly { readonly pool: string; readonly backend: string }[];
}

/** The names of an instance that begin like this, each once. */
export function namesOf(
  { listeners, backends }: NamesPage,
  wanted: readonly Wanted[],
  begun: string,
): string[] {
  const names = wanted.flatMap((kind) => {
    if (kind === 'listeners') return listeners.map(({ name }) => name);
    if (kind === 'pools') return backends.map(({ pool }) => pool);
    if (kind === 'backends') return backends.map(({ backend }) => backend);
    return kind === 'pool/backend' ? backends.map(({ pool, backend }) => `${pool}/${backend}`) : [];
  });
  return [...new Set(names)].filter((name) => name.startsWith(begun)).sort();
}

/** For a shell: a line for each word, `:files` where it is to add its own. Of an instance that does not answer there are no names. */
export async function printSuggestions(program: Command, words: readonly string[]): Promise<void> {
  const { words: found, wanted, instance } = suggestions(program, words);
  const names = wanted.some((kind) => kind !== 'files')
    ? await namesAt(instance, wanted, words.at(-1) ?? '')
    : [];
  const lines = [
    ...found.map(({ word, meaning }) => `${word}\t${meaning}`),
    ...names.map((name) => `${name}\t`),
    ...(wanted.includes('files') ? [':files\t'] : []),
  ];
  if (lines.length > 0) print(`${lines.join('\n')}\n`);
}

async function namesAt(
  instance: Suggestions['instance'],
  wanted: readonly Wanted[],
  begun: string,
): Promise<string[]> {
  try {
    const bind = await adminAddress(instance);
    const answer = bind === undefined ? undefined : await askAdmin(bind, 'GET', '/status');
    return answer?.status === 200 ? namesOf(answer.body as NamesPage, wanted, begun) : [];
  } catch {
    return [];
  }
}
