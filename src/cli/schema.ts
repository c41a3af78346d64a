/** `pinion schema`: the JSON Schema of the configuration, for editors. */
import { Command } from 'commander';
import { jsonSchema } from '../config/schema.ts';

export function schemaCommand(): Command {
  return new Command('schema')
    .description('print the JSON Schema of the configuration file, for editors')
    .addHelpText(
      'after',
      '\nExample: pinion schema > pinion.schema.json, and as first line of the file:\n' +
        '  # yaml-language-server: $schema=pinion.schema.json',
    )
    .action(() => {
      process.stdout.write(`${JSON.stringify(jsonSchema(), null, 2)}\n`);
    });
}
