/** `pinion schema`: the JSON Schema of the configuration, for editors. */
import { Command } from 'commander';
import { reference } from '../config/reference.ts';
import { jsonSchema } from '../config/schema.ts';
import { print } from './standard-output.ts';

export function schemaCommand(): Command {
  return new Command('schema')
    .description('print the JSON Schema of the configuration file, for editors')
    .addHelpText(
      'after',
      '\nExample: pinion schema > pinion.schema.json, and as first line of the file:\n' +
        '  # yaml-language-server: $schema=pinion.schema.json',
    )
    .option('--markdown', 'print the reference for people instead: every key with its default and meaning')
    .action((options: { markdown?: boolean }) => {
      print(options.markdown ? reference() : `${JSON.stringify(jsonSchema(), null, 2)}\n`);
    });
}
