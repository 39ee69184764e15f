/**
 * What a key, a share, a bundle and a signature are for. It stands inside everything that is signed or
 * hashed, since the signature of an operation itself knows no such thing: whatever a rehearsal made is
 * refused where the real thing is asked for, and the other way round.
 */
export const environments = ['prod', 'rehearsal'] as const
export type Environment = (typeof environments)[number]
