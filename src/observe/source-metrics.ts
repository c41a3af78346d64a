/** What the metrics page says of what is read again while pinion runs: backends that are found, files of addresses, of secrets. */
import { type Family, familyOf, single } from './family.ts';
import type { MetricsSource } from './metrics-source.ts';

export function accessFamilies({ state }: Pick<MetricsSource, 'state'>): Family[] {
  const family = familyOf(() => state().accessLists, { file: ({ file }) => file });
  return [
    family(
      'pinion_access_list_entries',
      'gauge',
      'Addresses and networks in the list in use, of a file of allow or deny.',
      ({ entries }) => entries,
    ),
    family(
      'pinion_access_list_read_timestamp_seconds',
      'gauge',
      'When the list in use was read, Unix time.',
      ({ readAt }) => Date.parse(readAt) / 1_000,
    ),
    family(
      'pinion_access_list_failures_total',
      'counter',
      'Times the file changed into one that cannot be used; the list read before stays in use.',
      ({ failures }) => failures,
    ),
  ];
}

export function discoveryFamilies({ state }: Pick<MetricsSource, 'state'>): Family[] {
  const family = familyOf(() => state().discovery, {
    pool: ({ pool }) => pool,
    type: ({ type }) => type,
  });
  return [
    family(
      'pinion_discovery_backends',
      'gauge',
      'Backends that discovery found for the pool.',
      ({ found }) => found,
    ),
    family(
      'pinion_discovery_last_success_timestamp_seconds',
      'gauge',
      'When discovery last found all it looked for, Unix time; 0: never.',
      ({ lastSuccessAt }) => (lastSuccessAt === null ? 0 : Date.parse(lastSuccessAt) / 1_000),
    ),
    family(
      'pinion_discovery_failures_total',
      'counter',
      'Look-ups of discovery that failed; the backends found before stay in use.',
      ({ failures }) => failures,
    ),
  ];
}

export function fileFamilies({ state }: Pick<MetricsSource, 'state'>): Family[] {
  return [
    single(
      'pinion_files_unusable',
      'gauge',
      'Files of tokens, passwords and certificates that cannot be used as they are now. What was read from them before stays in use; where nothing was, what needs them does without.',
      () => state().files.unusable.length,
    ),
    single(
      'pinion_file_failures_total',
      'counter',
      'Times a file of tokens, passwords or certificates became one that cannot be used.',
      () => state().files.failures,
    ),
  ];
}
