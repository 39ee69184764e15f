/** Not what was asked for: nothing was made, signed or changed. */
export class Refusal extends Error {
  override readonly name = 'Refusal'
}
