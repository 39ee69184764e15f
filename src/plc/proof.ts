declare const proof: unique symbol

/**
 * A value that only its named producer file may make. The brand exists for the compiler alone: whoever
 * receives a `Proof` knows that the checks of its producer ran, without running them again.
 */
export type Proof<T, Name extends string> = T & { readonly [proof]: Name }
