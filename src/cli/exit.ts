/** Exit statuses, a promise to scripts and unit files. */
export const exitStatus = {
  good: 0,
  /** The configuration was refused, or cannot be put to use on this machine. */
  refused: 1,
  usage: 2,
  /** A defect: sysexits.h EX_SOFTWARE. */
  defect: 70,
} as const;
