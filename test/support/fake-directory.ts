import { DirectoryError } from '../../src/directory/directory.ts'
import type { PlcDirectory } from '../../src/directory/directory.ts'
import type { Signed } from './operations.ts'

/** A row of the audit log, as `GET /:did/log/audit` shows it. */
export type AuditRow = Signed & { readonly nullified: boolean; readonly createdAt: string }

/**
 * A directory in memory: it lists what it is given and judges nothing, so that a test can make it
 * say whatever a real one could. Signatures are real; `verifyLog` accepts what it should.
 */
export type FakeDirectory = PlcDirectory & {
  /** The DIDs that were asked for, in order. */
  readonly reads: string[]
  /** Appends; `nullifies` names the CIDs that a stronger key takes out with it. */
  submit(signed: Signed, options?: { nullifies?: readonly string[] }): void
  /** Puts a whole log in the place of what it had. */
  list(rows: readonly AuditRow[]): void
  rowsOf(did: string): AuditRow[]
  all(): Record<string, AuditRow[]>
  /** What happens while a read is under way, before its answer is drawn up. */
  onRead: (did: string) => Promise<void> | void
}

const START = Date.UTC(2026, 0, 1)
const MINUTE = 60_000

export function createFakeDirectory(): FakeDirectory {
  const logs = new Map<string, AuditRow[]>()
  const fake: FakeDirectory = {
    reads: [],
    onRead: () => {},
    list: (rows) => void logs.set(rows[0]?.did ?? '', [...rows]),
    all: () => Object.fromEntries(logs),
    rowsOf: (did) => logs.get(did) ?? [],
    submit(signed, { nullifies = [] } = {}) {
      const rows = fake
        .rowsOf(signed.did)
        .map((row) => (nullifies.includes(row.cid) ? { ...row, nullified: true } : row))
      const last = rows.at(-1)
      const time = last === undefined ? START : Date.parse(last.createdAt) + MINUTE
      const createdAt = new Date(time).toISOString()
      logs.set(signed.did, [...rows, { ...signed, nullified: false, createdAt }])
    },
    async getLog(did) {
      fake.reads.push(did)
      await fake.onRead(did)
      const rows = logs.get(did)
      if (rows === undefined) throw new DirectoryError('not-registered', `${did} is not registered`)
      return structuredClone(rows)
    },
    ping: async () => {},
  }
  return fake
}

/** Directories that are of no help, named by what they do. */
export function directoryThat(
  behaviour: 'is down' | 'accepts but times out' | 'answers nonsense' | 'does not know the DID',
): PlcDirectory {
  const getLog: PlcDirectory['getLog'] = async (did, signal) => {
    switch (behaviour) {
      case 'is down':
        throw new DirectoryError('unknown', 'no answer')
      case 'accepts but times out':
        await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
        throw new DirectoryError('unknown', 'no answer in time', { cause: signal.reason })
      case 'answers nonsense':
        return { message: 'this is not a log' }
      case 'does not know the DID':
        throw new DirectoryError('not-registered', `${did} is not registered`)
    }
  }
  return { getLog, ping: async () => {} }
}
