/** Whether two values of the data model of DAG-CBOR are the same, whatever the order of fields. */
export function isEqual(left: unknown, right: unknown): boolean {
  if (left === right) return true
  if (typeof left !== 'object' || typeof right !== 'object' || left === null || right === null) {
    return false
  }
  if (left instanceof Uint8Array || right instanceof Uint8Array) {
    return (
      left instanceof Uint8Array && right instanceof Uint8Array && Buffer.compare(left, right) === 0
    )
  }
  if (Array.isArray(left) !== Array.isArray(right)) return false
  const names = Object.keys(left)
  return (
    names.length === Object.keys(right).length &&
    names.every(
      (name) =>
        Object.hasOwn(right, name) &&
        isEqual((left as Record<string, unknown>)[name], (right as Record<string, unknown>)[name]),
    )
  )
}
