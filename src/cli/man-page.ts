/**
 * `pinion man`: the man page, made from the commands. Written in the man macros that every roff has (groff_man(7)), and held against
 * docs/pinion.1 by a test.
 */
import type { Command, Option } from 'commander';
import { print } from './standard-output.ts';

/** Options that so many commands have alike are told once. */
const commonFrom = 4;

export function printManPage(program: Command): void {
  print(manPage(program));
}

export function manPage(program: Command): string {
  const commands = leaves(program);
  const common = commonOptions(commands);
  const lines = [
    '.\\" Made by `pinion man` from the commands themselves.',
    '.TH PINION 1 "" pinion "User Commands"',
    '.SH NAME',
    'pinion \\- TCP and UDP load balancer that pins every client to its backend',
    '.SH SYNOPSIS',
    ...commands.flatMap((command) => [`.B ${roff(nameOf(command))}`, roff(usageOf(command)), '.br']),
    '.SH DESCRIPTION',
    ...paragraphs(program.description()),
    '.SH COMMANDS',
    ...commands.flatMap((command) => commandLines(command, common)),
    '.SH OPTIONS OF MANY COMMANDS',
    ...common.flatMap(optionLines),
    ...closing,
  ];
  return `${lines.filter((line) => line !== '').join('\n')}\n`;
}

const closing = [
  '.SH EXIT STATUS',
  '.TP',
  '0',
  'good',
  '.TP',
  '1',
  'a refused configuration, a failed start, or a request that failed: no instance answers, it is not ready, it refused',
  '.TP',
  '2',
  'wrong usage',
  '.TP',
  '70',
  'a defect in pinion',
  '.SH ENVIRONMENT',
  '.TP',
  '.B PINION_ADMIN',
  'the admin address of the instance that is meant, where neither \\-\\-admin nor \\-\\-config says so',
  '.TP',
  '.B PINION_TOKEN',
  'the token with which an instance is asked over TCP (admin.tokens)',
  '.TP',
  '.B PINION_TOKEN_FILE',
  'a file with that token',
  '.TP',
  '.B NO_COLOR',
  'anything but an empty text: no colour',
  '.TP',
  '.B FORCE_COLOR',
  'anything but 0: colour even where the output is no terminal',
  '.SH FILES',
  '.TP',
  '.I /run/pinion/admin.sock',
  'where a running instance is asked, unless \\-\\-config or \\-\\-admin says otherwise',
];

/** All that can be run, with what stands below others. */
function leaves(command: Command): Command[] {
  return command
    .createHelp()
    .visibleCommands(command)
    .flatMap((one) => [
      ...(one.registeredArguments.length > 0 || one.commands.length === 0 || isRun(one) ? [one] : []),
      ...leaves(one),
    ]);
}

/** A command with others below it may do something by itself: then it has options of its own. */
function isRun(command: Command): boolean {
  return command.options.length > 0;
}

function nameOf(command: Command): string {
  return command.parent === null ? command.name() : `${nameOf(command.parent)} ${command.name()}`;
}

function usageOf(command: Command): string {
  const operands = command.registeredArguments.map((argument) => {
    const name = `${argument.name()}${argument.variadic ? '...' : ''}`.toUpperCase();
    return argument.required ? name : `[${name}]`;
  });
  return [...(optionsOf(command).length > 0 ? ['[OPTION]...'] : []), ...operands].join(' ');
}

function optionsOf(command: Command): readonly Option[] {
  return command.options.filter(({ hidden }) => !hidden);
}

function keyOf({ flags, description }: Option): string {
  return `${flags}\n${description}`;
}

function commonOptions(commands: readonly Command[]): Option[] {
  const counts = new Map<string, { readonly option: Option; count: number }>();
  for (const option of commands.flatMap(optionsOf)) {
    const known = counts.get(keyOf(option)) ?? { option, count: 0 };
    known.count += 1;
    counts.set(keyOf(option), known);
  }
  return [...counts.values()].filter(({ count }) => count >= commonFrom).map(({ option }) => option);
}

function commandLines(command: Command, common: readonly Option[]): string[] {
  const commonKeys = new Set(common.map(keyOf));
  const own = optionsOf(command).filter((option) => !commonKeys.has(keyOf(option)));
  const shared = optionsOf(command).filter((option) => commonKeys.has(keyOf(option)));
  const operands = command.registeredArguments.filter(({ description }) => description !== '');
  return [
    `.SS "${roff(`${nameOf(command)} ${usageOf(command)}`.trim())}"`,
    ...paragraphs(sentence(command.description())),
    ...operands.flatMap((one) => ['.TP', `.I ${roff(one.name().toUpperCase())}`, roff(one.description)]),
    ...own.flatMap(optionLines),
    ...(shared.length === 0
      ? []
      : [
          '.PP',
          `Also ${roff(shared.map(({ long, short }) => long ?? short).join(', '))}; see OPTIONS OF MANY COMMANDS.`,
        ]),
  ];
}

function optionLines(option: Option): string[] {
  const { flags, description, argChoices, defaultValue, mandatory } = option;
  const choices = argChoices === undefined ? '' : ` (one of: ${argChoices.join(', ')})`;
  const fallback = defaultValue === undefined || defaultValue === false ? '' : ` (default: ${defaultValue})`;
  const must = mandatory ? ' (required)' : '';
  return ['.TP', `.B ${roff(flags)}`, roff(`${description}${choices}${fallback}${must}`)];
}

function sentence(text: string): string {
  const first = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?)]$/.test(first) ? first : `${first}.`;
}

/** Empty lines divide paragraphs; lines with spaces inside are kept as they are. */
function paragraphs(text: string): string[] {
  return text.split(/\n\n/).flatMap((part, i) => {
    const lines = part.split('\n').map(roff);
    const isTable = part.includes('\n');
    return [...(i > 0 ? ['.PP'] : []), ...(isTable ? ['.nf', ...lines, '.fi'] : lines)];
  });
}

/** Backslash, hyphen and what roff takes for a request at the beginning of a line. */
function roff(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replace(/^([.'])/gm, '\\&$1');
}
