/** `pinion schema`: the JSON Schema of the configuration, for editors. */
import { reference } from '../config/reference.ts';
import { jsonSchema } from '../config/schema.ts';
import { print } from './standard-output.ts';

export function printSchema({ markdown }: { readonly markdown?: boolean }): void {
  print(markdown ? reference() : `${JSON.stringify(jsonSchema(), null, 2)}\n`);
}
