/** Something is at the admin address and cannot be spoken with. The message says where, why, and what to do. */
export class AdminFailure extends Error {}
